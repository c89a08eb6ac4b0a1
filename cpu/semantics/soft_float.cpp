#include "cpu/semantics/soft_float.h"

#include <bit>
#include <utility>

#include "cpu/semantics/fp_environment.h"

namespace penumbra::cpu {
namespace {

enum class Rounding : u8 { Nearest, Down, Up, Truncate };

Rounding rounding_of(u32 mxcsr) {
  return static_cast<Rounding>((mxcsr & Mxcsr::kRounding) / (Mxcsr::kRounding & -Mxcsr::kRounding));
}

/// A number: significand * 2^exponent. The lowest bit of the significand may stand for more.
struct Number {
  bool negative = false;
  int exponent = 0;
  u128 significand = 0;
};

unsigned highest_bit(u128 value) {
  auto high = static_cast<u64>(value >> 64);
  return high != 0 ? 127 - static_cast<unsigned>(std::countl_zero(high))
                   : 63 - static_cast<unsigned>(std::countl_zero(static_cast<u64>(value)));
}

/// value >> count, where bits that are lost leave a trace in the lowest one.
u128 shift_right_sticky(u128 value, unsigned count) {
  if (count == 0) return value;
  if (count > 127) return value != 0;
  u128 lost = value << (128 - count);
  return value >> count | (lost != 0 ? 1 : 0);
}

bool is_nan(FloatFormat f, u64 bits) { return (bits & ~f.sign()) > f.infinity(); }
bool is_infinite(FloatFormat f, u64 bits) { return (bits & ~f.sign()) == f.infinity(); }
bool is_zero(FloatFormat f, u64 bits) { return (bits & ~f.sign()) == 0; }
bool is_denormal(FloatFormat f, u64 bits) {
  return !is_zero(f, bits) && (bits & ~f.sign()) < f.implicit();
}
bool is_signaling(FloatFormat f, u64 bits) { return is_nan(f, bits) && !(bits & f.quiet()); }

/// Of a finite value.
Number number_of(FloatFormat f, u64 bits) {
  u64 magnitude = bits & ~f.sign(), fraction = magnitude & (f.implicit() - 1);
  int field = static_cast<int>(magnitude >> f.fraction);
  u64 significand = field == 0 ? fraction : fraction | f.implicit();
  int exponent = field == 0 ? f.lowest() : field - f.highest();
  return {(bits & f.sign()) != 0, exponent - static_cast<int>(f.fraction), significand};
}

struct Rounded {
  u64 significand;
  bool inexact;
};

/// significand / 2^shift to an integer; a shift to the left is exact.
Rounded round_shifted(const Number& x, int shift, Rounding mode) {
  if (shift <= 0) return {static_cast<u64>(x.significand << -shift), false};
  // Two bits below the integer: the half, and whether anything is below that.
  u128 scaled = shift == 1 ? x.significand << 1
                           : shift_right_sticky(x.significand, static_cast<unsigned>(shift) - 2);
  auto below = static_cast<unsigned>(scaled & 3);
  auto whole = static_cast<u64>(scaled >> 2);
  bool nearest_up = below == 3 || (below == 2 && (whole & 1));
  bool away = below != 0 && mode == (x.negative ? Rounding::Down : Rounding::Up);
  return {whole + (mode == Rounding::Nearest ? nearest_up : away), below != 0};
}

/// Rounds numbers into a format as MXCSR says.
class Packer {
 public:
  Packer(FloatFormat format, u32 mxcsr, bool flushes)
      : f_(format),
        mode_(rounding_of(mxcsr)),
        unmasked_(Mxcsr::unmasked(mxcsr)),
        flushes_(flushes) {}

  /// Of a number that is not 0.
  SoftResult pack(const Number& x) const {
    int top = static_cast<int>(highest_bit(x.significand));
    int shift = top - static_cast<int>(f_.fraction), exponent = x.exponent + top;
    Rounded rounded = round_shifted(x, shift, mode_);
    if (rounded.significand == f_.implicit() * 2) rounded.significand >>= 1, ++exponent;
    u32 precision = rounded.inexact ? Mxcsr::kPe : 0;
    if (exponent > f_.highest()) return overflow(x.negative, precision);
    if (exponent < f_.lowest()) return tiny(x, shift, precision);
    u64 field = static_cast<u64>(exponent + f_.highest()) << f_.fraction;
    return {sign(x.negative) | (field + (rounded.significand - f_.implicit())), precision};
  }

  u64 zero(bool negative) const { return sign(negative); }
  /// The sum of zeros, or of numbers that cancel each other.
  u64 zero_sum() const { return sign(mode_ == Rounding::Down); }

 private:
  u64 sign(bool negative) const { return negative ? f_.sign() : 0; }

  SoftResult overflow(bool negative, u32 precision) const {
    if (unmasked_ & Mxcsr::kOe) return {0, Mxcsr::kOe | precision};
    bool to_infinity =
        mode_ == Rounding::Nearest || mode_ == (negative ? Rounding::Down : Rounding::Up);
    return {sign(negative) | (to_infinity ? f_.infinity() : f_.infinity() - 1),
            Mxcsr::kOe | Mxcsr::kPe};
  }

  SoftResult tiny(const Number& x, int shift, u32 precision) const {
    if (unmasked_ & Mxcsr::kUe) return {0, Mxcsr::kUe | precision};
    if (flushes_) return {sign(x.negative), Mxcsr::kUe | Mxcsr::kPe};
    int top = static_cast<int>(highest_bit(x.significand));
    Rounded rounded = round_shifted(x, shift + f_.lowest() - (x.exponent + top), mode_);
    return {sign(x.negative) | rounded.significand, rounded.inexact ? Mxcsr::kUe | Mxcsr::kPe : 0};
  }

  FloatFormat f_;
  Rounding mode_;
  u32 unmasked_;
  bool flushes_;
};

bool flushes_to_zero(u32 mxcsr) { return (mxcsr & Mxcsr::kFtz) != 0; }

/// Moves the highest bit to bit 124, which leaves room for a sum.
Number normalized(Number x) {
  int shift = 124 - static_cast<int>(highest_bit(x.significand));
  x.significand <<= shift;
  x.exponent -= shift;
  return x;
}

/// The exact sum, but for bits far below the result, which the lowest bit stands for. Neither is 0.
Number sum(Number a, Number b) {
  a = normalized(a), b = normalized(b);
  if (a.exponent < b.exponent || (a.exponent == b.exponent && a.significand < b.significand))
    std::swap(a, b);
  b.significand = shift_right_sticky(b.significand, static_cast<unsigned>(a.exponent - b.exponent));
  a.significand =
      a.negative == b.negative ? a.significand + b.significand : a.significand - b.significand;
  return a;
}

/// The first NaN, made quiet.
SoftResult propagate(FloatFormat f, u64 a, u64 b, u64 c) {
  u64 nan = is_nan(f, a) ? a : is_nan(f, b) ? b : c;
  bool invalid = is_signaling(f, a) || is_signaling(f, b) || is_signaling(f, c);
  return {nan | f.quiet(), invalid ? Mxcsr::kIe : 0};
}

SoftResult invalid(FloatFormat f) { return {f.sign() | f.infinity() | f.quiet(), Mxcsr::kIe}; }

/// Denormal operands: zeros under DAZ, else noted.
u32 take_denormal(FloatFormat f, u64& bits, u32 mxcsr) {
  if (!is_denormal(f, bits)) return 0;
  if (!(mxcsr & Mxcsr::kDaz)) return Mxcsr::kDe;
  bits &= f.sign();
  return 0;
}

/// Finite operands.
SoftResult fused_finite(FloatFormat f, u64 a, u64 b, u64 c, u32 mxcsr) {
  Packer packer(f, mxcsr, flushes_to_zero(mxcsr));
  Number x = number_of(f, a), y = number_of(f, b), z = number_of(f, c);
  Number product{x.negative != y.negative, x.exponent + y.exponent, x.significand * y.significand};
  if (product.significand == 0 && z.significand == 0)
    return {product.negative == z.negative ? packer.zero(z.negative) : packer.zero_sum(), 0};
  if (product.significand == 0) return packer.pack(z);
  if (z.significand == 0) return packer.pack(product);
  Number result = sum(product, z);
  if (result.significand == 0) return {packer.zero_sum(), 0};
  return packer.pack(result);
}

}  // namespace

SoftResult fused_multiply_add(FloatFormat f, u64 a, u64 b, u64 c, FusedSigns signs, u32 mxcsr) {
  u32 denormal =
      take_denormal(f, a, mxcsr) | take_denormal(f, b, mxcsr) | take_denormal(f, c, mxcsr);
  if (is_nan(f, a) || is_nan(f, b) || is_nan(f, c)) return propagate(f, a, b, c);
  if (signs.negate_product) a ^= f.sign();
  if (signs.negate_addend) c ^= f.sign();
  bool infinite = is_infinite(f, a) || is_infinite(f, b);
  if (infinite && (is_zero(f, a) || is_zero(f, b))) return invalid(f);
  u64 infinity = ((a ^ b) & f.sign()) | f.infinity();
  if (infinite && is_infinite(f, c) && c != infinity) return invalid(f);
  if (infinite) return {infinity, denormal};
  if (is_infinite(f, c)) return {c, denormal};
  SoftResult result = fused_finite(f, a, b, c, mxcsr);
  return {result.bits, result.flags | denormal};
}

SoftResult half_from_single(u32 single, u32 mxcsr) {
  u64 bits = single, sign = bits & kSingle.sign() ? kHalf.sign() : 0;
  if (is_nan(kSingle, bits)) {
    u64 payload = bits >> (kSingle.fraction - kHalf.fraction) & (kHalf.implicit() - 1);
    return {sign | kHalf.infinity() | kHalf.quiet() | payload,
            is_signaling(kSingle, bits) ? Mxcsr::kIe : 0};
  }
  u32 denormal = take_denormal(kSingle, bits, mxcsr);
  if (is_infinite(kSingle, bits)) return {sign | kHalf.infinity(), 0};
  if (is_zero(kSingle, bits)) return {sign, 0};
  SoftResult result = Packer(kHalf, mxcsr, false).pack(number_of(kSingle, bits));
  return {result.bits, result.flags | denormal};
}

SoftResult single_from_half(u16 half) {
  u64 sign = half & kHalf.sign() ? kSingle.sign() : 0;
  if (is_nan(kHalf, half)) {
    u64 payload = u64{half} << (kSingle.fraction - kHalf.fraction) & (kSingle.implicit() - 1);
    return {sign | kSingle.infinity() | kSingle.quiet() | payload,
            is_signaling(kHalf, half) ? Mxcsr::kIe : 0};
  }
  if (is_infinite(kHalf, half)) return {sign | kSingle.infinity(), 0};
  if (is_zero(kHalf, half)) return {sign, 0};
  return Packer(kSingle, Mxcsr::kDefault, false).pack(number_of(kHalf, half));
}

}  // namespace penumbra::cpu
