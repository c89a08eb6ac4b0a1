// EFLAGS bits that the manuals leave undefined after an instruction.
#pragma once

#include "frontend/instruction.h"

namespace penumbra::oracle {

/// Bits undefined after `in`; a shift by CL counts as a shift by many bits.
u32 undefined_flags(const frontend::Instruction& in);

}  // namespace penumbra::oracle
