// Comparison predicates of AVX as compositions of those that SSE has, for hosts without AVX.
//
// Results and sticky exception bits are those of the one instruction: signaling predicates raise
// invalid for any NaN, quiet ones for signaling NaNs only.
#pragma once

#include "cpu/semantics/vector_types.h"

namespace penumbra::cpu {
inline namespace PENUMBRA_TARGET {

/// Scalar comparisons have no form of 256 bits.
template <class V>
consteval bool compares(const char* format) {
  return format[0] == 'p' || sizeof(V) == sizeof(V128);
}

/// A predicate of AVX (SDM 2, table 3-1) of comparisons that SSE has: signaling ones are LT and LE,
/// quiet ones of order look at numbers only.
template <class Eq, class Lt, class Le, class Unord, unsigned kPredicate>
struct ComposedComparison {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
    switch (kPredicate) {
      case 0x08:  // EQ_UQ
        return Eq::eval(a, b) | Unord::eval(a, b);
      case 0x09:  // NGE_US
        return ~Le::eval(b, a);
      case 0x0a:  // NGT_US
        return ~Lt::eval(b, a);
      case 0x0b:  // FALSE_OQ
        return Unord::eval(a, b) & _mm_setzero_si128();
      case 0x0c:  // NEQ_OQ
        return ~(Eq::eval(a, b) | Unord::eval(a, b));
      case 0x0d:  // GE_OS
        return Le::eval(b, a);
      case 0x0e:  // GT_OS
        return Lt::eval(b, a);
      case 0x0f:  // TRUE_UQ
        return Unord::eval(a, b) | _mm_set1_epi32(-1);
      case 0x10:  // EQ_OS
        return Eq::eval(a, b) & Le::eval(a, b);
      case 0x11:  // LT_OQ
        return quiet<Lt>(a, b);
      case 0x12:  // LE_OQ
        return quiet<Le>(a, b);
      case 0x13:  // UNORD_S
        return Unord::eval(a, b) & ~Lt::eval(a, b);
      case 0x14:  // NEQ_US
        return ~(Eq::eval(a, b) & Le::eval(a, b));
      case 0x15:  // NLT_UQ
        return ~quiet<Lt>(a, b);
      case 0x16:  // NLE_UQ
        return ~quiet<Le>(a, b);
      case 0x17:  // ORD_S
        return ~(Unord::eval(a, b) & ~Lt::eval(a, b));
      case 0x18:  // EQ_US
        return ~(Lt::eval(a, b) | Lt::eval(b, a));
      case 0x19:  // NGE_UQ
        return ~quiet<Le>(b, a);
      case 0x1a:  // NGT_UQ
        return ~quiet<Lt>(b, a);
      case 0x1b:  // FALSE_OS
        return Lt::eval(a, b) & _mm_setzero_si128();
      case 0x1c:  // NEQ_OS
        return Lt::eval(a, b) | Lt::eval(b, a);
      case 0x1d:  // GE_OQ
        return quiet<Le>(b, a);
      case 0x1e:  // GT_OQ
        return quiet<Lt>(b, a);
      default:  // TRUE_US
        return Lt::eval(a, b) | _mm_set1_epi32(-1);
    }
  }

 private:
  template <class Ordered>
  [[gnu::always_inline]] static V128 quiet(V128 a, V128 b) {
    V128 unordered = Unord::eval(a, b);
    return Ordered::eval(a & ~unordered, b & ~unordered) & ~unordered;
  }
};

template <class Eq, class Lt, class Le, class Unord, unsigned kPredicate, bool kScalar, class Lane>
[[gnu::always_inline]] inline V128 compose_comparison(V128 a, V128 b) {
  V128 result = ComposedComparison<Eq, Lt, Le, Unord, kPredicate>::eval(a, b);
  if constexpr (!kScalar) return result;
  Lanes<Lane> merged = lanes<Lane>(a);
  merged[0] = lanes<Lane>(result)[0];
  return vector_of(merged);
}

}  // namespace PENUMBRA_TARGET
}  // namespace penumbra::cpu
