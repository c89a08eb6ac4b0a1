#include "cpu/vector/mmx_conversion.h"

#include "cpu/operand_access.h"
#include "cpu/semantics/fp_environment.h"
#include "cpu/semantics/vector_checked.h"
#include "cpu/semantics/vector_float.h"
#include "cpu/vector/availability.h"
#include "cpu/x87/mmx_transition.h"

namespace penumbra::cpu::ops {
namespace {

/// Operand 1; 16 bytes of memory have to be aligned.
Expected<V128> read_source(CpuContext& ctx, const Operands& ops) {
  const Operand& operand = ops.at[1];
  V128 value = _mm_setzero_si128();
  if (operand.is_memory()) {
    TRY_ASSIGN(u64 linear, operand_linear(ctx, ops, operand.size, Access::Read));
    if (operand.size == 16 && linear % 16 != 0) return std::unexpected(Fault::gp());
    TRY(ctx.memory.read(linear, &value, operand.size, Privilege::Current));
  } else if (operand.kind == OperandKind::Mmx) {
    value = vector_of(Lanes<u64>{ctx.state.x87.registers[operand.reg & 7].mantissa, 0});
  } else {
    std::memcpy(&value, ctx.state.vector[operand.reg].lanes, sizeof value);
  }
  return value;
}

/// Runs `compute` and raises what of its exceptions is unmasked.
template <class Compute>
Expected<> run_checked(CpuState& state, Compute compute) {
  fp_environment::enter(state.mxcsr);
  u32 before = begin_checked(state.mxcsr);
  compute();
  CheckedResult result = end_checked(before, {}, {});
  state.mxcsr = fp_environment::leave(result.mxcsr);
  if (!result.raises) return {};
  return std::unexpected(Fault::of(state.cr4 & Cr4::kOsxmmexcpt ? Vector::Xm : Vector::Ud));
}

template <class Conversion>
Outcome to_mmx(CpuContext& ctx, const Operands& ops) {
  TRY(require_sse(ctx.state));
  TRY(mmx_check(ctx));
  TRY_ASSIGN(V128 source, read_source(ctx, ops));
  mmx_enter(ctx.state);
  u64 value = 0;
  TRY(run_checked(ctx.state, [&] { value = Conversion::template eval<Width::W64>(source, 0); }));
  ctx.state.x87.registers[ops.at[0].reg & 7] = {value, 0xffff};
  return Next::Continue;
}

}  // namespace

Outcome checked_cvtps2pi(CpuContext& ctx, const Operands& ops) {
  return to_mmx<Cvtps2pi>(ctx, ops);
}
Outcome checked_cvttps2pi(CpuContext& ctx, const Operands& ops) {
  return to_mmx<Cvttps2pi>(ctx, ops);
}
Outcome checked_cvtpd2pi(CpuContext& ctx, const Operands& ops) {
  return to_mmx<Cvtpd2pi>(ctx, ops);
}
Outcome checked_cvttpd2pi(CpuContext& ctx, const Operands& ops) {
  return to_mmx<Cvttpd2pi>(ctx, ops);
}

Outcome checked_cvtpi2ps(CpuContext& ctx, const Operands& ops) {
  TRY(require_sse(ctx.state));
  bool from_mmx = ops.at[1].kind == OperandKind::Mmx;
  if (from_mmx) TRY(mmx_check(ctx));
  TRY_ASSIGN(V128 source, read_source(ctx, ops));
  if (from_mmx) mmx_enter(ctx.state);
  u64* lanes = ctx.state.vector[ops.at[0].reg].lanes;
  V128 value;
  std::memcpy(&value, lanes, sizeof value);
  TRY(run_checked(ctx.state, [&] { value = Cvtpi2ps::eval(value, source); }));
  std::memcpy(lanes, &value, sizeof value);
  return Next::Continue;
}

}  // namespace penumbra::cpu::ops
