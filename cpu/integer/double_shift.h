// SHLD and SHRD by CL: a count of zero leaves the flags alone, which no static flag kind can say.
#pragma once

#include "cpu/context.h"

namespace penumbra::cpu::ops {

Outcome shld_count(CpuContext& ctx, const Operands& ops);
Outcome shrd_count(CpuContext& ctx, const Operands& ops);

}  // namespace penumbra::cpu::ops
