// Micro-ops that AVX and AVX2 add: broadcasts, permutations across and within halves, shifts by
// vectors, and tests of sign bits.
//
// Pure. Where the manual has 256-bit forms only, so has the micro-op.
#pragma once

#include "cpu/flags.h"
#include "cpu/semantics/vector_integer.h"
#include "cpu/semantics/vector_shuffle.h"

namespace penumbra::cpu {
inline namespace PENUMBRA_TARGET {

/// A vector as an array, for indices that are values.
template <class Lane, class V>
struct LaneArray {
  Lane at[sizeof(V) / sizeof(Lane)];

  [[gnu::always_inline]] static LaneArray of(V value) {
    return __builtin_bit_cast(LaneArray, value);
  }
  [[gnu::always_inline]] V vector() const { return __builtin_bit_cast(V, *this); }
};

/// Every lane is lane 0 of a.
template <class Lane>
struct Broadcast {
  [[gnu::always_inline]] static V128 eval(V128 a) {
    return vector_of(Lanes<Lane>{} + lanes<Lane>(a)[0]);
  }
  [[gnu::always_inline]] static V256 eval(V256 a) {
    V128 all = eval(low_part(a));
    return join(all, all);
  }
};
using Broadcastb = Broadcast<u8>;
using Broadcastw = Broadcast<u16>;
using Broadcastd = Broadcast<u32>;
using Broadcastq = Broadcast<u64>;

/// VPERM2F128: four bits of the immediate choose each half of the result.
struct PermuteHalves {
  using Only256 = V256;
#ifdef __AVX2__
  [[gnu::always_inline]] static V256 eval(V256 a, V256 b, u8 immediate) {
    V256 choices =
        _mm256_srlv_epi32(_mm256_set1_epi32(immediate), _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4));
    V256 high = _mm256_and_si256(_mm256_slli_epi32(choices, 2), _mm256_set1_epi32(4));
    V256 index = _mm256_or_si256(high, _mm256_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3));
    V256 x = _mm256_permutevar8x32_epi32(a, index), y = _mm256_permutevar8x32_epi32(b, index);
    V256 second = _mm256_srai_epi32(_mm256_slli_epi32(choices, 30), 31);
    V256 nothing = _mm256_srai_epi32(_mm256_slli_epi32(choices, 28), 31);
    return _mm256_andnot_si256(nothing, _mm256_blendv_epi8(x, y, second));
  }
#else
  [[gnu::always_inline]] static V256 eval(V256 a, V256 b, u8 immediate) {
    return join(half(a, b, immediate), half(a, b, immediate >> 4));
  }
#endif

 private:
  [[gnu::always_inline]] static V128 half(V256 a, V256 b, unsigned choice) {
    V256 from = choice & 2 ? b : a;
    V128 chosen = choice & 1 ? halves(from).high : halves(from).low;
    return choice & 8 ? _mm_setzero_si128() : chosen;
  }
};

/// VPERMD and VPERMPS: dwords of b by the indices in a.
struct PermuteDwords {
  using Only256 = V256;
  [[gnu::always_inline]] static V256 eval(V256 a, V256 b) {
#ifdef __AVX2__
    return _mm256_permutevar8x32_epi32(b, a);
#else
    using Dwords = LaneArray<u32, V256>;
    Dwords index = Dwords::of(a), from = Dwords::of(b), to;
    for (unsigned i = 0; i < 8; ++i) to.at[i] = from.at[index.at[i] & 7];
    return to.vector();
#endif
  }
};

/// VPERMQ and VPERMPD: two bits of the immediate choose each quadword.
struct PermuteQuadwords {
  using Only256 = V256;
  [[gnu::always_inline]] static V256 eval(V256 a, u8 immediate) {
#ifdef __AVX2__
    V256 choices = _mm256_srlv_epi32(_mm256_set1_epi32(immediate << 1),
                                     _mm256_setr_epi32(0, 0, 2, 2, 4, 4, 6, 6));
    V256 even = _mm256_and_si256(choices, _mm256_set1_epi32(6));
    V256 index = _mm256_or_si256(even, _mm256_setr_epi32(0, 1, 0, 1, 0, 1, 0, 1));
    return _mm256_permutevar8x32_epi32(a, index);
#else
    using Quadwords = LaneArray<u64, V256>;
    Quadwords from = Quadwords::of(a), to;
    for (unsigned i = 0; i < 4; ++i) to.at[i] = from.at[immediate >> (2 * i) & 3];
    return to.vector();
#endif
  }
};

/// VPERMILPS and VPERMILPD by a vector: lanes of a half by indices in b, from bit kFirstBit on.
template <class Lane, unsigned kFirstBit>
struct PermuteInHalf {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
    using Array = LaneArray<Lane, V128>;
    constexpr unsigned kLanes = sizeof(V128) / sizeof(Lane);
    Array from = Array::of(a), index = Array::of(b), to;
    for (unsigned i = 0; i < kLanes; ++i)
      to.at[i] = from.at[index.at[i] >> kFirstBit & (kLanes - 1)];
    return to.vector();
  }
};
using Permilps = PermuteInHalf<u32, 0>;
using Permilpd = PermuteInHalf<u64, 1>;

/// VPERMILPD by an immediate: one bit a lane.
struct PermilpdImmediate {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, u8 immediate) {
    return Shufpd::eval(a, a, immediate);
  }
};

// -- shifts of each lane by its own count --------------------------------------------------------

/// One shift of all lanes by each count: compilers make floating-point arithmetic, which raises
/// exceptions, of shifts by vectors that the host does not have.
template <class Lane, class Shift>
[[gnu::always_inline]] inline V128 shift_each(V128 a, V128 counts) {
  Lanes<Lane> to{};
  for (unsigned i = 0; i < sizeof(V128) / sizeof(Lane); ++i) {
    V128 count = vector_of(Lanes<u64>{static_cast<u64>(lanes<Lane>(counts)[i]), 0});
    to[i] = lanes<Lane>(Shift::eval(a, count))[i];
  }
  return vector_of(to);
}

/// Counts beyond the lane leave nothing, or its sign for the arithmetic one.
struct Psllvd {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_width([](V128 x, V128 y) { return shift_each<u32, Pslld>(x, y); },
                    [](auto x, auto y) { return _mm256_sllv_epi32(x, y); }, a, b);
  }
};
struct Psllvq {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_width([](V128 x, V128 y) { return shift_each<u64, Psllq>(x, y); },
                    [](auto x, auto y) { return _mm256_sllv_epi64(x, y); }, a, b);
  }
};
struct Psrlvd {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_width([](V128 x, V128 y) { return shift_each<u32, Psrld>(x, y); },
                    [](auto x, auto y) { return _mm256_srlv_epi32(x, y); }, a, b);
  }
};
struct Psrlvq {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_width([](V128 x, V128 y) { return shift_each<u64, Psrlq>(x, y); },
                    [](auto x, auto y) { return _mm256_srlv_epi64(x, y); }, a, b);
  }
};
struct Psravd {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_width([](V128 x, V128 y) { return shift_each<u32, Psrad>(x, y); },
                    [](auto x, auto y) { return _mm256_srav_epi32(x, y); }, a, b);
  }
};

// -- flags ---------------------------------------------------------------------------------------

/// VTESTPS and VTESTPD: ZF where no lane of a & b has its sign bit, CF where none of ~a & b has.
template <class Lane>
struct TestSigns {
  template <class V>
  [[gnu::always_inline]] static u32 eval(V a, V b) {
    u64 x = MoveMask<Lane>::template eval<Width::W32>(a, 0);
    u64 y = MoveMask<Lane>::template eval<Width::W32>(b, 0);
    return ((x & y) == 0 ? Flag::kZf : 0) | ((~x & y) == 0 ? Flag::kCf : 0);
  }
};
using Testps = TestSigns<u32>;
using Testpd = TestSigns<u64>;

}  // namespace PENUMBRA_TARGET
}  // namespace penumbra::cpu
