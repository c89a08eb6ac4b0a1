// Lift functions of what AVX, AVX2, FMA and F16C add (cpu/instructions/avx.def).
//
// VEX forms of older instructions share the functions of vector.h. The argument is the Op unless
// said otherwise.
#pragma once

#include "translator/lift/lifter.h"

namespace penumbra::translator {

void lift_zero_upper(Lifter& l, u32);  ///< VZEROUPPER
void lift_zero_all(Lifter& l, u32);    ///< VZEROALL

}  // namespace penumbra::translator
