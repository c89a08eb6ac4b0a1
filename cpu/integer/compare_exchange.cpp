// CMPXCHG8B and CMPXCHG16B (SDM 2): the destination is always written, with its old value when the
// comparison fails, so it must be writable in both cases.
#include "cpu/operand_access.h"
#include "cpu/ops.h"

namespace penumbra::cpu::ops {
namespace {

template <class Half>
struct PairOf {
  Half low, high;
};

template <class Half>
bool equals_accumulator(const CpuState& state, PairOf<Half> value) {
  return value.low == static_cast<Half>(state.reg(Reg::Rax)) &&
         value.high == static_cast<Half>(state.reg(Reg::Rdx));
}

template <class Half>
Outcome compare_exchange_pair(CpuContext& ctx, u64 linear) {
  CpuState& state = ctx.state;
  PairOf<Half> value;
  TRY(ctx.memory.probe(linear, sizeof value, Access::Write, Privilege::Current));
  TRY(ctx.memory.read(linear, &value, sizeof value, Privilege::Current));
  bool equal = equals_accumulator(state, value);
  PairOf<Half> exchange{static_cast<Half>(state.reg(Reg::Rbx)),
                        static_cast<Half>(state.reg(Reg::Rcx))};
  TRY(ctx.memory.write(linear, equal ? &exchange : &value, sizeof value, Privilege::Current));
  if (!equal) {
    state.reg(Reg::Rax) = value.low;
    state.reg(Reg::Rdx) = value.high;
  }
  u32 others = state.arithmetic_flags() & ~Flag::kZf;
  state.set_arithmetic_flags(others | (equal ? Flag::kZf : 0));
  return Next::Continue;
}

}  // namespace

Outcome cmpxchg8b(CpuContext& ctx, const Operands& ops) {
  TRY_ASSIGN(u64 linear, operand_linear(ctx, ops, 8, Access::Write));
  return compare_exchange_pair<u32>(ctx, linear);
}

Outcome cmpxchg16b(CpuContext& ctx, const Operands& ops) {
  TRY_ASSIGN(u64 linear, operand_linear(ctx, ops, 16, Access::Write));
  if (linear % 16 != 0) return std::unexpected(Fault::gp());
  return compare_exchange_pair<u64>(ctx, linear);
}

}  // namespace penumbra::cpu::ops
