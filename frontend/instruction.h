// One decoded guest instruction, compact and independent of the decoder behind it.
#pragma once

#include <Zydis/Mnemonic.h>

#include "common/code_mode.h"
#include "common/operands.h"

namespace penumbra::frontend {

using Mnemonic = ZydisMnemonic;

/// Where an instruction's bytes stop to decide its form, and what follows them. Sizes are 0 where
/// there is none.
struct Encoding {
  u8 form_size = 0;  ///< prefixes, opcode, ModRM, SIB
  u8 displacement_size = 0;
  u8 immediate_offset = 0, immediate_size = 0;  ///< of the first immediate
  bool immediate_signed = false;                ///< extended to Operands::immediate
  /// The form decides all of the instruction but MemoryForm::displacement, sign-extended, and
  /// Operands::immediate.
  bool is_simple = false;
};

struct Instruction {
  Mnemonic mnemonic = ZYDIS_MNEMONIC_INVALID;
  Operands operands;
  Encoding encoding;
  u8 length() const { return operands.length; }
};

}  // namespace penumbra::frontend
