// Which of the host's instruction sets the stencils may use.
//
// Levels are those of the x86-64 psABI, 3.1.1; the host has one if its processor and its operating
// system support all of it.
#pragma once

#include "jit/stencil/stencil.h"

namespace penumbra::jit {

enum class HostLevel : u8 {
  V2,  ///< x86-64-v2: up to SSE4.2, POPCNT
  V3,  ///< x86-64-v3: AVX2, BMI2, FMA, LZCNT, MOVBE
};

/// The highest level of this host. A host below V2 counts as V2.
HostLevel host_level();

/// The stencils built for a level.
const StencilTables& stencil_tables(HostLevel level);

}  // namespace penumbra::jit
