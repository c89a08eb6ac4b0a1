// Micro-ops that move lanes: moves, merges, pack, unpack, shuffles, inserts and extracts.
//
// Pure. None looks at a lane as a number except the packs, which saturate. An immediate's unused
// high bits are ignored, as by the instructions.
#pragma once

#include "cpu/semantics/vector_types.h"

namespace penumbra::cpu {
inline namespace PENUMBRA_TARGET {

// -- moves ---------------------------------------------------------------------------------------

struct VectorMove {
  template <class V>
  [[gnu::always_inline]] static V eval(V a) {
    return a;
  }
};
/// What VEX forms of 128 bits do to the register behind their result.
struct ClearUpper {
  [[gnu::always_inline]] static V256 eval(V256 a) { return join(low_part(a), _mm_setzero_si128()); }
};
/// MOVQ xmm, xmm: the low quadword, zero-extended.
struct Movq {
  [[gnu::always_inline]] static V128 eval(V128 a) { return zero_extend_half(a); }
};

/// a with its low lane from b.
template <class Lane>
struct MergeLowLane {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
    Lanes<Lane> merged = lanes<Lane>(a);
    merged[0] = lanes<Lane>(b)[0];
    return vector_of(merged);
  }
};
using Movss = MergeLowLane<u32>;
using Movsd = MergeLowLane<u64>;

/// MOVD and MOVQ between general and vector registers.
struct MoveFromInteger {
  template <Width W>
  [[gnu::always_inline]] static V128 eval(V128, u64 b, u8) {
    return vector_of(Lanes<u64>{b, 0});
  }
};
struct MoveToInteger {
  template <Width W>
  [[gnu::always_inline]] static u64 eval(V128 a, u8) {
    return low_half(a) & mask(W);
  }
};

// -- inserts, extracts, masks --------------------------------------------------------------------

/// Lanes by number, which wraps. Shifts of quadwords: host code that indexes a vector by a variable
/// would need it in memory.
template <class Lane>
struct LanePlace {
  static constexpr unsigned kBits = sizeof(Lane) * 8, kInHalf = 64 / kBits;

  [[gnu::always_inline]] explicit LanePlace(u8 number)
      : shift(number % kInHalf * kBits), is_high(number / kInHalf % 2 != 0) {}

  unsigned shift;  ///< within the quadword
  bool is_high;
};

template <class Lane>
struct InsertLane {
  template <Width W>
  [[gnu::always_inline]] static V128 eval(V128 a, u64 b, u8 immediate) {
    LanePlace<Lane> place(immediate);
    V128 mask = in_half(u64{static_cast<Lane>(~Lane{0})} << place.shift, place.is_high);
    V128 value = in_half(u64{static_cast<Lane>(b)} << place.shift, place.is_high);
    return (a & ~mask) | value;
  }

 private:
  [[gnu::always_inline]] static V128 in_half(u64 value, bool is_high) {
    return vector_of(Lanes<u64>{is_high ? 0 : value, is_high ? value : 0});
  }
};
template <class Lane>
struct ExtractLane {
  template <Width W>
  [[gnu::always_inline]] static u64 eval(V128 a, u8 immediate) {
    LanePlace<Lane> place(immediate);
    u64 half = place.is_high ? lanes<u64>(a)[1] : lanes<u64>(a)[0];
    return static_cast<Lane>(half >> place.shift);
  }
};
using Pinsrw = InsertLane<u16>;
using Pextrw = ExtractLane<u16>;

/// The most significant bit of each lane, lane 0 in bit 0.
template <class Lane>
struct MoveMask {
  template <Width W>
  [[gnu::always_inline]] static u64 eval(V128 a, u8) {
    if constexpr (sizeof(Lane) == 1) {
      return static_cast<u32>(_mm_movemask_epi8(a));
    } else if constexpr (sizeof(Lane) == 4) {
      return static_cast<u32>(_mm_movemask_ps(_mm_castsi128_ps(a)));
    } else {
      return static_cast<u32>(_mm_movemask_pd(_mm_castsi128_pd(a)));
    }
  }
  template <Width W>
  [[gnu::always_inline]] static u64 eval(V256 a, [[maybe_unused]] u8 immediate) {
#ifdef __AVX2__
    if constexpr (sizeof(Lane) == 1) return static_cast<u32>(_mm256_movemask_epi8(a));
    if constexpr (sizeof(Lane) == 4)
      return static_cast<u32>(_mm256_movemask_ps(_mm256_castsi256_ps(a)));
    return static_cast<u32>(_mm256_movemask_pd(_mm256_castsi256_pd(a)));
#else
    u64 high = eval<W>(halves(a).high, immediate);
    return eval<W>(halves(a).low, immediate) | high << (sizeof(V128) / sizeof(Lane));
#endif
  }
};
using Pmovmskb = MoveMask<u8>;
using Movmskps = MoveMask<u32>;
using Movmskpd = MoveMask<u64>;

// -- pack and unpack -----------------------------------------------------------------------------

struct Packsswb {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_width([](V128 x, V128 y) { return _mm_packs_epi16(x, y); },
                    [](auto x, auto y) { return _mm256_packs_epi16(x, y); }, a, b);
  }
};
struct Packssdw {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_width([](V128 x, V128 y) { return _mm_packs_epi32(x, y); },
                    [](auto x, auto y) { return _mm256_packs_epi32(x, y); }, a, b);
  }
};
struct Packuswb {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_width([](V128 x, V128 y) { return _mm_packus_epi16(x, y); },
                    [](auto x, auto y) { return _mm256_packus_epi16(x, y); }, a, b);
  }
};

template <class Lane>
struct UnpackLow {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    if constexpr (sizeof(Lane) == 1) {
      return by_width([](V128 x, V128 y) { return _mm_unpacklo_epi8(x, y); },
                      [](auto x, auto y) { return _mm256_unpacklo_epi8(x, y); }, a, b);
    } else if constexpr (sizeof(Lane) == 2) {
      return by_width([](V128 x, V128 y) { return _mm_unpacklo_epi16(x, y); },
                      [](auto x, auto y) { return _mm256_unpacklo_epi16(x, y); }, a, b);
    } else if constexpr (sizeof(Lane) == 4) {
      return by_width([](V128 x, V128 y) { return _mm_unpacklo_epi32(x, y); },
                      [](auto x, auto y) { return _mm256_unpacklo_epi32(x, y); }, a, b);
    } else {
      return by_width([](V128 x, V128 y) { return _mm_unpacklo_epi64(x, y); },
                      [](auto x, auto y) { return _mm256_unpacklo_epi64(x, y); }, a, b);
    }
  }
};
using Punpcklbw = UnpackLow<u8>;
using Punpcklwd = UnpackLow<u16>;
using Punpckldq = UnpackLow<u32>;
using Punpcklqdq = UnpackLow<u64>;

template <class Lane>
struct UnpackHigh {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    if constexpr (sizeof(Lane) == 1) {
      return by_width([](V128 x, V128 y) { return _mm_unpackhi_epi8(x, y); },
                      [](auto x, auto y) { return _mm256_unpackhi_epi8(x, y); }, a, b);
    } else if constexpr (sizeof(Lane) == 2) {
      return by_width([](V128 x, V128 y) { return _mm_unpackhi_epi16(x, y); },
                      [](auto x, auto y) { return _mm256_unpackhi_epi16(x, y); }, a, b);
    } else if constexpr (sizeof(Lane) == 4) {
      return by_width([](V128 x, V128 y) { return _mm_unpackhi_epi32(x, y); },
                      [](auto x, auto y) { return _mm256_unpackhi_epi32(x, y); }, a, b);
    } else {
      return by_width([](V128 x, V128 y) { return _mm_unpackhi_epi64(x, y); },
                      [](auto x, auto y) { return _mm256_unpackhi_epi64(x, y); }, a, b);
    }
  }
};
using Punpckhbw = UnpackHigh<u8>;
using Punpckhwd = UnpackHigh<u16>;
using Punpckhdq = UnpackHigh<u32>;
using Punpckhqdq = UnpackHigh<u64>;

// -- shuffles: two bits of the immediate choose each lane ----------------------------------------

/// The four choices of an immediate, twice, as words.
[[gnu::always_inline]] inline Lanes<u16> choices(u8 immediate) {
  Lanes<u16> all = Lanes<u16>{} + immediate;
  return all * Lanes<u16>{64, 16, 4, 1, 64, 16, 4, 1} >> 6 & 3;
}

#ifdef __SSSE3__
/// The byte numbers of the doublewords chosen.
[[gnu::always_inline]] inline V128 doubleword_choices(u8 immediate) {
  V128 doubled = vector_of(choices(immediate));
  Lanes<u32> number = lanes<u32>(_mm_unpacklo_epi16(doubled, doubled));
  Lanes<u8> first = lanes<u8>(vector_of(number << 2 | number << 10));
  return vector_of(first + Lanes<u8>{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3});
}
#endif

struct Pshufd {
  [[gnu::always_inline]] static V128 eval(V128 a, u8 immediate) {
#ifdef __SSSE3__
    return _mm_shuffle_epi8(a, doubleword_choices(immediate));
#else
    Lanes<u32> from = lanes<u32>(a);
    return vector_of(Lanes<u32>{from[immediate & 3], from[(immediate >> 2) & 3],
                                from[(immediate >> 4) & 3], from[immediate >> 6]});
#endif
  }
};

/// Shuffles the four words from `First` on; the others stay.
template <unsigned First>
struct ShuffleWords {
  [[gnu::always_inline]] static V128 eval(V128 a, u8 immediate) {
#ifdef __SSSE3__
    constexpr u16 kFirst = 0x0100 + First * 0x0202;
    Lanes<u16> bytes = choices(immediate) * 0x0202 + kFirst;
    Lanes<u16> same = {0x0100, 0x0302, 0x0504, 0x0706, 0x0908, 0x0b0a, 0x0d0c, 0x0f0e};
    Lanes<u64> low = lanes<u64>(vector_of(First == 0 ? bytes : same));
    Lanes<u64> high = lanes<u64>(vector_of(First == 0 ? same : bytes));
    return _mm_shuffle_epi8(a, vector_of(Lanes<u64>{low[0], high[1]}));
#else
    Lanes<u16> from = lanes<u16>(a), to = from;
    to[First] = from[First + (immediate & 3)];
    to[First + 1] = from[First + ((immediate >> 2) & 3)];
    to[First + 2] = from[First + ((immediate >> 4) & 3)];
    to[First + 3] = from[First + (immediate >> 6)];
    return vector_of(to);
#endif
  }
};
using Pshuflw = ShuffleWords<0>;
using Pshufhw = ShuffleWords<4>;

struct Shufps {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b, u8 immediate) {
#ifdef __SSSE3__
    V128 bytes = doubleword_choices(immediate);
    Lanes<u64> x = lanes<u64>(_mm_shuffle_epi8(a, bytes)),
               y = lanes<u64>(_mm_shuffle_epi8(b, bytes));
    return vector_of(Lanes<u64>{x[0], y[1]});
#else
    Lanes<u32> x = lanes<u32>(a), y = lanes<u32>(b);
    return vector_of(Lanes<u32>{x[immediate & 3], x[(immediate >> 2) & 3], y[(immediate >> 4) & 3],
                                y[immediate >> 6]});
#endif
  }
};
struct Shufpd {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b, u8 immediate) {
    return vector_of(Lanes<u64>{ExtractLane<u64>::eval<Width::W64>(a, immediate),
                                ExtractLane<u64>::eval<Width::W64>(b, immediate >> 1)});
  }
  [[gnu::always_inline]] static V256 eval(V256 a, V256 b, u8 immediate) {
    return join(eval(halves(a).low, halves(b).low, immediate),
                eval(halves(a).high, halves(b).high, immediate >> 2));
  }
};

}  // namespace PENUMBRA_TARGET
}  // namespace penumbra::cpu
