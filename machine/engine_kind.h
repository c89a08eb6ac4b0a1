// Which engine runs guest code, and what tests vary about it. Part of how a machine is run, not of
// what it is: snapshots hold nothing of this.
#pragma once

#include "common/types.h"

namespace penumbra::machine {

enum class EngineKind : u8 {
  Auto,      ///< the fastest that there is
  Interp,    ///< tier 0, the reference
  Baseline,  ///< generated code, with tier 0 for what it leaves out
};

struct EngineConfig {
  EngineKind kind = EngineKind::Auto;
  /// Other than 0: varies what generated code may choose (jit/stencil/variation.h), for tests. What
  /// the guest computes does not depend on it.
  u64 seed = 0;
};

}  // namespace penumbra::machine
