#include "cpu/integer/double_shift.h"

#include "cpu/operand_access.h"
#include "cpu/semantics/integer.h"

namespace penumbra::cpu::ops {
namespace {

template <class Shift, class T>
Outcome shift_at(CpuContext& ctx, const Operands& ops, u64 a, u64 b) {
  u64 count = masked_count<T>(ctx.state.gpr[1]);
  Result<T> result = Shift::eval(static_cast<T>(a), static_cast<T>(b), count);
  TRY(write_operand(ctx, ops, 0, result.value));
  if (count != 0) ctx.state.set_arithmetic_flags(static_cast<u32>(result.source));
  return Next::Continue;
}

template <class Shift>
Outcome double_shift(CpuContext& ctx, const Operands& ops) {
  if (ops.at[0].is_memory()) {  // faults as a write does, even where the count is zero
    u32 size = ops.at[0].size;
    TRY_ASSIGN(u64 linear, operand_linear(ctx, ops, size, Access::Write));
    TRY(ctx.memory.probe(linear, size, Access::Write, Privilege::Current));
  }
  TRY_ASSIGN(u64 a, read_operand(ctx, ops, 0));
  TRY_ASSIGN(u64 b, read_operand(ctx, ops, 1));
  switch (ops.at[0].width()) {
    case Width::W16:
      return shift_at<Shift, u16>(ctx, ops, a, b);
    case Width::W32:
      return shift_at<Shift, u32>(ctx, ops, a, b);
    default:
      return shift_at<Shift, u64>(ctx, ops, a, b);
  }
}

}  // namespace

Outcome shld_count(CpuContext& ctx, const Operands& ops) {
  return double_shift<DoubleShiftLeft>(ctx, ops);
}
Outcome shrd_count(CpuContext& ctx, const Operands& ops) {
  return double_shift<DoubleShiftRight>(ctx, ops);
}

}  // namespace penumbra::cpu::ops
