// How a later CPU differs from an 80286 by its manuals: decided from a test's bytes and from the
// exception that the 80286 took, never from what the engine does.
#pragma once

#include <string_view>

#include "tests/sst/moo.h"

namespace penumbra::sst {

enum class Verdict : u8 {
  Same,        ///< the captured result stands
  Undefined,   ///< raises #UD now, having changed nothing
  StackFault,  ///< raises #SS(0) now, having changed nothing
  Restarts,    ///< the fault leaves SI, DI and CX as they were
  Skip,        ///< has another meaning now
};

struct Rule {
  Verdict verdict;
  std::string_view reason;  ///< with the manual's section
};

Rule rule_for(const MooTest& test);

}  // namespace penumbra::sst
