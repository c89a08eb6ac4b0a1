// Fused multiply-add and half-precision conversion in integer arithmetic, exact to the last flag.
//
// For hosts without FMA or F16C, and for guests that leave an exception unmasked: then an exact
// result below the normal range is an underflow, and the precision flag is that of a result with
// unbounded exponent (SDM 1, 4.9.1.5). Tininess is detected after rounding. Lanes are bits, in the
// low part of a quadword.
#pragma once

#include "common/types.h"

namespace penumbra::cpu {

/// A binary format of IEEE 754 by the sizes of its fields.
struct FloatFormat {
  unsigned fraction, exponent;

  constexpr u64 sign() const { return u64{1} << (fraction + exponent); }
  constexpr u64 implicit() const { return u64{1} << fraction; }
  constexpr u64 infinity() const { return sign() - implicit(); }
  constexpr u64 quiet() const { return implicit() >> 1; }
  constexpr int highest() const { return (1 << (exponent - 1)) - 1; }
  constexpr int lowest() const { return 1 - highest(); }
};
constexpr FloatFormat kHalf{10, 5}, kSingle{23, 8}, kDouble{52, 11};

/// A result and the exceptions that it raised, as bits of MXCSR. The result counts only if all of
/// them are masked.
struct SoftResult {
  u64 bits;
  u32 flags;
};

/// What differs between the fused instructions.
struct FusedSigns {
  bool negate_product = false, negate_addend = false;
};

/// a * b + c, rounded once. Of NaNs the first operand's is the result.
SoftResult fused_multiply_add(FloatFormat format, u64 a, u64 b, u64 c, FusedSigns signs, u32 mxcsr);

enum class FusedKind : u8 { Fmadd, Fmsub, Fnmadd, Fnmsub, Fmaddsub, Fmsubadd };

/// Of a lane: the last two kinds alternate.
constexpr FusedSigns fused_signs(FusedKind kind, unsigned lane) {
  bool odd = lane % 2 != 0;
  switch (kind) {
    case FusedKind::Fmadd:
      return {};
    case FusedKind::Fmsub:
      return {.negate_addend = true};
    case FusedKind::Fnmadd:
      return {.negate_product = true};
    case FusedKind::Fnmsub:
      return {.negate_product = true, .negate_addend = true};
    case FusedKind::Fmaddsub:
      return {.negate_addend = !odd};
    default:
      return {.negate_addend = odd};
  }
}

/// MXCSR with the rounding that VCVTPS2PH's immediate asks for.
constexpr u32 half_rounding(u32 mxcsr, u8 control) {
  constexpr u32 kRoundingShift = 13;
  if (control & 4) return mxcsr;
  return (mxcsr & ~(3u << kRoundingShift)) | u32{control & 3u} << kRoundingShift;
}

/// VCVTPS2PH of one lane: rounding is RC of `mxcsr`; FTZ has no effect (SDM 2, VCVTPS2PH).
SoftResult half_from_single(u32 single, u32 mxcsr);
/// VCVTPH2PS of one lane: only a signaling NaN raises anything.
SoftResult single_from_half(u16 half);

}  // namespace penumbra::cpu
