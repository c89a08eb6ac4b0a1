// FCOM, FUCOM, FICOM, FCOMI, FUCOMI, FTST and FXAM with their popping forms (SDM 1, 8.3.4).
#include "cpu/ops.h"
#include "cpu/x87/memory_source.h"

namespace penumbra::cpu::ops {

using namespace x87;

namespace {

enum class Order : u8 { Signals, Quiet };  ///< whether a quiet NaN is an invalid operand

/// What a comparison works on; the right side is at.st1, or memory.
struct Comparison {
  InPlace at;
  bool plain = false;
};

Comparison comparison_of(const X87State& x87, MemorySource& source, const Operands& ops) {
  Comparison c;
  c.at = {.st0 = &st(x87, 0), .st1 = second_operand(x87, source, ops), .memory = source.bytes};
  c.plain = all_masked(x87) && !is_empty(x87, 0) && !second_is_empty(x87, source, ops);
  return c;
}

template <Order O>
u16 compare(const X87State& x87, MemorySource& source, const Operands& ops) {
  constexpr HostInstruction kRegisters =
      O == Order::Quiet ? host_instruction<0xdd, 0xe1> : host_instruction<0xd8, 0xd1>;
  constexpr HostInstruction kSingle = host_instruction<0xd8, 0x10>;
  constexpr HostInstruction kDouble = host_instruction<0xdc, 0x10>;
  bool is_double = source.kind == MemorySource::Kind::Double;
  Comparison c = comparison_of(x87, source, ops);
  if (!c.plain) [[unlikely]] {
    HostInstruction instruction = c.at.st1 ? kRegisters : is_double ? kDouble : kSingle;
    return run_image(instruction, binary_operands(x87, 0, source, ops), source.bytes).status;
  }
  if (c.at.st1 != nullptr) return host_compute<kRegisters, 2>(x87, c.at);
  return is_double ? host_compute<kDouble, 1>(x87, c.at) : host_compute<kSingle, 1>(x87, c.at);
}

/// An unmasked invalid or denormal operand: nothing is popped.
bool abandoned(const X87State& x87, u16 status) {
  return status & ~x87.control & Status::kBeforeComputation;
}

using Reader = Expected<> (*)(CpuContext&, const Operands&, MemorySource&);

/// Into the condition bits; then as many pops.
template <Order O, Reader Read = read_source>
Outcome compare_conditions(CpuContext& ctx, const Operands& ops, unsigned pops) {
  TRY(check_waiting(ctx));
  MemorySource source;
  if (ops.at[0].is_memory()) TRY(Read(ctx, ops, source));
  X87State& x87 = ctx.state.x87;
  u16 status = compare<O>(x87, source, ops);
  track(ctx, ops);
  merge_status(x87, status, Status::kConditions);
  if (abandoned(x87, status)) return Next::Continue;
  while (pops-- > 0) pop(x87);
  return Next::Continue;
}

constexpr u8 kFucomi = 0xe9, kFcomi = 0xf1;

/// Into EFLAGS, even where an unmasked exception is raised; then as many pops. C1 changes only with
/// a stack fault.
template <u8 ModRm>
Outcome compare_flags(CpuContext& ctx, const Operands& ops, unsigned pops) {
  TRY(check_waiting(ctx));
  X87State& x87 = ctx.state.x87;
  constexpr HostInstruction kCompare = host_compare_flags<ModRm>;
  MemorySource none;
  u32 flags = 0;
  bool empty = is_empty(x87, 0) || is_empty(x87, second_register(ops));
  InPlace at{.st0 = &st(x87, 0), .st1 = second_operand(x87, none, ops), .memory = &flags};
  bool plain = all_masked(x87) && !empty;
  u16 status = plain ? host_compute<kCompare, 2>(x87, at)
                     : run_image(kCompare, binary_operands(x87, 0, none, ops), &flags).status;
  track(ctx, ops);
  merge_status(x87, status, empty ? Status::kC1 : 0);
  ctx.state.set_arithmetic_flags(flags);
  if (abandoned(x87, status)) return Next::Continue;
  while (pops-- > 0) pop(x87);
  return Next::Continue;
}

/// SDM 2, FXAM: class of a value; C1 is its sign.
u16 class_of(const X87Register& value) {
  constexpr u16 kNan = Status::kC0, kNormal = Status::kC2, kInfinity = Status::kC2 | Status::kC0,
                kZero = Status::kC3, kDenormal = Status::kC3 | Status::kC2;
  u16 exponent = value.exponent & 0x7fff;
  bool integer_bit = value.mantissa >> 63;
  if (exponent == 0) return value.mantissa == 0 ? kZero : kDenormal;
  if (!integer_bit) return 0;  // unsupported
  if (exponent != 0x7fff) return kNormal;
  return value.mantissa << 1 ? kNan : kInfinity;
}

}  // namespace

Outcome fcom(CpuContext& ctx, const Operands& ops) {
  return compare_conditions<Order::Signals>(ctx, ops, 0);
}
Outcome fcomp(CpuContext& ctx, const Operands& ops) {
  return compare_conditions<Order::Signals>(ctx, ops, 1);
}
Outcome fcompp(CpuContext& ctx, const Operands& ops) {
  return compare_conditions<Order::Signals>(ctx, ops, 2);
}
Outcome fucom(CpuContext& ctx, const Operands& ops) {
  return compare_conditions<Order::Quiet>(ctx, ops, 0);
}
Outcome fucomp(CpuContext& ctx, const Operands& ops) {
  return compare_conditions<Order::Quiet>(ctx, ops, 1);
}
Outcome fucompp(CpuContext& ctx, const Operands& ops) {
  return compare_conditions<Order::Quiet>(ctx, ops, 2);
}
Outcome ficom(CpuContext& ctx, const Operands& ops) {
  return compare_conditions<Order::Signals, read_integer_source>(ctx, ops, 0);
}
Outcome ficomp(CpuContext& ctx, const Operands& ops) {
  return compare_conditions<Order::Signals, read_integer_source>(ctx, ops, 1);
}
Outcome fcomi(CpuContext& ctx, const Operands& ops) { return compare_flags<kFcomi>(ctx, ops, 0); }
Outcome fcomip(CpuContext& ctx, const Operands& ops) { return compare_flags<kFcomi>(ctx, ops, 1); }
Outcome fucomi(CpuContext& ctx, const Operands& ops) { return compare_flags<kFucomi>(ctx, ops, 0); }
Outcome fucomip(CpuContext& ctx, const Operands& ops) {
  return compare_flags<kFucomi>(ctx, ops, 1);
}

Outcome ftst(CpuContext& ctx, const Operands& ops) {
  TRY(check_waiting(ctx));
  X87State& x87 = ctx.state.x87;
  u16 status = host_execute<0xd9, 0xe4>(top_operands(x87, 1)).status;
  track(ctx, ops);
  merge_status(x87, status, Status::kConditions);
  return Next::Continue;
}

Outcome fxam(CpuContext& ctx, const Operands& ops) {
  TRY(check_waiting(ctx));
  X87State& x87 = ctx.state.x87;
  constexpr u16 kEmpty = Status::kC3 | Status::kC0;
  u16 conditions = is_empty(x87, 0) ? kEmpty : class_of(st(x87, 0));
  if (st(x87, 0).exponent & 0x8000) conditions |= Status::kC1;
  track(ctx, ops);
  merge_status(x87, conditions, Status::kConditions);
  return Next::Continue;
}

}  // namespace penumbra::cpu::ops
