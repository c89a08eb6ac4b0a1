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

struct Pinsrw {
  template <Width W>
  [[gnu::always_inline]] static V128 eval(V128 a, u64 b, u8 immediate) {
    Lanes<u16> words = lanes<u16>(a);
    words[immediate & 7] = static_cast<u16>(b);
    return vector_of(words);
  }
};
struct Pextrw {
  template <Width W>
  [[gnu::always_inline]] static u64 eval(V128 a, u8 immediate) {
    return lanes<u16>(a)[immediate & 7];
  }
};

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
  [[gnu::always_inline]] static u64 eval(V256 a, u8 immediate) {
    u64 high = eval<W>(halves(a).high, immediate);
    return eval<W>(halves(a).low, immediate) | high << (sizeof(V128) / sizeof(Lane));
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

struct Pshufd {
  [[gnu::always_inline]] static V128 eval(V128 a, u8 immediate) {
    Lanes<u32> from = lanes<u32>(a);
    return vector_of(Lanes<u32>{from[immediate & 3], from[(immediate >> 2) & 3],
                                from[(immediate >> 4) & 3], from[immediate >> 6]});
  }
};

/// Shuffles the four words from `First` on; the others stay.
template <unsigned First>
struct ShuffleWords {
  [[gnu::always_inline]] static V128 eval(V128 a, u8 immediate) {
    Lanes<u16> from = lanes<u16>(a), to = from;
    to[First] = from[First + (immediate & 3)];
    to[First + 1] = from[First + ((immediate >> 2) & 3)];
    to[First + 2] = from[First + ((immediate >> 4) & 3)];
    to[First + 3] = from[First + (immediate >> 6)];
    return vector_of(to);
  }
};
using Pshuflw = ShuffleWords<0>;
using Pshufhw = ShuffleWords<4>;

struct Shufps {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b, u8 immediate) {
    Lanes<u32> x = lanes<u32>(a), y = lanes<u32>(b);
    return vector_of(Lanes<u32>{x[immediate & 3], x[(immediate >> 2) & 3], y[(immediate >> 4) & 3],
                                y[immediate >> 6]});
  }
};
struct Shufpd {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b, u8 immediate) {
    return vector_of(Lanes<u64>{lanes<u64>(a)[immediate & 1], lanes<u64>(b)[(immediate >> 1) & 1]});
  }
};

}  // namespace PENUMBRA_TARGET
}  // namespace penumbra::cpu
