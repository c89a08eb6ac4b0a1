// What the integer micro-ops compute: one template each, for T in u8, u16, u32, u64.
//
// Pure: no memory, no control flow out, no assertions. eval returns the value and, for ops with a
// flag family, the second flag value (see cpu/flags.h). Ternary ops that set all flags get the six
// flags before as c. Undefined flags have the values that AMD processors give.
#pragma once

#include "cpu/flags.h"

namespace penumbra::cpu {

template <class T>
struct Result {
  T value;
  u64 source = 0;
};

template <class T>
constexpr unsigned kBits = sizeof(T) * 8;

/// Count of a shift or rotate as the CPU masks it (SDM 2, SAL/SAR/SHL/SHR).
template <class T>
constexpr unsigned masked_count(u64 count) {
  return static_cast<unsigned>(count) & (sizeof(T) == 8 ? 63 : 31);
}

constexpr u64 with_carry_overflow(u64 flags, bool carry, bool overflow) {
  return (flags & ~u64{Flag::kCf | Flag::kOf}) | carry_overflow(carry, overflow);
}

struct NoFlags {
  static constexpr bool kSetsFlags = false;
  static constexpr FlagFamily kFamily = FlagFamily::Explicit;
};
template <FlagFamily F>
struct SetsFlags {
  static constexpr bool kSetsFlags = true;
  static constexpr FlagFamily kFamily = F;
};

struct Not : NoFlags {
  template <class T>
  static constexpr Result<T> eval(T a) {
    return {static_cast<T>(~a)};
  }
};
struct Neg : SetsFlags<FlagFamily::Sub> {
  template <class T>
  static constexpr Result<T> eval(T a) {
    return {static_cast<T>(-a), a};
  }
};
struct ByteSwap : NoFlags {
  template <class T>
  static constexpr Result<T> eval(T a) {
    if constexpr (sizeof(T) == 8) return {__builtin_bswap64(a)};
    if constexpr (sizeof(T) == 4) return {__builtin_bswap32(a)};
    if constexpr (sizeof(T) == 2) return {__builtin_bswap16(a)};
    return {a};
  }
};

struct Add : SetsFlags<FlagFamily::Add> {
  template <class T>
  static constexpr Result<T> eval(T a, T b) {
    return {static_cast<T>(a + b), b};
  }
};
struct Sub : SetsFlags<FlagFamily::Sub> {
  template <class T>
  static constexpr Result<T> eval(T a, T b) {
    return {static_cast<T>(a - b), b};
  }
};
struct And : SetsFlags<FlagFamily::Logic> {
  template <class T>
  static constexpr Result<T> eval(T a, T b) {
    return {static_cast<T>(a & b)};
  }
};
struct Or : SetsFlags<FlagFamily::Logic> {
  template <class T>
  static constexpr Result<T> eval(T a, T b) {
    return {static_cast<T>(a | b)};
  }
};
struct Xor : SetsFlags<FlagFamily::Logic> {
  template <class T>
  static constexpr Result<T> eval(T a, T b) {
    return {static_cast<T>(a ^ b)};
  }
};
struct AndNot : SetsFlags<FlagFamily::Logic> {
  template <class T>
  static constexpr Result<T> eval(T a, T b) {
    return {static_cast<T>(~a & b)};
  }
};

/// INC and DEC keep CF.
template <bool kIncrement>
struct Step : SetsFlags<kIncrement ? FlagFamily::Inc : FlagFamily::Dec> {
  template <class T>
  static constexpr Result<T> eval(T a) {
    T result = static_cast<T>(kIncrement ? a + 1 : a - 1);
    return {result, result};
  }
};
using Inc = Step<true>;
using Dec = Step<false>;

struct AddCarry : SetsFlags<FlagFamily::Image> {
  template <class T>
  static constexpr Result<T> eval(T a, T b, u64 carry) {
    T result = static_cast<T>(a + b + (carry & 1));
    bool out = (carry & 1) ? result <= a : result < a;
    bool overflow = msb(static_cast<T>((a ^ result) & (b ^ result)));
    u32 auxiliary = static_cast<u32>(a ^ b ^ result) & Flag::kAf;
    return {result, image_of(sign_zero_parity(result) | carry_overflow(out, overflow) | auxiliary)};
  }
};
struct SubBorrow : SetsFlags<FlagFamily::Image> {
  template <class T>
  static constexpr Result<T> eval(T a, T b, u64 carry) {
    T result = static_cast<T>(a - b - (carry & 1));
    bool out = (carry & 1) ? a <= b : a < b;
    bool overflow = msb(static_cast<T>((a ^ b) & (a ^ result)));
    u32 auxiliary = static_cast<u32>(a ^ b ^ result) & Flag::kAf;
    return {result, image_of(sign_zero_parity(result) | carry_overflow(out, overflow) | auxiliary)};
  }
};
/// ADCX, ADOX: only the flag used as carry changes.
template <u32 kFlag>
struct AddWithFlag : SetsFlags<FlagFamily::Explicit> {
  template <class T>
  static constexpr Result<T> eval(T a, T b, u64 flags) {
    u64 carry = (flags & kFlag) != 0;
    T result = static_cast<T>(a + b + carry);
    bool out = carry ? result <= a : result < a;
    return {result, (flags & ~u64{kFlag}) | (out ? kFlag : 0)};
  }
};
using AddCarryFlag = AddWithFlag<Flag::kCf>;
using AddOverflowFlag = AddWithFlag<Flag::kOf>;

enum class ShiftKind : u8 { Left, Right, Arithmetic };

/// Value and CF of a shift by 1..31 (63); counts above the width shift everything out.
template <ShiftKind K, class T>
constexpr Result<T> shifted(T a, unsigned count) {
  using S = std::make_signed_t<T>;
  constexpr unsigned kWidth = kBits<T>;
  if constexpr (K == ShiftKind::Left) {
    T result = count < kWidth ? static_cast<T>(a << count) : T{0};
    return {result, count <= kWidth && ((a >> (kWidth - count)) & 1) != 0};
  } else if constexpr (K == ShiftKind::Right) {
    T result = count < kWidth ? static_cast<T>(a >> count) : T{0};
    return {result, count <= kWidth && ((a >> (count - 1)) & 1) != 0};
  } else {
    unsigned limited = count < kWidth ? count : kWidth - 1;
    T result = static_cast<T>(static_cast<S>(a) >> limited);
    return {result, count < kWidth ? ((static_cast<S>(a) >> (count - 1)) & 1) != 0 : msb(a)};
  }
}

/// Flags are set only where the count is known not to be zero.
template <ShiftKind K, FlagFamily F>
struct Shift : SetsFlags<F> {
  static constexpr ShiftKind kKind = K;
  template <class T>
  static constexpr Result<T> eval(T a, T b) {
    unsigned count = masked_count<T>(b);
    return count == 0 ? Result<T>{a, 0} : shifted<K>(a, count);
  }
};
using Shl = Shift<ShiftKind::Left, FlagFamily::ShiftLeft>;
using Shr = Shift<ShiftKind::Right, FlagFamily::ShiftRight>;
using Sar = Shift<ShiftKind::Arithmetic, FlagFamily::ShiftArithmetic>;

/// Flags are set only where the masked count is known not to be zero.
template <bool kLeft>
struct Rotate : SetsFlags<kLeft ? FlagFamily::RotateLeft : FlagFamily::RotateRight> {
  template <class T>
  static constexpr Result<T> eval(T a, T b) {
    constexpr unsigned kWidth = kBits<T>;
    unsigned count = masked_count<T>(b) % kWidth, other = (kWidth - count) % kWidth;
    T result = static_cast<T>(kLeft ? (a << count) | (a >> other) : (a >> count) | (a << other));
    return {result, result};
  }
};
using RotateLeft = Rotate<true>;
using RotateRight = Rotate<false>;

/// By a variable count: a masked count of zero keeps the flags.
template <class F>
struct Counted : F {
  using Shift = F;
  template <class T>
  static constexpr bool sets_flags(T count) {
    return masked_count<T>(count) != 0;
  }
};
using ShlCount = Counted<Shl>;
using ShrCount = Counted<Shr>;
using SarCount = Counted<Sar>;
using RotateLeftCount = Counted<RotateLeft>;
using RotateRightCount = Counted<RotateRight>;

/// RCL and RCR rotate width + 1 bits.
template <bool kLeft>
struct RotateThroughCarry : SetsFlags<FlagFamily::Explicit> {
  template <class T>
  static constexpr Result<T> eval(T a, T b, u64 flags) {
    constexpr unsigned kWidth = kBits<T>;
    unsigned masked = masked_count<T>(b), count = masked % (kWidth + 1);
    if (masked == 0) return {a, flags};
    unsigned left = kLeft ? count : kWidth + 1 - count;
    u128 value = a | (static_cast<u128>(flags & Flag::kCf) << kWidth);
    u128 rotated = (value << left) | (value >> (kWidth + 1 - left));
    T result = static_cast<T>(rotated);
    bool carry = (rotated >> kWidth) & 1;
    bool overflow = kLeft ? carry != msb(result) : top_bits_differ(result);
    return {result, with_carry_overflow(flags, carry, overflow)};
  }
};
using RotateCarryLeft = RotateThroughCarry<true>;
using RotateCarryRight = RotateThroughCarry<false>;

/// SHLD, SHRD. 16-bit operands with counts above 16 shift the source in a second time, as on AMD.
template <bool kLeft>
struct DoubleShift : SetsFlags<FlagFamily::Explicit> {
  template <class T>
  static constexpr Result<T> eval(T a, T b, u64 c) {
    constexpr unsigned kWidth = kBits<T>;
    unsigned count = masked_count<T>(c);
    if (count == 0) return {a, 0};
    T result = shifted_pair(a, b, count);
    bool within = count <= kWidth;
    bool carry = within && (kLeft ? (a >> (kWidth - count)) & 1 : (a >> (count - 1)) & 1);
    bool overflow = !kLeft            ? top_bits_differ(result)
                    : count < kWidth  ? carry != msb(result)
                    : count == kWidth ? carry
                                      : false;
    return {result, sign_zero_parity(result) | carry_overflow(carry, overflow) | kShiftAuxiliary};
  }

 private:
  template <class T>
  static constexpr T shifted_pair(T a, T b, unsigned count) {
    constexpr unsigned kWidth = kBits<T>;
    if constexpr (kWidth == 64) {  // counts stay below the width
      return kLeft ? (a << count) | (b >> (64 - count)) : (a >> count) | (b << (64 - count));
    } else {
      u128 twice = (u128{b} << kWidth) | b;
      u128 wide = kLeft ? (u128{a} << (2 * kWidth)) | twice : (twice << kWidth) | a;
      return static_cast<T>(kLeft ? (wide << count) >> (2 * kWidth) : wide >> count);
    }
  }
};
using DoubleShiftLeft = DoubleShift<true>;
using DoubleShiftRight = DoubleShift<false>;

template <class T, bool kSigned>
constexpr T high_half(T a, T b) {
  if constexpr (kSigned) {
    using S = std::make_signed_t<T>;
    return static_cast<T>((static_cast<i128>(static_cast<S>(a)) * static_cast<S>(b)) >> kBits<T>);
  } else {
    return static_cast<T>((static_cast<u128>(a) * b) >> kBits<T>);
  }
}
/// The low half; the flags are those of a signed multiplication.
struct Mul : SetsFlags<FlagFamily::Multiply> {
  template <class T>
  static constexpr Result<T> eval(T a, T b) {
    using S = std::make_signed_t<T>;
    S product = 0;
    bool overflow = __builtin_mul_overflow(static_cast<S>(a), static_cast<S>(b), &product);
    return {static_cast<T>(product), overflow};
  }
};
template <bool kSigned>
struct MulHigh : NoFlags {
  template <class T>
  static constexpr Result<T> eval(T a, T b) {
    return {high_half<T, kSigned>(a, b)};
  }
};
using MulHighUnsigned = MulHigh<false>;
using MulHighSigned = MulHigh<true>;
/// CF and OF tell whether the high half is significant; AMD processors keep the other flags.
template <bool kSigned>
struct MulFlags : SetsFlags<FlagFamily::Multiply> {
  template <class T>
  static constexpr Result<T> eval(T low, T high) {
    T expected = kSigned && msb(low) ? static_cast<T>(~T{0}) : T{0};
    return {low, high != expected};
  }
};
using MulFlagsUnsigned = MulFlags<false>;
using MulFlagsSigned = MulFlags<true>;

struct BitMask : NoFlags {
  template <class T>
  static constexpr Result<T> eval(T, T b) {
    return {static_cast<T>(T{1} << (b % kBits<T>))};
  }
};
struct BitTestFlags : SetsFlags<FlagFamily::Carry> {
  template <class T>
  static constexpr Result<T> eval(T a, T b) {
    return {a, (u64{a} >> (b % kBits<T>)) & 1};
  }
};

template <class T>
constexpr T trailing_zeros(T a) {
  return a == 0 ? static_cast<T>(kBits<T>) : static_cast<T>(__builtin_ctzll(a));
}
template <class T>
constexpr T leading_zeros(T a) {
  return a == 0 ? static_cast<T>(kBits<T>)
                : static_cast<T>(__builtin_clzll(a) - (64 - static_cast<int>(kBits<T>)));
}
/// The destination keeps its value (`before`) where the source is 0, as on AMD.
template <bool kForward>
struct BitScan : SetsFlags<FlagFamily::Explicit> {
  template <class T>
  static constexpr Result<T> eval(T a, T before) {
    if (a == 0) return {before, Flag::kZf | Flag::kPf};
    T found = kForward ? trailing_zeros(a) : static_cast<T>(kBits<T> - 1 - leading_zeros(a));
    return {found, sign_zero_parity(found) & Flag::kPf};
  }
};
using BitScanForward = BitScan<true>;
using BitScanReverse = BitScan<false>;

/// OF stays on AMD.
template <bool kTrailing>
struct CountZeros : SetsFlags<FlagFamily::CountZeros> {
  template <class T>
  static constexpr Result<T> eval(T a) {
    T count = kTrailing ? trailing_zeros(a) : leading_zeros(a);
    return {count, (a == 0 ? Flag::kCf : 0) | (count == 0 ? Flag::kZf : 0)};
  }
};
using Lzcnt = CountZeros<false>;
using Tzcnt = CountZeros<true>;
struct IsZero : NoFlags {
  template <class T>
  static constexpr Result<T> eval(T a) {
    return {static_cast<T>(a == 0)};
  }
};
struct Popcnt : SetsFlags<FlagFamily::Explicit> {
  template <class T>
  static constexpr Result<T> eval(T a) {
    return {static_cast<T>(__builtin_popcountll(a)), u64{a == 0 ? Flag::kZf : 0}};
  }
};

struct Bextr : SetsFlags<FlagFamily::Explicit> {
  template <class T>
  static constexpr Result<T> eval(T a, T b) {
    unsigned start = b & 0xff, length = (static_cast<u64>(b) >> 8) & 0xff;
    T value = start < kBits<T> ? static_cast<T>(a >> start) : T{0};
    if (length < kBits<T>) value &= static_cast<T>((T{1} << length) - 1);
    return {value, (sign_zero_parity(value) & ~Flag::kSf) | Flag::kAf};
  }
};
struct Blsi : SetsFlags<FlagFamily::Explicit> {
  template <class T>
  static constexpr Result<T> eval(T a) {
    T value = static_cast<T>(a & -a);
    return {value, sign_zero_parity(value) | (a != 0 ? Flag::kCf : 0)};
  }
};
struct Blsmsk : SetsFlags<FlagFamily::Explicit> {
  template <class T>
  static constexpr Result<T> eval(T a) {
    T value = static_cast<T>(a ^ (a - 1));
    return {value, sign_zero_parity(value) | (a == 0 ? Flag::kCf : 0)};
  }
};
struct Blsr : SetsFlags<FlagFamily::Explicit> {
  template <class T>
  static constexpr Result<T> eval(T a) {
    T value = static_cast<T>(a & (a - 1));
    return {value, sign_zero_parity(value) | (a == 0 ? Flag::kCf : 0)};
  }
};
struct Bzhi : SetsFlags<FlagFamily::Explicit> {
  template <class T>
  static constexpr Result<T> eval(T a, T b) {
    unsigned index = b & 0xff;
    T value = index < kBits<T> ? static_cast<T>(a & ((T{1} << index) - 1)) : a;
    return {value, sign_zero_parity(value) | (index >= kBits<T> ? Flag::kCf : 0)};
  }
};
struct Pdep : NoFlags {
  template <class T>
  static constexpr Result<T> eval(T a, T mask) {
    T value = 0;
    for (T rest = mask; rest != 0; rest &= static_cast<T>(rest - 1), a >>= 1) {
      if (a & 1) value |= static_cast<T>(rest & -rest);
    }
    return {value};
  }
};
struct Pext : NoFlags {
  template <class T>
  static constexpr Result<T> eval(T a, T mask) {
    T value = 0;
    unsigned position = 0;
    for (T rest = mask; rest != 0; rest &= static_cast<T>(rest - 1), ++position) {
      if (a & rest & -rest) value |= static_cast<T>(T{1} << position);
    }
    return {value};
  }
};

/// CRC-32C (Castagnoli, reflected) of a's low 32 bits continued with b truncated to Source.
template <class Source>
struct Crc32 : NoFlags {
  template <class T>
  static constexpr Result<T> eval(T a, T b) {
    return {static_cast<T>(continued(static_cast<u32>(a), static_cast<Source>(b)))};
  }

 private:
  static constexpr u32 continued(u32 crc, Source data) {
#ifdef __SSE4_2__
    if constexpr (sizeof(Source) == 1) return __builtin_ia32_crc32qi(crc, data);
    if constexpr (sizeof(Source) == 2) return __builtin_ia32_crc32hi(crc, data);
    if constexpr (sizeof(Source) == 4) return __builtin_ia32_crc32si(crc, data);
    if constexpr (sizeof(Source) == 8) return static_cast<u32>(__builtin_ia32_crc32di(crc, data));
#else
    constexpr u32 kPolynomial = 0x82f63b78;
    u64 rest = data;
    for (unsigned byte = 0; byte < sizeof(Source); ++byte, rest >>= 8) {
      crc ^= static_cast<u8>(rest);
      for (int i = 0; i < 8; ++i) crc = crc >> 1 ^ (crc & 1 ? kPolynomial : 0);
    }
    return crc;
#endif
  }
};
using Crc32Byte = Crc32<u8>;
using Crc32Word = Crc32<u16>;
using Crc32Doubleword = Crc32<u32>;
using Crc32Quadword = Crc32<u64>;

struct Select : NoFlags {
  template <class T>
  static constexpr Result<T> eval(T a, T b, u64 condition) {
    return {(condition & 1) ? a : b};
  }
};

}  // namespace penumbra::cpu
