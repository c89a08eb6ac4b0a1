// The instruction table as the lifter reads it: mnemonic -> what to do.
#pragma once

#include "translator/lift/lifter.h"

namespace penumbra::translator {

/// One row of cpu/instructions.def. Either `lift` or `named.function` is set.
struct Row {
  cpu::Feature feature;
  LiftFunction lift;
  u32 argument;
  NamedCall named;
};

/// nullptr: an instruction that the project does not know, #UD to the guest.
const Row* find_row(frontend::Mnemonic mnemonic);

}  // namespace penumbra::translator
