// Vector values of micro-ops and their views as lanes.
//
// V128 is what a vector slot holds, without a lane type; lanes<u16>(v) views it as eight u16 (lane
// 0 in the low bits, as the manuals number them) and vector_of() goes back. Lane arithmetic is on
// unsigned types, so it wraps; views cost nothing.
#pragma once

#include <emmintrin.h>

#include "common/types.h"

namespace penumbra::cpu {

using V128 = __m128i;

template <class Lane>
struct LaneVector {
  typedef Lane Type __attribute__((vector_size(16)));
};
template <class Lane>
using Lanes = typename LaneVector<Lane>::Type;

template <class Lane>
[[gnu::always_inline]] inline Lanes<Lane> lanes(V128 value) {
  return __builtin_bit_cast(Lanes<Lane>, value);
}

template <class Vector>
[[gnu::always_inline]] inline V128 vector_of(Vector value) {
  static_assert(sizeof(Vector) == sizeof(V128));
  return __builtin_bit_cast(V128, value);
}

/// The low 64 bits, and the low 64 bits alone.
[[gnu::always_inline]] inline u64 low_half(V128 value) { return lanes<u64>(value)[0]; }
[[gnu::always_inline]] inline V128 zero_extend_half(V128 value) { return _mm_move_epi64(value); }

}  // namespace penumbra::cpu
