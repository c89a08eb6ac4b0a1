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

/// What is stored where `value` stood; RAX, RDX and ZF are committed by commit_pair.
template <class Half>
PairOf<Half> exchanged(const CpuState& state, PairOf<Half> value, bool equal) {
  if (!equal) return value;
  return {static_cast<Half>(state.reg(Reg::Rbx)), static_cast<Half>(state.reg(Reg::Rcx))};
}

template <class Half>
void commit_pair(CpuState& state, PairOf<Half> value, bool equal) {
  if (!equal) {
    state.reg(Reg::Rax) = value.low;
    state.reg(Reg::Rdx) = value.high;
  }
  u32 others = state.arithmetic_flags() & ~Flag::kZf;
  state.set_arithmetic_flags(others | (equal ? Flag::kZf : 0));
}

template <class Half>
Expected<PairOf<Half>> read_and_write(CpuContext& ctx, u64 linear) {
  PairOf<Half> value;
  TRY(ctx.memory.probe(linear, sizeof value, Access::Write, Privilege::Current));
  TRY(ctx.memory.read(linear, &value, sizeof value, Privilege::Current));
  PairOf<Half> now = exchanged(ctx.state, value, equals_accumulator(ctx.state, value));
  TRY(ctx.memory.write(linear, &now, sizeof now, Privilege::Current));
  return value;
}

template <class Half>
Outcome compare_exchange_pair(CpuContext& ctx, u64 linear) {
  PairOf<Half> value;
  if (u8* host = ctx.memory.direct(linear, sizeof value, Access::Write)) {
    value = load_from<PairOf<Half>>(host);
    store_to(host, exchanged(ctx.state, value, equals_accumulator(ctx.state, value)));
  } else {
    TRY_ASSIGN(value, read_and_write<Half>(ctx, linear));
  }
  commit_pair(ctx.state, value, equals_accumulator(ctx.state, value));
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
