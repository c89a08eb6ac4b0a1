// What the code of a jump to another page remembers of where it last went.
#pragma once

#include "common/types.h"

namespace penumbra::jit {

/// `key`, `from_base` and `to_base` hold while they are those that the jump finds; where they are
/// not, `place` tells whether the target is still the same block.
struct FarLinkCache {
  u64 key = 0;  ///< 0 is never an execute key
  u64 from_base = 0, to_base = 0;
  const void* place = nullptr;  ///< address in the host of the target's code; nullptr: not linked
};

}  // namespace penumbra::jit
