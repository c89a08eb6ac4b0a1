// FADD, FMUL, FSUB, FSUBR, FDIV, FDIVR with their popping and integer forms (SDM 1, 8.3.3).
//
// All are "destination = destination OP source": opcode D8 /n on registers and m32, DC /n on m64,
// with n telling the operation. Integer sources become registers first, which is exact.
#include "cpu/ops.h"
#include "cpu/x87/memory_source.h"

namespace penumbra::cpu::ops {

using namespace x87;

namespace {

/// The reg field of D8 and DC.
enum class Operation : u8 { Add = 0, Mul = 1, Sub = 4, Subr = 5, Div = 6, Divr = 7 };
enum class Pop : bool { No, Yes };

template <Operation O>
HostResult compute(const HostOperands& in, MemorySource& source) {
  constexpr u8 kReg = static_cast<u8>(static_cast<u8>(O) << 3);
  constexpr u8 kRegisters = 0xc1 | kReg;  // ST(0), ST(1)
  switch (source.kind) {
    case MemorySource::Kind::Single:
      return host_execute<0xd8, kReg>(in, source.bytes);
    case MemorySource::Kind::Double:
      return host_execute<0xdc, kReg>(in, source.bytes);
    default:
      return host_execute<0xd8, kRegisters>(in);
  }
}

using Reader = Expected<> (*)(CpuContext&, const Operands&, MemorySource&);

template <Operation O, Reader Read = read_source>
Outcome arithmetic(CpuContext& ctx, const Operands& ops, Pop pops = Pop::No) {
  TRY(check_waiting(ctx));
  MemorySource source;
  TRY(Read(ctx, ops, source));
  X87State& x87 = ctx.state.x87;
  unsigned destination = source.kind == MemorySource::Kind::None ? ops.at[0].reg & 7 : 0;
  HostOperands in = binary_operands(x87, destination, source, ops);
  HostResult out = compute<O>(in, source);
  track(ctx, ops);
  merge_status(x87, out.status, Status::kC1);
  if (out.abandoned(x87.control)) return Next::Continue;
  set_st(x87, destination, out.st[0]);
  if (pops == Pop::Yes) pop(x87);
  return Next::Continue;
}

}  // namespace

Outcome fadd(CpuContext& ctx, const Operands& ops) { return arithmetic<Operation::Add>(ctx, ops); }
Outcome fmul(CpuContext& ctx, const Operands& ops) { return arithmetic<Operation::Mul>(ctx, ops); }
Outcome fsub(CpuContext& ctx, const Operands& ops) { return arithmetic<Operation::Sub>(ctx, ops); }
Outcome fsubr(CpuContext& ctx, const Operands& ops) {
  return arithmetic<Operation::Subr>(ctx, ops);
}
Outcome fdiv(CpuContext& ctx, const Operands& ops) { return arithmetic<Operation::Div>(ctx, ops); }
Outcome fdivr(CpuContext& ctx, const Operands& ops) {
  return arithmetic<Operation::Divr>(ctx, ops);
}
Outcome faddp(CpuContext& ctx, const Operands& ops) {
  return arithmetic<Operation::Add>(ctx, ops, Pop::Yes);
}
Outcome fmulp(CpuContext& ctx, const Operands& ops) {
  return arithmetic<Operation::Mul>(ctx, ops, Pop::Yes);
}
Outcome fsubp(CpuContext& ctx, const Operands& ops) {
  return arithmetic<Operation::Sub>(ctx, ops, Pop::Yes);
}
Outcome fsubrp(CpuContext& ctx, const Operands& ops) {
  return arithmetic<Operation::Subr>(ctx, ops, Pop::Yes);
}
Outcome fdivp(CpuContext& ctx, const Operands& ops) {
  return arithmetic<Operation::Div>(ctx, ops, Pop::Yes);
}
Outcome fdivrp(CpuContext& ctx, const Operands& ops) {
  return arithmetic<Operation::Divr>(ctx, ops, Pop::Yes);
}
Outcome fiadd(CpuContext& ctx, const Operands& ops) {
  return arithmetic<Operation::Add, read_integer_source>(ctx, ops);
}
Outcome fimul(CpuContext& ctx, const Operands& ops) {
  return arithmetic<Operation::Mul, read_integer_source>(ctx, ops);
}
Outcome fisub(CpuContext& ctx, const Operands& ops) {
  return arithmetic<Operation::Sub, read_integer_source>(ctx, ops);
}
Outcome fisubr(CpuContext& ctx, const Operands& ops) {
  return arithmetic<Operation::Subr, read_integer_source>(ctx, ops);
}
Outcome fidiv(CpuContext& ctx, const Operands& ops) {
  return arithmetic<Operation::Div, read_integer_source>(ctx, ops);
}
Outcome fidivr(CpuContext& ctx, const Operands& ops) {
  return arithmetic<Operation::Divr, read_integer_source>(ctx, ops);
}

}  // namespace penumbra::cpu::ops
