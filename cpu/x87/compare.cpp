// FCOM, FUCOM, FICOM, FCOMI, FUCOMI, FTST and FXAM with their popping forms (SDM 1, 8.3.4).
#include "cpu/ops.h"
#include "cpu/x87/memory_source.h"

namespace penumbra::cpu::ops {

using namespace x87;

namespace {

enum class Order : u8 { Signals, Quiet };  ///< whether a quiet NaN is an invalid operand

/// The status that the host's comparison leaves.
template <HostInstruction Instruction, unsigned kOperands>
u16 compare_on_host(const HostOperands& in, void* memory) {
  if (in.needs_image()) [[unlikely]]
    return run_image(Instruction, in, memory).status;
  return host_compute<Instruction, kOperands, kOperands>(in, memory, nullptr);
}

template <Order O>
u16 compare(const HostOperands& in, MemorySource& source) {
  if constexpr (O == Order::Quiet) return compare_on_host<host_instruction<0xdd, 0xe1>, 2>(in, {});
  switch (source.kind) {
    case MemorySource::Kind::Single:
      return compare_on_host<host_instruction<0xd8, 0x10>, 1>(in, source.bytes);
    case MemorySource::Kind::Double:
      return compare_on_host<host_instruction<0xdc, 0x10>, 1>(in, source.bytes);
    default:
      return compare_on_host<host_instruction<0xd8, 0xd1>, 2>(in, {});
  }
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
  TRY(Read(ctx, ops, source));
  X87State& x87 = ctx.state.x87;
  u16 status = compare<O>(binary_operands(x87, 0, source, ops), source);
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
  MemorySource none;
  HostOperands in = binary_operands(x87, 0, none, ops);
  u32 flags = 0;
  u16 status = compare_on_host<host_compare_flags<ModRm>, 2>(in, &flags);
  track(ctx, ops);
  merge_status(x87, status, in.empty[0] || in.empty[1] ? Status::kC1 : 0);
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
  u16 status = compare_on_host<host_instruction<0xd9, 0xe4>, 1>(top_operands(x87, 1), nullptr);
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
