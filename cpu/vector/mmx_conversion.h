// Conversions between MMX and XMM registers for a guest that unmasks an SSE exception.
//
// Named operations because the reference CPU commits in part: the x87 unit has entered MMX when
// #XM is raised. With every exception masked the lifter expands the instructions.
#pragma once

#include "cpu/context.h"

namespace penumbra::cpu::ops {

Outcome checked_cvtps2pi(CpuContext& ctx, const Operands& ops);
Outcome checked_cvttps2pi(CpuContext& ctx, const Operands& ops);
Outcome checked_cvtpd2pi(CpuContext& ctx, const Operands& ops);
Outcome checked_cvttpd2pi(CpuContext& ctx, const Operands& ops);
Outcome checked_cvtpi2ps(CpuContext& ctx, const Operands& ops);

}  // namespace penumbra::cpu::ops
