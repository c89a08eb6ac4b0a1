// What the system instructions do differently by vendor.
//
// Other differences need no switch, because only AMD's side exists: SYSRET does not check RCX and
// leaves SS's hidden part alone, SYSENTER and SYSEXIT are #UD in long mode (fast_calls.cpp), LAR
// shows bits 19..16 (selector_queries.cpp), 32-bit pushes of a selector write zeros above it.
#pragma once

#include "cpu/context.h"

namespace penumbra::cpu {

/// Offset width of a far pointer in memory: AMD reads m16:32 with REX.W too, on far JMP and CALL
/// and on LSS, LFS and LGS; a CALL still pushes quadwords. Seen on a Zen 4.
inline Width far_pointer_width(const CpuContext& ctx, const Operands& ops) {
  bool narrow = ctx.model.vendor() == Vendor::Amd && ops.width == Width::W64;
  return narrow ? Width::W32 : ops.width;
}

}  // namespace penumbra::cpu
