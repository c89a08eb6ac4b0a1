// AES rounds, carry-less multiplication, SHA-1 and SHA-256 steps (SDM 2; FIPS 197, FIPS 180-4).
//
// Pure. Hosts without the instructions use the definitions of the standards. A vector holds the AES
// state column by column; SHA's first word of four stands in the highest lane.
#pragma once

#include <array>
#include <bit>

#include "cpu/semantics/vector_shuffle.h"

namespace penumbra::cpu {
inline namespace PENUMBRA_TARGET {

// -- AES -----------------------------------------------------------------------------------------

namespace aes {

/// Times x in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1.
constexpr u8 times_x(u8 a) { return static_cast<u8>(a << 1 ^ (a & 0x80 ? 0x1b : 0)); }

constexpr u8 multiply(u8 a, u8 b) {
  u8 product = 0;
  for (; b != 0; b >>= 1, a = times_x(a))
    if (b & 1) product ^= a;
  return product;
}

constexpr u8 transform(u8 a) {
  return a ^ std::rotl(a, 1) ^ std::rotl(a, 2) ^ std::rotl(a, 3) ^ std::rotl(a, 4) ^ 0x63;
}

using Box = std::array<u8, 256>;
/// The affine transformation of the inverse (FIPS 197, 5.1.1). Every number but 0 is a power of 3,
/// whose inverse is F6h.
constexpr Box make_box() {
  Box box{transform(0)};
  u8 number = 1, inverse = 1;
  for (unsigned i = 0; i < 255; ++i) {
    box[number] = transform(inverse);
    number = multiply(number, 3);
    inverse = multiply(inverse, 0xf6);
  }
  return box;
}
constexpr Box inverse_of(const Box& box) {
  Box inverse{};
  for (unsigned i = 0; i < 256; ++i) inverse[box[i]] = static_cast<u8>(i);
  return inverse;
}
inline constexpr Box kBox = make_box(), kInverseBox = inverse_of(kBox);

/// SubBytes and ShiftRows: row r comes from r columns to the right, or to the left.
inline V128 substitute_shifted(V128 state, const Box& box, unsigned step) {
  Lanes<u8> from = lanes<u8>(state), to{};
  for (unsigned i = 0; i < 16; ++i) to[i] = box[from[(i + (i & 3) * step * 4) & 15]];
  return vector_of(to);
}

/// Bytes of all columns times x.
inline Lanes<u8> all_times_x(Lanes<u8> a) {
  Lanes<u8> carry = lanes<u8>(vector_of(lanes<i8>(vector_of(a)) < 0));
  return a << 1 ^ (carry & 0x1b);
}

/// Each column rotated by bytes towards its top.
inline Lanes<u8> rotated(Lanes<u8> a, unsigned bytes) {
  Lanes<u32> columns = lanes<u32>(vector_of(a));
  return lanes<u8>(vector_of(columns >> (8 * bytes) | columns << (32 - 8 * bytes)));
}

inline V128 mix_columns(V128 state) {
  Lanes<u8> a = lanes<u8>(state), doubled = all_times_x(a);
  Lanes<u8> tripled = doubled ^ a;
  return vector_of(doubled ^ rotated(tripled, 1) ^ rotated(a, 2) ^ rotated(a, 3));
}

/// MixColumns with the coefficients 14, 11, 13, 9 (FIPS 197, 5.3.3).
inline V128 inverse_mix_columns(V128 state) {
  Lanes<u8> a = lanes<u8>(state), by2 = all_times_x(a), by4 = all_times_x(by2);
  Lanes<u8> by8 = all_times_x(by4), by9 = by8 ^ a;
  return vector_of((by8 ^ by4 ^ by2) ^ rotated(by9 ^ by2, 1) ^ rotated(by9 ^ by4, 2) ^
                   rotated(by9, 3));
}

}  // namespace aes

/// One round of encryption; b is the round key.
struct Aesenc {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
#ifdef __AES__
    return _mm_aesenc_si128(a, b);
#else
    return aes::mix_columns(aes::substitute_shifted(a, aes::kBox, 1)) ^ b;
#endif
  }
};
struct Aesenclast {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
#ifdef __AES__
    return _mm_aesenclast_si128(a, b);
#else
    return aes::substitute_shifted(a, aes::kBox, 1) ^ b;
#endif
  }
};
/// Of the equivalent inverse cipher (FIPS 197, 5.3.5).
struct Aesdec {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
#ifdef __AES__
    return _mm_aesdec_si128(a, b);
#else
    return aes::inverse_mix_columns(aes::substitute_shifted(a, aes::kInverseBox, 3)) ^ b;
#endif
  }
};
struct Aesdeclast {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
#ifdef __AES__
    return _mm_aesdeclast_si128(a, b);
#else
    return aes::substitute_shifted(a, aes::kInverseBox, 3) ^ b;
#endif
  }
};
struct Aesimc {
  [[gnu::always_inline]] static V128 eval(V128 a) {
#ifdef __AES__
    return _mm_aesimc_si128(a);
#else
    return aes::inverse_mix_columns(a);
#endif
  }
};
/// Doublewords 1 and 3 substituted, and those rotated with the immediate as round constant.
struct Aeskeygenassist {
  [[gnu::always_inline]] static V128 eval(V128 a, u8 immediate) {
#ifdef __AES__
    return _mm_aeskeygenassist_si128(a, 0) ^ vector_of(Lanes<u32>{0, immediate, 0, immediate});
#else
    Lanes<u32> boxed = lanes<u32>(aes::substitute_shifted(a, aes::kBox, 0));
    u32 low = boxed[1], high = boxed[3];
    return vector_of(
        Lanes<u32>{low, std::rotr(low, 8) ^ immediate, high, std::rotr(high, 8) ^ immediate});
#endif
  }
};

// -- carry-less multiplication -------------------------------------------------------------------

/// Bit 0 of the immediate chooses the quadword of a, bit 4 that of b.
struct Pclmulqdq {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b, u8 immediate) {
    u64 x = ExtractLane<u64>::eval<Width::W64>(a, immediate);
    u64 y = ExtractLane<u64>::eval<Width::W64>(b, immediate >> 4);
#ifdef __PCLMUL__
    return _mm_clmulepi64_si128(vector_of(Lanes<u64>{x, 0}), vector_of(Lanes<u64>{y, 0}), 0);
#else
    u128 product = 0;
    for (; y != 0; y &= y - 1) product ^= u128{x} << std::countr_zero(y);
    return vector_of(product);
#endif
  }
};

// -- SHA -----------------------------------------------------------------------------------------

namespace sha {

constexpr u32 choose(u32 x, u32 y, u32 z) { return (x & y) ^ (~x & z); }
constexpr u32 majority(u32 x, u32 y, u32 z) { return (x & y) ^ (x & z) ^ (y & z); }
constexpr u32 parity(u32 x, u32 y, u32 z) { return x ^ y ^ z; }

/// FIPS 180-4, 4.1.1 and 4.2.1: the function and the constant of 20 rounds.
template <unsigned kStage>
constexpr u32 mix(u32 b, u32 c, u32 d) {
  if constexpr (kStage == 0) return choose(b, c, d) + 0x5a827999;
  if constexpr (kStage == 1) return parity(b, c, d) + 0x6ed9eba1;
  if constexpr (kStage == 2) return majority(b, c, d) + 0x8f1bbcdc;
  return parity(b, c, d) + 0xca62c1d6;
}

constexpr u32 big_sigma_0(u32 x) { return std::rotr(x, 2) ^ std::rotr(x, 13) ^ std::rotr(x, 22); }
constexpr u32 big_sigma_1(u32 x) { return std::rotr(x, 6) ^ std::rotr(x, 11) ^ std::rotr(x, 25); }
constexpr u32 sigma_0(u32 x) { return std::rotr(x, 7) ^ std::rotr(x, 18) ^ x >> 3; }
constexpr u32 sigma_1(u32 x) { return std::rotr(x, 17) ^ std::rotr(x, 19) ^ x >> 10; }

}  // namespace sha

/// Four rounds of SHA-1: a holds A to D, b the words to add, the first with E in it.
template <unsigned kStage>
struct Sha1Rounds {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
#ifdef __SHA__
    return _mm_sha1rnds4_epu32(a, b, kStage);
#else
    Lanes<u32> state = lanes<u32>(a), word = lanes<u32>(b);
    u32 e = 0;
    for (int i = 3; i >= 0; --i) {
      u32 next =
          sha::mix<kStage>(state[2], state[1], state[0]) + std::rotl(state[3], 5) + e + word[i];
      e = state[0];
      state = Lanes<u32>{state[1], std::rotl(state[2], 30), state[3], next};
    }
    return vector_of(state);
#endif
  }
};
using Sha1RoundsChoose = Sha1Rounds<0>;
using Sha1RoundsParity = Sha1Rounds<1>;
using Sha1RoundsMajority = Sha1Rounds<2>;
using Sha1RoundsLast = Sha1Rounds<3>;

/// b with the E of four rounds later, which a's A becomes, added to its first word.
struct Sha1nexte {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
    Lanes<u32> words = lanes<u32>(b);
    words[3] += std::rotl(u32{lanes<u32>(a)[3]}, 30);
    return vector_of(words);
  }
};
struct Sha1msg1 {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
    Lanes<u32> x = lanes<u32>(a), y = lanes<u32>(b);
    return vector_of(x ^ __builtin_shufflevector(x, y, 6, 7, 0, 1));
  }
};
struct Sha1msg2 {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
    Lanes<u32> x = lanes<u32>(a), y = lanes<u32>(b);
    u32 w16 = std::rotl(x[3] ^ y[2], 1), w17 = std::rotl(x[2] ^ y[1], 1);
    u32 w18 = std::rotl(x[1] ^ y[0], 1), w19 = std::rotl(x[0] ^ w16, 1);
    return vector_of(Lanes<u32>{w19, w18, w17, w16});
  }
};

/// Two rounds of SHA-256: a holds C, D, G, H; b A, B, E, F; c the words with their constants.
struct Sha256rnds2 {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b, V128 c) {
#ifdef __SHA__
    return _mm_sha256rnds2_epu32(a, b, c);
#else
    Lanes<u32> cdgh = lanes<u32>(a), abef = lanes<u32>(b), word = lanes<u32>(c);
    for (int i = 0; i < 2; ++i) {
      u32 temporary =
          cdgh[0] + sha::big_sigma_1(abef[1]) + sha::choose(abef[1], abef[0], cdgh[1]) + word[i];
      u32 next_a = temporary + sha::big_sigma_0(abef[3]) + sha::majority(abef[3], abef[2], cdgh[3]);
      Lanes<u32> next{abef[1], temporary + cdgh[2], abef[3], next_a};
      cdgh = Lanes<u32>{cdgh[1], abef[0], cdgh[3], abef[2]};
      abef = next;
    }
    return vector_of(abef);
#endif
  }
};
struct Sha256msg1 {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
    Lanes<u32> words = lanes<u32>(a);
    Lanes<u32> next{words[1], words[2], words[3], lanes<u32>(b)[0]};
    for (int i = 0; i < 4; ++i) words[i] += sha::sigma_0(next[i]);
    return vector_of(words);
  }
};
struct Sha256msg2 {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
    Lanes<u32> words = lanes<u32>(a), last = lanes<u32>(b);
    words[0] += sha::sigma_1(last[2]);
    words[1] += sha::sigma_1(last[3]);
    words[2] += sha::sigma_1(words[0]);
    words[3] += sha::sigma_1(words[1]);
    return vector_of(words);
  }
};

}  // namespace PENUMBRA_TARGET
}  // namespace penumbra::cpu
