// Rounding to integral numbers in floating-point format (SDM 2, ROUNDPS and its kin).
//
// Needs the environment of fp_environment.h, as vector_float.h does. A signalling NaN is invalid,
// what changes a number is inexact (where the control does not suppress that); nothing else is
// raised, and a denormal counts as zero under DAZ.
#pragma once

#include "cpu/semantics/fp_environment.h"
#include "cpu/semantics/vector_types.h"

namespace penumbra::cpu {
inline namespace PENUMBRA_TARGET {

/// The immediate's low four bits: rounding mode, or MXCSR's where bit 2 is set; bit 3 keeps the
/// precision exception away.
struct RoundControl {
  static constexpr u32 kNearest = 0, kDown = 1, kUp = 2;
  static constexpr u8 kFromMxcsr = 4, kExact = 8;
};

/// A lane of a host that has only SSE2. Adds to `raised`.
template <class Bits>
[[gnu::always_inline]] inline Bits round_lane(Bits value, u8 control, u32 mxcsr, u32& raised) {
  constexpr int kFraction = sizeof(Bits) == 4 ? 23 : 52, kWidth = sizeof(Bits) * 8;
  constexpr Bits kSign = Bits{1} << (kWidth - 1), kImplicit = Bits{1} << kFraction;
  constexpr Bits kInfinity = kSign - kImplicit, kQuiet = kImplicit >> 1;
  constexpr int kBias = (1 << (kWidth - kFraction - 2)) - 1;
  Bits sign = value & kSign, magnitude = value ^ sign;
  if (magnitude > kInfinity) {
    if (!(magnitude & kQuiet)) raised |= Mxcsr::kIe;
    return value | kQuiet;
  }
  if (magnitude == 0 || (magnitude < kImplicit && (mxcsr & Mxcsr::kDaz))) return sign;
  int exponent = static_cast<int>(magnitude >> kFraction) - kBias;
  if (exponent >= kFraction) return value;
  // Of a number below 1 everything is fraction; a half is the number with exponent -1.
  Bits unit = exponent < 0 ? Bits{0} : kImplicit >> exponent;
  Bits rest = exponent < 0 ? magnitude : magnitude & (unit - 1);
  if (rest == 0) return value;
  if (!(control & RoundControl::kExact)) raised |= Mxcsr::kPe;
  u32 mode = control & RoundControl::kFromMxcsr ? (mxcsr & Mxcsr::kRounding) >> 13 : control & 3u;
  Bits half = exponent < 0 ? static_cast<Bits>(kBias - 1) << kFraction : unit >> 1;
  bool odd = exponent >= 0 && (magnitude & unit);
  bool away = mode == RoundControl::kNearest ? rest > half || (rest == half && odd)
              : mode == RoundControl::kDown  ? sign != 0
              : mode == RoundControl::kUp    ? sign == 0
                                             : false;
  if (exponent < 0) return sign | (away ? static_cast<Bits>(kBias) << kFraction : 0);
  return sign | (magnitude - rest + (away ? unit : 0));
}

/// The first kCount lanes of b, rounded; the others of a.
template <class Bits, unsigned kCount, u8 kControl>
[[gnu::always_inline]] inline V128 round_lanes(V128 a, V128 b) {
  u32 mxcsr = fp_environment::read_host(), raised = 0;
  Lanes<Bits> to = lanes<Bits>(a), from = lanes<Bits>(b);
  for (unsigned i = 0; i < kCount; ++i) to[i] = round_lane<Bits>(from[i], kControl, mxcsr, raised);
  if (raised & ~mxcsr) fp_environment::write_host(mxcsr | raised);
  return vector_of(to);
}

template <class Bits, u8 kControl>
struct RoundPacked {
  [[gnu::always_inline]] static V128 eval(V128 a) {
#ifdef __SSE4_1__
    if constexpr (sizeof(Bits) == 4) {
      asm volatile("roundps %1, %0, %0" : "+x"(a) : "i"(kControl));
    } else {
      asm volatile("roundpd %1, %0, %0" : "+x"(a) : "i"(kControl));
    }
    return a;
#else
    return round_lanes<Bits, 16 / sizeof(Bits), kControl>(a, a);
#endif
  }
};

/// b's low lane into a.
template <class Bits, u8 kControl>
struct RoundScalar {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
#ifdef __SSE4_1__
    if constexpr (sizeof(Bits) == 4) {
      asm volatile("roundss %2, %1, %0" : "+x"(a) : "x"(b), "i"(kControl));
    } else {
      asm volatile("roundsd %2, %1, %0" : "+x"(a) : "x"(b), "i"(kControl));
    }
    return a;
#else
    return round_lanes<Bits, 1, kControl>(a, b);
#endif
  }
};

#define PENUMBRA_ROUND(name, control)              \
  using Roundps##name = RoundPacked<u32, control>; \
  using Roundpd##name = RoundPacked<u64, control>; \
  using Roundss##name = RoundScalar<u32, control>; \
  using Roundsd##name = RoundScalar<u64, control>;
#include "cpu/semantics/vector_round_ops.def"

}  // namespace PENUMBRA_TARGET
}  // namespace penumbra::cpu
