// Every x87 instruction against the host's own unit: whole state in, whole state out, over grids of
// special values, every rounding, precision and mask, empty registers and full stacks.
#include <sys/mman.h>

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <random>

#include "cpu/x87/unit.h"
#include "integer_native.h"
#include "integer_world.h"
#include "x87_encodings.h"
#include "x87_native.h"

namespace penumbra::cpu::test {
namespace {

// clang-format off
constexpr X87Register kSpecial[] = {
    {0, 0}, {0, 0x8000},                                                // zeros
    {1ull << 63, 0x3fff}, {1ull << 63, 0xbfff},                         // one
    {3ull << 62, 0x3fff}, {3ull << 62, 0x4000}, {3ull << 62, 0x3ffe},   // 1.5, 3, 0.75
    {0xc90fdaa22168c235, 0x4000}, {0xc90fdaa22168c235, 0x3ffe},         // pi, pi / 4
    {1, 0}, {0x7fffffffffffffff, 0x8000}, {1ull << 62, 0},              // denormals
    {1ull << 63, 0}, {~0ull, 0x8000},                                   // pseudo-denormals
    {1ull << 63, 1}, {~0ull, 0x7ffe}, {~0ull, 0xfffe},                  // least and largest
    {1ull << 63, 0x7fff}, {1ull << 63, 0xffff},                         // infinities
    {3ull << 62, 0x7fff}, {3ull << 62, 0xffff}, {~0ull, 0x7fff},        // quiet NaNs
    {(3ull << 62) | 5, 0xffff}, {(3ull << 62) | 5, 0x7fff},
    {(1ull << 63) | 1, 0x7fff}, {(1ull << 63) | 1, 0xffff},             // signalling NaNs
    {0xbfffffffffffffff, 0x7fff},
    {0, 0x7fff}, {1, 0x7fff}, {1ull << 62, 0xffff},                     // unsupported
    {1ull << 62, 0x3fff}, {1, 0x4000}, {0, 0x3fff},                     // unnormals
    {0x8000000000000001, 0x403e}, {~0ull, 0x403e}, {1ull << 63, 0xc03e},  // near 2^63
    {0x8000000000000000, 0x401e}, {0xffffffff80000000, 0x401d},         // near 2^31
    {0xffff000000000000, 0x400d}, {0xfffe800000000000, 0x400d},         // near 2^15
    {1ull << 63, 0x3f80}, {0x8000008000000000, 0x3f81}, {1ull << 63, 0x3c00},
    {0xffffff8000000000, 0x407e}, {0xfffffffffffffc00, 0x43fe}, {1ull << 63, 0x3fbe},
};
// clang-format on

class Generator {
 public:
  explicit Generator(u32 seed) : random_(seed) {}

  u64 bits() { return random_(); }
  unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }
  bool chance(unsigned one_in) { return below(one_in) == 0; }

  X87Register value() {
    switch (below(4)) {
      case 0:
        return {bits(), static_cast<u16>(bits())};
      case 1:
        return {bits() | 1ull << 63, static_cast<u16>(0x3fff - 70 + below(140) | bits() << 15)};
      default:
        return kSpecial[below(std::size(kSpecial))];
    }
  }

  /// Masked exceptions may be set already, pending ones not.
  X87State state() {
    X87State state;
    for (X87Register& reg : state.registers) reg = value();
    state.control = static_cast<u16>(0x40 | (bits() & 0x1f00));
    state.control |= chance(2) ? 0x3f : bits() & 0x3f;
    state.status = static_cast<u16>(bits() & 0x7f00);
    if (chance(2)) state.status |= bits() & state.control & 0x3f;
    if (chance(8)) state.status |= 0x40;
    state.tags = chance(3) ? static_cast<u8>(bits()) : chance(3) ? 0xff : 0x7f;
    if (!chance(3))
      state.tags |= static_cast<u8>(1u << state.top() | 1u << ((state.top() + 1) & 7));
    return state;
  }

  void memory(u8* to, const X87Encoding& e) {
    for (unsigned i = 0; i < 128; ++i) to[i] = static_cast<u8>(bits());
    X87Register v = value();
    u16 size = e.operands.at[0].size;
    bool store = chance(2);
    if (size == 10 && store) std::memcpy(to, &v, 10);
    if (size == 10 && chance(2))
      for (unsigned i = 0; i < 9; ++i) to[i] = static_cast<u8>(below(10) << 4 | below(10));
    if (size == 8 && store) store_to<u64>(to, double_from(v));
    if (size == 4 && store) store_to<u32>(to, single_from(v));
    if (size == 4 && chance(8)) store_to<u32>(to, below(3));
    if (size == 2 && chance(4)) store_to<u16>(to, static_cast<u16>(below(3)));
    if (size >= 28) environment(to, size);
  }

 private:
  static u32 single_from(X87Register v) {
    u32 exponent = (v.exponent & 0x7fff) == 0x7fff ? 0xff : (v.exponent & 0x7fff) % 0xff;
    return u32{v.exponent} >> 15 << 31 | exponent << 23 | static_cast<u32>(v.mantissa << 1 >> 41);
  }
  static u64 double_from(X87Register v) {
    u64 exponent = (v.exponent & 0x7fff) == 0x7fff ? 0x7ff : (v.exponent & 0x7fff) % 0x7ff;
    return u64{v.exponent} >> 15 << 63 | exponent << 52 | v.mantissa << 1 >> 12;
  }
  void environment(u8* to, u16 size) {
    store_to<u16>(to, static_cast<u16>(bits() | 0x3f));
    if (size < 108) return;
    for (unsigned i = 0; i < 8; ++i) {
      X87Register v = value();
      std::memcpy(to + 28 + 10 * i, &v, 10);
    }
  }

  std::mt19937_64 random_;
};

u16 full_tags(const X87State& x87) {
  u16 tags = 0;
  for (unsigned i = 0; i < 8; ++i) {
    const X87Register& v = x87.registers[i];
    unsigned exponent = v.exponent & 0x7fff;
    unsigned tag = exponent == 0 && v.mantissa == 0                             ? 1
                   : exponent == 0 || exponent == 0x7fff || !(v.mantissa >> 63) ? 2
                                                                                : 0;
    if (!(x87.tags >> i & 1)) tag = 3;
    tags |= static_cast<u16>(tag << (2 * i));
  }
  return tags;
}

NativeImage image_of(const X87State& x87) {
  NativeImage image{};
  image.control = x87.control;
  image.status = x87.status;
  image.tags = full_tags(x87);
  image.ip = static_cast<u32>(x87.ip);
  image.opcode = x87.opcode;
  image.dp = static_cast<u32>(x87.dp);
  for (unsigned i = 0; i < 8; ++i) {
    const X87Register& v = x87.registers[(x87.top() + i) & 7];
    image.st[i].mantissa = v.mantissa;
    image.st[i].exponent = v.exponent;
  }
  return image;
}

/// The fields that differ, native value first.
std::string differences(const NativeImage& native, const NativeImage& ours) {
  std::string text;
  auto field = [&](const char* name, u64 a, u64 b) {
    if (a != b) text += fmt::format(" {} {:x}/{:x}", name, a, b);
  };
  field("cw", native.control, ours.control);
  field("sw", native.status, ours.status);
  field("tw", native.tags, ours.tags);
  field("ip", native.ip, ours.ip);
  field("op", native.opcode, ours.opcode);
  field("dp", native.dp, ours.dp);
  for (unsigned i = 0; i < 8; ++i) {
    field(fmt::format("st{}.e", i).c_str(), native.st[i].exponent, ours.st[i].exponent);
    field(fmt::format("st{}.m", i).c_str(), native.st[i].mantissa, ours.st[i].mantissa);
  }
  return text;
}

/// One instruction from one state, there and here.
class Bench {
 public:
  Bench() {
    void* page = mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    REQUIRE(page != MAP_FAILED);
    memory_ = static_cast<u8*>(page);
  }
  ~Bench() { munmap(memory_, kPageSize); }

  /// Empty if both agree, else what differs.
  std::string compare(const X87Encoding& e, Generator& generator) {
    X87State x87 = generator.state();
    u8 before[128], native_memory[128];
    generator.memory(before, e);
    u64 flags = 0x202 | (generator.bits() & Flag::kArithmetic);

    const u8 bytes[] = {e.opcode, e.modrm};
    native_.place(bytes, 2);
    NativeImage native;
    u64 native_flags = 0;
    for (int attempt = 0; attempt < 3; ++attempt) {
      native = image_of(x87);
      std::memcpy(memory_, before, sizeof before);
      native_flags = native_.run(native, memory_, flags);
      // A task switch of the host loses the pointers (AMD saves them with a pending exception
      // only).
      if (native.ip != 0) break;
    }
    std::memcpy(native_memory, memory_, sizeof before);

    std::memcpy(memory_, before, sizeof before);
    World world(Mode::Long, memory_, kPageSize);
    world.state.x87 = x87;
    world.state.rip = native_.address();
    world.state.reg(Reg::Rsi) = reinterpret_cast<u64>(memory_);
    world.state.set_flags(flags);
    Outcome outcome = world.run(e.operation, e.operands);
    NativeImage ours = image_of(world.state.x87);

    std::string text = differences(native, ours);
    if (!outcome) text += " faults";
    if (std::memcmp(native_memory, memory_, sizeof before) != 0) text += " memory";
    if (u64 ours_flags = world.state.flags(); (native_flags ^ ours_flags) & Flag::kArithmetic)
      text += fmt::format(" flags {:x}/{:x}/{:x}", native_flags, ours_flags, flags);
    if (text.empty()) return text;
    const X87Register &st0 = x87::st(x87, 0), &st1 = x87::st(x87, 1);
    return fmt::format("{} {:02x} {:02x}:{} from cw {:x} sw {:x} tags {:02x} {:x}:{:x} {:x}:{:x}",
                       e.name, e.opcode, e.modrm, text, x87.control, x87.status, x87.tags,
                       st0.exponent, st0.mantissa, st1.exponent, st1.mantissa);
  }

 private:
  NativeUnit native_;
  u8* memory_ = nullptr;
};

TEST_CASE("every x87 instruction agrees with the host's unit", "[x87]") {
  if (!host_is_reference()) {
    WARN("the host's unit is another vendor's: not compared");
    return;
  }
  Bench bench;
  Generator generator(87);
  unsigned runs = 0;
  for (const X87Encoding& e : x87_encodings()) {
    unsigned failures = 0;
    std::string first;
    for (unsigned i = 0; i < 3000; ++i, ++runs) {
      std::string difference = bench.compare(e, generator);
      if (difference.empty()) continue;
      if (failures++ == 0) first = difference;
    }
    INFO(first);
    CHECK(failures == 0);
  }
  CHECK(runs > 1000000);
}

}  // namespace
}  // namespace penumbra::cpu::test
