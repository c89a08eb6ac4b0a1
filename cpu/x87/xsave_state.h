// XINUSE: the components of XSAVE state that are not in their initial configuration (SDM 1, 13.6).
#pragma once

#include "cpu/state.h"

namespace penumbra::cpu {

/// Bits as in XCR0: x87, SSE (without MXCSR), AVX.
u64 xsave_in_use(const CpuState& state);

}  // namespace penumbra::cpu
