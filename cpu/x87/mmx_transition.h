// Entering MMX from x87 (SDM 1, 9.5.1): what every MMX instruction but EMMS does first.
#pragma once

#include "cpu/x87/unit.h"

namespace penumbra::cpu::ops {

/// #UD with CR0.EM, #NM with CR0.TS, #MF while an x87 exception is pending.
inline Expected<> mmx_check(const CpuContext& ctx) {
  if (ctx.state.cr0 & Cr0::kEm) return std::unexpected(Fault::ud());
  return x87::check_waiting(ctx);
}

/// TOP becomes 0 and every tag valid. After all that can fault.
inline void mmx_enter(CpuState& state) {
  state.x87.set_top(0);
  state.x87.tags = 0xff;
}

}  // namespace penumbra::cpu::ops
