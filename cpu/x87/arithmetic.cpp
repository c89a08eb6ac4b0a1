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
struct Forms {
  static constexpr u8 kReg = static_cast<u8>(static_cast<u8>(O) << 3), kModRm = 0xc1 | kReg;
  static constexpr HostInstruction kSingle = host_instruction<0xd8, kReg>;
  static constexpr HostInstruction kDouble = host_instruction<0xdc, kReg>;
  static constexpr HostInstruction kRegisters = host_instruction<0xd8, kModRm>;  // ST(0), ST(1)
};

/// The source is `at.st1` where that is there, else memory.
template <Operation O>
u16 compute(const X87State& x87, MemorySource::Kind kind, const InPlace& at) {
  if (at.st1 != nullptr) return host_compute<Forms<O>::kRegisters, 2>(x87, at);
  if (kind == MemorySource::Kind::Double) return host_compute<Forms<O>::kDouble, 1>(x87, at);
  return host_compute<Forms<O>::kSingle, 1>(x87, at);
}

/// Stack faults and unmasked exceptions. False: the operands stay and nothing is popped.
template <Operation O>
[[gnu::noinline]] bool compute_checked(X87State& x87, const Operands& ops, MemorySource& source,
                                       unsigned destination) {
  HostInstruction instruction = source.kind == MemorySource::Kind::Single   ? Forms<O>::kSingle
                                : source.kind == MemorySource::Kind::Double ? Forms<O>::kDouble
                                                                            : Forms<O>::kRegisters;
  HostOperands in = binary_operands(x87, destination, source, ops);
  HostResult out = run_image(instruction, in, source.bytes);
  merge_status(x87, out.status, Status::kC1);
  if (out.abandoned(x87.control)) return false;
  set_st(x87, destination, out.st[0]);
  return true;
}

using Reader = Expected<> (*)(CpuContext&, const Operands&, MemorySource&);

template <Operation O, Reader Read = read_source>
Outcome arithmetic(CpuContext& ctx, const Operands& ops, Pop pops = Pop::No) {
  TRY(check_waiting(ctx));
  X87State& x87 = ctx.state.x87;
  MemorySource source;
  bool from_memory = ops.at[0].is_memory();
  if (from_memory) TRY(Read(ctx, ops, source));
  unsigned destination = from_memory ? 0 : ops.at[0].reg & 7;
  track(ctx, ops);
  InPlace at{.st0 = &st(x87, destination), .memory = source.bytes, .result = &st(x87, destination)};
  at.st1 = second_operand(x87, source, ops);
  if (!all_masked(x87) || is_empty(x87, destination) || second_is_empty(x87, source, ops))
      [[unlikely]] {
    if (!compute_checked<O>(x87, ops, source, destination)) return Next::Continue;
  } else {
    merge_status(x87, compute<O>(x87, source.kind, at), Status::kC1);
  }
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
