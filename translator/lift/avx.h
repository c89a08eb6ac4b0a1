// Lift functions of what AVX, AVX2, FMA and F16C add (cpu/instructions/avx.def).
//
// VEX forms of older instructions share the functions of vector.h. The argument is the Op unless
// said otherwise.
#pragma once

#include "translator/lift/lifter.h"

namespace penumbra::translator {

void lift_zero_upper(Lifter& l, u32);  ///< VZEROUPPER
void lift_zero_all(Lifter& l, u32);    ///< VZEROALL
void lift_broadcast(Lifter& l, u32 op);
void lift_broadcast_half(Lifter& l, u32);  ///< VBROADCASTF128
void lift_insert_half(Lifter& l, u32);     ///< VINSERTF128
void lift_extract_half(Lifter& l, u32);    ///< VEXTRACTF128
void lift_permute_in_half(Lifter& l,
                          u32 op);        ///< VPERMILPS, VPERMILPD; op is that of the vector form
void lift_test_signs(Lifter& l, u32 op);  ///< VTESTPS, VTESTPD

}  // namespace penumbra::translator
