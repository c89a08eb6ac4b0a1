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
  u8 length() const { return operands.length; }
};

}  // namespace penumbra::frontend
