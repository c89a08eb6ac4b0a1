// Vector values of micro-ops and their views as lanes.
//
// V128 and V256 are what a vector slot holds, without a lane type; lanes<u16>(v) views one as u16
// (lane 0 in the low bits, as the manuals number them) and vector_of() goes back. Lane arithmetic
// is on unsigned types, so it wraps; views cost nothing. Micro-ops are templates over the vector;
// V256 is one host vector where the compiler may use AVX2, else two halves, so lanes are taken of
// parts only: by_parts(), by_halves() and by_width() apply a function to what the host has.
#pragma once

#include <immintrin.h>

#include "common/types.h"

// The templates are compiled for several levels of the host; each has its own names to link.
#if defined(__AVX2__)
#define PENUMBRA_TARGET target_v3
#elif defined(__SSE4_2__)
#define PENUMBRA_TARGET target_v2
#else
#define PENUMBRA_TARGET target_v1
#endif

namespace penumbra::cpu {

using V128 = __m128i;

inline namespace PENUMBRA_TARGET {

#ifdef __AVX2__
using V256 = __m256i;
constexpr bool kWholeV256 = true;
#else
struct V256 {
  V128 low, high;
};
constexpr bool kWholeV256 = false;
#endif

template <class Lane, size_t Size = sizeof(V128)>
struct LaneVector {
  typedef Lane Type __attribute__((vector_size(Size)));
};
template <class Lane, class Part = V128>
using Lanes = typename LaneVector<Lane, sizeof(Part)>::Type;

template <class Lane, class Part>
[[gnu::always_inline]] inline Lanes<Lane, Part> lanes(Part value) {
  return __builtin_bit_cast(Lanes<Lane, Part>, value);
}

template <class Vector>
[[gnu::always_inline]] inline auto vector_of(Vector value) {
  if constexpr (sizeof(Vector) == sizeof(V128)) {
    return __builtin_bit_cast(V128, value);
  } else {
    static_assert(kWholeV256 && sizeof(Vector) == sizeof(V256));
    return __builtin_bit_cast(V256, value);
  }
}

/// The low 64 bits, and the low 64 bits alone.
[[gnu::always_inline]] inline u64 low_half(V128 value) { return lanes<u64>(value)[0]; }
[[gnu::always_inline]] inline V128 zero_extend_half(V128 value) { return _mm_move_epi64(value); }

// -- 256 bits as halves --------------------------------------------------------------------------

struct Halves {
  V128 low, high;
};
[[gnu::always_inline]] inline Halves halves(V256 value) {
  return __builtin_bit_cast(Halves, value);
}
[[gnu::always_inline]] inline V128 low_part(V128 value) { return value; }
[[gnu::always_inline]] inline V128 low_part(V256 value) { return halves(value).low; }
[[gnu::always_inline]] inline V256 join(V128 low, V128 high) {
  return __builtin_bit_cast(V256, Halves{low, high});
}

/// function(values...) on each 128-bit half; V128 is one half.
template <class Function>
[[gnu::always_inline]] inline V128 by_halves(Function function, auto... values)
  requires(... && std::is_same_v<decltype(values), V128>)
{
  return function(values...);
}
template <class Function>
[[gnu::always_inline]] inline V256 by_halves(Function function, auto... values)
  requires(... && std::is_same_v<decltype(values), V256>)
{
  return join(function(halves(values).low...), function(halves(values).high...));
}

/// function(values...) on what is one host vector: its arguments may be viewed as lanes.
template <class Function, class... V>
[[gnu::always_inline]] inline auto by_parts(Function function, V... values) {
  if constexpr (kWholeV256) {
    return function(values...);
  } else {
    return by_halves(function, values...);
  }
}

/// narrow(values...) on V128, wide(values...) on a V256 that is one host vector.
template <class Narrow, class Wide, class V, class... More>
[[gnu::always_inline]] inline V by_width(Narrow narrow, Wide wide, V value, More... more) {
  if constexpr (kWholeV256 && std::is_same_v<V, V256>) {
    return wide(value, more...);
  } else {
    return by_halves(narrow, value, more...);
  }
}

/// What F works on at the least: V128, unless it names the type Only256.
template <class F>
using NarrowestOf = std::conditional_t<requires { typename F::Only256; }, V256, V128>;

/// F::eval(values..., arguments...), by halves where F is a function of V128 alone.
template <class F, class V>
[[gnu::always_inline]] inline V eval_unary(V a, auto... immediate) {
  if constexpr (requires { F::eval(a, immediate...); }) {
    return F::eval(a, immediate...);
  } else {
    return by_halves([=](V128 x) { return F::eval(x, immediate...); }, a);
  }
}
template <class F, class V>
[[gnu::always_inline]] inline V eval_binary(V a, V b, auto... immediate) {
  if constexpr (requires { F::eval(a, b, immediate...); }) {
    return F::eval(a, b, immediate...);
  } else {
    return by_halves([=](V128 x, V128 y) { return F::eval(x, y, immediate...); }, a, b);
  }
}
template <class F, class V>
[[gnu::always_inline]] inline V eval_ternary(V a, V b, V c, auto... immediate) {
  if constexpr (requires { F::eval(a, b, c, immediate...); }) {
    return F::eval(a, b, c, immediate...);
  } else {
    return by_halves([=](V128 x, V128 y, V128 z) { return F::eval(x, y, z, immediate...); }, a, b,
                     c);
  }
}

}  // namespace PENUMBRA_TARGET
}  // namespace penumbra::cpu
