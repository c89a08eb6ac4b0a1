// Why an engine stopped running blocks.
#pragma once

#include "common/types.h"

namespace penumbra::jit {

enum class Stop : u8 {
  Lookup,   ///< look up the block at state.rip and go on
  Retired,  ///< as Lookup, but interrupts and the mode have to be looked at first
  Repeat,   ///< a REP instruction stopped between iterations
  Slice,    ///< the next block is longer than what is left of the slice, or a stop was asked for
  Fault,    ///< fault() says which; state is that before the instruction
  Single,   ///< tier 0 is to run one instruction (only between engines)
  Halt,     ///< state.activity is no longer Running
};

}  // namespace penumbra::jit
