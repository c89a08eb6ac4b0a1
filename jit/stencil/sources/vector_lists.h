// What the lists of vector stencils share: which micro-ops have stencils, keys, immediates.
#pragma once

#include "cpu/semantics/vector.h"

#include "jit/stencil/sources/operands.h"

namespace penumbra::jit {

using cpu::V128;
using cpu::V256;

[[gnu::always_inline]] inline u8 small_immediate() {
  return static_cast<u8>(opaque<Width::W32>(hole_immediate));
}

/// What needs tables, a stack or instructions that the host level does not have runs in tier 0.
template <class V>
constexpr bool is_left_out(Op op) {
  bool wide = sizeof(V) == 32 && (op == Op::Palignr || op == Op::Insertps || op == Op::Pclmulqdq ||
                                  op == Op::Mpsadbw || op == Op::Blendpd);
#ifdef __AVX2__
  bool tables = false;
  bool permutes = op >= Op::Permilps && op <= Op::PermilpdImmediate;
#else
  bool tables = op == Op::KeepDoubles;
  bool permutes = op >= Op::PermuteHalves && op <= Op::PermilpdImmediate;
#endif
  bool calls = !cpu::kWholeV256 && ((op >= Op::Fmaddps && op <= Op::Fmsubaddpd) ||
                                    (op >= Op::Cvtph2ps && op <= Op::Cvtps2phCurrent));
  return wide || tables || permutes || calls || (op >= Op::Aesenc && op <= Op::Aeskeygenassist);
}

template <class V>
constexpr Width kVectorWidth = sizeof(V) == 32 ? Width::W256 : Width::W128;

}  // namespace penumbra::jit
