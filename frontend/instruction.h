// One decoded guest instruction, compact and independent of the decoder behind it.
#pragma once

#include <Zydis/Mnemonic.h>

#include "common/code_mode.h"
#include "common/operands.h"

namespace penumbra::frontend {

using Mnemonic = ZydisMnemonic;

struct Instruction {
  Mnemonic mnemonic = ZYDIS_MNEMONIC_INVALID;
  Operands operands;
  /// Where the first immediate is in the instruction, bytes; size 0: there is none.
  u8 immediate_offset = 0, immediate_size = 0;
  u8 length() const { return operands.length; }
};

}  // namespace penumbra::frontend
