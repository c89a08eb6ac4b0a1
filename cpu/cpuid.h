// CPUID leaves as an AMD processor of family 19h shows them (APM 3 appendix E).
//
// Only what works is told: feature bits come from features.def, sizes from the model, and leaves
// of caches and topology describe one core with one thread. The hypervisor leaf 4000_0000h names
// Penumbra and offers no interface.
#pragma once

#include "cpu/context.h"

namespace penumbra::cpu {

/// CPUID with the bits that follow the CPU's state: OSXSAVE, XSAVE area size, local APIC.
CpuidResult cpuid(CpuContext& ctx, u32 leaf, u32 subleaf);

}  // namespace penumbra::cpu
