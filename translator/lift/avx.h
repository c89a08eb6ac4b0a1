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
                          u32 op);         ///< VPERMILPS, VPERMILPD; op is that of the vector form
void lift_half_to_single(Lifter& l, u32);  ///< VCVTPH2PS
void lift_single_to_half(Lifter& l, u32);  ///< VCVTPS2PH
/// FMA: operands 0, 1 and 2 in the order of the formula a * b + c.
enum class FusedOrder : u32 { O132, O213, O231 };
constexpr u32 fused(Op op, FusedOrder order) {
  return static_cast<u32>(op) | static_cast<u32>(order) << 16;
}
void lift_fused(Lifter& l, u32 argument);         ///< argument: fused()
void lift_fused_scalar(Lifter& l, u32 argument);  ///< upper lanes stay
void lift_test_signs(Lifter& l, u32 op);          ///< VTESTPS, VTESTPD

}  // namespace penumbra::translator
