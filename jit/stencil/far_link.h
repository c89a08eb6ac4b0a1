// What the code of a jump to another page remembers of where it last went.
#pragma once

#include "common/types.h"

namespace penumbra::jit {

/// Valid while the execute key and the code base are those that it was made under.
struct FarLinkCache {
  u64 key = 0;  ///< 0 is never an execute key
  u64 from_base = 0, to_base = 0;
};

}  // namespace penumbra::jit
