// Declarations of every named operation, generated from the instruction table.
//
// `Outcome f(CpuContext&, const Operands&)`; the contract stands in cpu/context.h.
#pragma once

#include "cpu/context.h"

namespace penumbra::cpu::ops {

#define PENUMBRA_LIFT(mnemonic, feature, function, argument)
#define PENUMBRA_NAMED(mnemonic, feature, function, effects) \
  Outcome function(CpuContext& ctx, const Operands& ops);
#include "cpu/instructions.def"
#undef PENUMBRA_NAMED
#undef PENUMBRA_LIFT

}  // namespace penumbra::cpu::ops
