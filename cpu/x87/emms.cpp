#include "cpu/ops.h"
#include "cpu/x87/mmx_transition.h"

namespace penumbra::cpu::ops {

Outcome emms(CpuContext& ctx, const Operands&) {
  TRY(mmx_check(ctx));
  ctx.state.x87.set_top(0);
  ctx.state.x87.tags = 0;
  ctx.state.x87.set_top(0);
  return Next::Continue;
}

}  // namespace penumbra::cpu::ops
