// FLDENV, FNSTENV, FRSTOR and FNSAVE: the environment in its four formats (SDM 1, figures 8-9 to
// 8-12), chosen by operand size and by real or protected mode, and the registers behind it.
//
// Reserved halves of the 32-bit protected format are stored as ones, as the reference CPU does.
#include "cpu/ops.h"
#include "cpu/x87/unit.h"

namespace penumbra::cpu::ops {

using namespace x87;

namespace {

constexpr u32 kRegisterSize = 10, kRegistersSize = 8 * kRegisterSize, kMostEnvironment = 28;
constexpr u16 kOpcodeMask = 0x7ff;

/// Two-bit tags as FNSTENV computes them (SDM 1, 8.1.7).
enum class Tag : u8 { Valid, Zero, Special, Empty };

Tag tag_of(const X87Register& value) {
  u16 exponent = value.exponent & 0x7fff;
  if (exponent == 0 && value.mantissa == 0) return Tag::Zero;
  bool normal = exponent != 0 && exponent != 0x7fff && value.mantissa >> 63;
  return normal ? Tag::Valid : Tag::Special;
}

u16 full_tags(const X87State& x87) {
  u16 tags = 0;
  for (unsigned i = 0; i < 8; ++i) {
    bool empty = !(x87.tags >> i & 1);
    Tag tag = empty ? Tag::Empty : tag_of(x87.registers[i]);
    tags |= static_cast<u16>(static_cast<u16>(tag) << (2 * i));
  }
  return tags;
}

u8 short_tags(u16 full) {
  u8 tags = 0;
  for (unsigned i = 0; i < 8; ++i)
    if ((full >> (2 * i) & 3) != static_cast<u16>(Tag::Empty)) tags |= static_cast<u8>(1u << i);
  return tags;
}

/// An environment image of seven words or dwords.
class Environment {
 public:
  Environment(const CpuState& state, const Operands& ops)
      : real_(in_real_or_v86(state)), wide_(ops.width != Width::W16) {}

  u32 size() const { return 7 * field_size(); }
  u8* data() { return bytes_; }

  void put(const X87State& x87) {
    put_field(0, x87.control, kOnes);
    put_field(1, x87.status, kOnes);
    put_field(2, full_tags(x87), kOnes);
    if (real_)
      put_real_pointers(x87);
    else
      put_protected_pointers(x87);
  }

  void load(X87State& x87) const {
    x87.status = static_cast<u16>(field(1));
    x87.tags = short_tags(static_cast<u16>(field(2)));
    set_control(x87, static_cast<u16>(field(0)));
    if (real_)
      load_real_pointers(x87);
    else
      load_protected_pointers(x87);
  }

 private:
  static constexpr u32 kOnes = 0xffff0000, kZeros = 0;

  u32 field_size() const { return wide_ ? 4 : 2; }

  /// A 16-bit format keeps the low half only.
  void put_field(unsigned i, u32 low, u32 high) {
    u32 value = low | high;
    std::memcpy(bytes_ + i * field_size(), &value, field_size());
  }
  u32 field(unsigned i) const {
    u32 value = 0;
    std::memcpy(&value, bytes_ + i * field_size(), field_size());
    return value;
  }

  void put_protected_pointers(const X87State& x87) {
    put_field(3, static_cast<u32>(x87.ip), kZeros);
    put_field(4, x87.cs, u32{x87.opcode} << 16);
    put_field(5, static_cast<u32>(x87.dp), kZeros);
    put_field(6, x87.ds, kOnes);
  }

  /// Linear addresses, their upper bits from bit 12 of the field behind.
  void put_real_pointers(const X87State& x87) {
    u32 ip = (u32{x87.cs} << 4) + static_cast<u32>(x87.ip);
    u32 dp = (u32{x87.ds} << 4) + static_cast<u32>(x87.dp);
    put_field(3, ip & 0xffff, kZeros);
    put_field(4, (ip >> 16 << 12) | x87.opcode, kZeros);
    put_field(5, dp & 0xffff, kZeros);
    put_field(6, dp >> 16 << 12, kZeros);
  }

  void load_protected_pointers(X87State& x87) const {
    x87.ip = field(3);
    x87.cs = static_cast<u16>(field(4));
    x87.opcode = wide_ ? field(4) >> 16 & kOpcodeMask : 0;
    x87.dp = field(5);
    x87.ds = static_cast<u16>(field(6));
  }

  void load_real_pointers(X87State& x87) const {
    x87.ip = (field(3) & 0xffff) | field(4) >> 12 << 16;
    x87.opcode = field(4) & kOpcodeMask;
    x87.dp = (field(5) & 0xffff) | field(6) >> 12 << 16;
    x87.cs = x87.ds = 0;
  }

  bool real_, wide_;
  u8 bytes_[kMostEnvironment] = {};
};

/// The registers behind an environment, in stack order.
struct RegisterImage {
  u8 bytes[kRegistersSize];

  explicit RegisterImage(const X87State& x87) {
    for (unsigned i = 0; i < 8; ++i) {
      store_to(bytes + kRegisterSize * i, st(x87, i).mantissa);
      store_to(bytes + kRegisterSize * i + 8, st(x87, i).exponent);
    }
  }
  void load(X87State& x87) const {
    for (unsigned i = 0; i < 8; ++i) {
      const u8* from = bytes + kRegisterSize * i;
      st(x87, i) = {load_from<u64>(from), load_from<u16>(from + 8)};
    }
  }
};

}  // namespace

Outcome fldenv(CpuContext& ctx, const Operands& ops) {
  TRY(check_waiting(ctx));
  Environment environment(ctx.state, ops);
  TRY(probe_environment(ctx, ops, environment.size(), Access::Read));
  TRY(read_bytes(ctx, ops, environment.data(), environment.size()));
  environment.load(ctx.state.x87);
  return Next::Continue;
}

/// Masks every exception once stored.
Outcome fnstenv(CpuContext& ctx, const Operands& ops) {
  TRY(check_available(ctx));
  X87State& x87 = ctx.state.x87;
  Environment environment(ctx.state, ops);
  environment.put(x87);
  TRY(probe_environment(ctx, ops, environment.size(), Access::Write));
  TRY(write_bytes(ctx, ops, environment.data(), environment.size()));
  set_control(x87, x87.control | Status::kExceptions);
  return Next::Continue;
}

Outcome frstor(CpuContext& ctx, const Operands& ops) {
  TRY(check_waiting(ctx));
  X87State& x87 = ctx.state.x87;
  Environment environment(ctx.state, ops);
  RegisterImage registers(x87);
  TRY(probe_environment(ctx, ops, environment.size() + kRegistersSize, Access::Read));
  TRY(read_bytes(ctx, ops, environment.data(), environment.size()));
  TRY(read_bytes(ctx, ops, registers.bytes, kRegistersSize, environment.size()));
  environment.load(x87);
  registers.load(x87);
  return Next::Continue;
}

Outcome fnsave(CpuContext& ctx, const Operands& ops) {
  TRY(check_available(ctx));
  X87State& x87 = ctx.state.x87;
  Environment environment(ctx.state, ops);
  RegisterImage registers(x87);
  environment.put(x87);
  u8 image[kMostEnvironment + kRegistersSize];
  std::memcpy(image, environment.data(), environment.size());
  std::memcpy(image + environment.size(), registers.bytes, kRegistersSize);
  TRY(probe_environment(ctx, ops, environment.size() + kRegistersSize, Access::Write));
  TRY(write_bytes(ctx, ops, image, environment.size() + kRegistersSize));
  initialize(x87);
  return Next::Continue;
}

}  // namespace penumbra::cpu::ops
