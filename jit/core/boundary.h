// The border between two instructions, as engines see it: what may be due there is the CPU's
// affair (exceptions, interrupts, debug traps, changes of the mode), not theirs.
#pragma once

#include "common/code_mode.h"
#include "jit/core/stop.h"

namespace penumbra::jit {

class Boundary {
 public:
  virtual ~Boundary() = default;
  /// Blocks stopped with Retired or Fault. Settles what takes nothing but the CPU. Lookup: go on
  /// within the same slice, in the mode that `mode` now says; else the reason to stop, which may
  /// be asked about again.
  virtual Stop settle(Stop stop, CodeMode& mode) = 0;
};

}  // namespace penumbra::jit
