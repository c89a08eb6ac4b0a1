// RDRAND and RDSEED (SDM 2): always successful, so CF = 1 and the other flags are cleared.
#include "cpu/operand_access.h"
#include "cpu/ops.h"

namespace penumbra::cpu::ops {

Outcome random_number(CpuContext& ctx, const Operands& ops) {
  write_gpr(ctx.state, ops.at[0], ctx.environment.random());
  ctx.state.set_arithmetic_flags(Flag::kCf);
  return Next::Continue;
}

}  // namespace penumbra::cpu::ops
