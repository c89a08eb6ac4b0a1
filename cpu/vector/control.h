// STMXCSR as a named operation: a lift function calls it, since engines may store by themselves.
#pragma once

#include "cpu/ops.h"

namespace penumbra::cpu::ops {

/// Engines make CpuState::mxcsr current first.
Outcome stmxcsr(CpuContext& ctx, const Operands& ops);

}  // namespace penumbra::cpu::ops
