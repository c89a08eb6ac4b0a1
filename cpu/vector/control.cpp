// LDMXCSR and STMXCSR (SDM 2). Engines make CpuState::mxcsr current around them.
#include "cpu/vector/control.h"

#include "cpu/operand_access.h"
#include "cpu/semantics/fp_environment.h"
#include "cpu/vector/availability.h"

namespace penumbra::cpu::ops {

Outcome ldmxcsr(CpuContext& ctx, const Operands& ops) {
  TRY(require_vector(ctx.state, ops));
  TRY_ASSIGN(u64 value, read_operand(ctx, ops, 0));
  if (value & ~u64{Mxcsr::kDefined}) return std::unexpected(Fault::gp());
  ctx.state.mxcsr = static_cast<u32>(value);
  return Next::EndBlock;
}

Outcome stmxcsr(CpuContext& ctx, const Operands& ops) {
  TRY(require_vector(ctx.state, ops));
  TRY(write_operand(ctx, ops, 0, ctx.state.mxcsr));
  return Next::Continue;
}

}  // namespace penumbra::cpu::ops
