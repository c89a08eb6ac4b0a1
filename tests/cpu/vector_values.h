// Operands for tests of vector micro-ops: random bits mixed with the edges of each lane type.
//
// Integer lanes favour zero, all ones and the signed limits; floating-point lanes favour denormals,
// infinities, both kinds of NaN, the edges of the exponent and short fractions.
#pragma once

#include <random>
#include <string>

#include <fmt/format.h>

#include "cpu/semantics/vector.h"

namespace penumbra::cpu {

inline std::string hex(V128 value) {
  return fmt::format("{:016x}{:016x}", lanes<u64>(value)[1], lanes<u64>(value)[0]);
}
inline bool same(V128 a, V128 b) {
  return lanes<u64>(a)[0] == lanes<u64>(b)[0] && lanes<u64>(a)[1] == lanes<u64>(b)[1];
}

class VectorValues {
 public:
  explicit VectorValues(u64 seed) : random_(seed) {}

  u64 bits() { return random_(); }
  u64 below(u64 limit) { return random_() % limit; }

  /// Lanes of random bits, zeros, ones and the signed and unsigned limits.
  template <class Lane>
  V128 integers() {
    Lanes<Lane> value{};
    for (unsigned i = 0; i < 16 / sizeof(Lane); ++i) value[i] = integer<Lane>();
    return vector_of(value);
  }

  /// Lanes of ordinary numbers, denormals, infinities, quiet and signalling NaNs, ties and limits.
  template <class Bits>
  V128 floats() {
    Lanes<Bits> value{};
    for (unsigned i = 0; i < 16 / sizeof(Bits); ++i) value[i] = float_bits<Bits>();
    return vector_of(value);
  }

  template <class Bits>
  Bits float_bits() {
    constexpr unsigned kFraction = sizeof(Bits) == 4 ? 23 : 52;
    constexpr Bits kSign = Bits{1} << (sizeof(Bits) * 8 - 1), kUnit = Bits{1} << kFraction;
    constexpr Bits kInfinity = kSign - kUnit, kOne = (kInfinity >> 1) & ~(kUnit - 1);
    Bits random = static_cast<Bits>(bits()), sign = random & kSign;
    Bits fraction = random & (kUnit - 1);
    if (below(3) == 0) fraction &= ~((kUnit >> 4) - 1);  // exact arithmetic
    switch (below(12)) {
      case 0:
        return sign;
      case 1:
        return sign | kInfinity;
      case 2:
        return sign | kInfinity | (kUnit >> 1) | fraction;
      case 3:
        return sign | kInfinity | 1 | (fraction & ~(kUnit >> 1));
      case 4:
        return sign | fraction;
      case 5:
        return sign | (Bits{1} << below(kFraction + 1));
      case 6:
        return sign | (kInfinity - 1 - below(4));
      case 7:
        return sign | (kUnit * static_cast<Bits>(1 + below(4)) + fraction);
      case 8:
        return sign | kOne;
      case 9:
        return sign | (kOne + kUnit * static_cast<Bits>(below(66)) + fraction);
      case 10:
        return sign | (kOne - kUnit * static_cast<Bits>(below(66)) + fraction);
      default:
        return random;
    }
  }

 private:
  template <class Lane>
  Lane integer() {
    constexpr Lane kTop = static_cast<Lane>(Lane{1} << (sizeof(Lane) * 8 - 1));
    switch (below(6)) {
      case 0:
        return 0;
      case 1:
        return static_cast<Lane>(~Lane{0});
      case 2:
        return kTop;
      case 3:
        return static_cast<Lane>(kTop - 1);
      default:
        return static_cast<Lane>(bits());
    }
  }

  std::mt19937_64 random_;
};

/// A micro-op of two vectors as a function.
template <class Op>
V128 eval(V128 a, V128 b) {
  return Op::eval(a, b);
}

}  // namespace penumbra::cpu
