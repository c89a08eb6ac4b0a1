// The state of a processor after reset or INIT.
#pragma once

#include "cpu/context.h"

namespace penumbra::cpu {

/// Everything but the engine's words: SDM 3A table 9-1 with AMD's values (APM 2 table 14-1), real
/// mode at F000:FFF0.
void reset(CpuState& state, const CpuModel& model);

/// INIT keeps the caches' bits of CR0, the x87 and vector state, and the MSRs.
void init(CpuState& state, const CpuModel& model);

}  // namespace penumbra::cpu
