// Packed integer micro-ops: arithmetic, logic, comparison and shifts (SDM 2, MMX and SSE2).
//
// Pure functions of their operands. MMX instructions use the same micro-ops on the low half of an
// MMX register's slot: lane n of the result depends on lane n of the operands (and on the low
// quadword of a shift count) only. Pack, unpack and shuffle are in vector_shuffle.h.
#pragma once

#include "cpu/semantics/vector_types.h"

namespace penumbra::cpu {
inline namespace PENUMBRA_TARGET {

template <class Lane>
struct PackedAdd {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_parts([](auto x, auto y) { return vector_of(lanes<Lane>(x) + lanes<Lane>(y)); }, a,
                    b);
  }
};
using Paddb = PackedAdd<u8>;
using Paddw = PackedAdd<u16>;
using Paddd = PackedAdd<u32>;
using Paddq = PackedAdd<u64>;

template <class Lane>
struct PackedSub {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_parts([](auto x, auto y) { return vector_of(lanes<Lane>(x) - lanes<Lane>(y)); }, a,
                    b);
  }
};
using Psubb = PackedSub<u8>;
using Psubw = PackedSub<u16>;
using Psubd = PackedSub<u32>;
using Psubq = PackedSub<u64>;

/// Saturation is that of the lane type, signed or unsigned.
template <class Lane>
struct PackedAddSaturating {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_parts(
        [](auto x, auto y) {
          return vector_of(__builtin_elementwise_add_sat(lanes<Lane>(x), lanes<Lane>(y)));
        },
        a, b);
  }
};
using Paddsb = PackedAddSaturating<i8>;
using Paddsw = PackedAddSaturating<i16>;
using Paddusb = PackedAddSaturating<u8>;
using Paddusw = PackedAddSaturating<u16>;

template <class Lane>
struct PackedSubSaturating {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_parts(
        [](auto x, auto y) {
          return vector_of(__builtin_elementwise_sub_sat(lanes<Lane>(x), lanes<Lane>(y)));
        },
        a, b);
  }
};
using Psubsb = PackedSubSaturating<i8>;
using Psubsw = PackedSubSaturating<i16>;
using Psubusb = PackedSubSaturating<u8>;
using Psubusw = PackedSubSaturating<u16>;

template <class Lane>
struct PackedMin {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_parts(
        [](auto x, auto y) {
          return vector_of(__builtin_elementwise_min(lanes<Lane>(x), lanes<Lane>(y)));
        },
        a, b);
  }
};
using Pminub = PackedMin<u8>;
using Pminsw = PackedMin<i16>;

template <class Lane>
struct PackedMax {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_parts(
        [](auto x, auto y) {
          return vector_of(__builtin_elementwise_max(lanes<Lane>(x), lanes<Lane>(y)));
        },
        a, b);
  }
};
using Pmaxub = PackedMax<u8>;
using Pmaxsw = PackedMax<i16>;

/// Rounded up: (a + b + 1) >> 1 without overflow.
template <class Lane>
struct PackedAverage {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    if constexpr (sizeof(Lane) == 1) {
      return by_width([](V128 x, V128 y) { return _mm_avg_epu8(x, y); },
                      [](auto x, auto y) { return _mm256_avg_epu8(x, y); }, a, b);
    } else {
      return by_width([](V128 x, V128 y) { return _mm_avg_epu16(x, y); },
                      [](auto x, auto y) { return _mm256_avg_epu16(x, y); }, a, b);
    }
  }
};
using Pavgb = PackedAverage<u8>;
using Pavgw = PackedAverage<u16>;

// -- multiplication ------------------------------------------------------------------------------

struct Pmullw {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_width([](V128 x, V128 y) { return _mm_mullo_epi16(x, y); },
                    [](auto x, auto y) { return _mm256_mullo_epi16(x, y); }, a, b);
  }
};
struct Pmulhw {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_width([](V128 x, V128 y) { return _mm_mulhi_epi16(x, y); },
                    [](auto x, auto y) { return _mm256_mulhi_epi16(x, y); }, a, b);
  }
};
struct Pmulhuw {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_width([](V128 x, V128 y) { return _mm_mulhi_epu16(x, y); },
                    [](auto x, auto y) { return _mm256_mulhi_epu16(x, y); }, a, b);
  }
};
struct Pmaddwd {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_width([](V128 x, V128 y) { return _mm_madd_epi16(x, y); },
                    [](auto x, auto y) { return _mm256_madd_epi16(x, y); }, a, b);
  }
};
struct Pmuludq {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_width([](V128 x, V128 y) { return _mm_mul_epu32(x, y); },
                    [](auto x, auto y) { return _mm256_mul_epu32(x, y); }, a, b);
  }
};
struct Psadbw {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_width([](V128 x, V128 y) { return _mm_sad_epu8(x, y); },
                    [](auto x, auto y) { return _mm256_sad_epu8(x, y); }, a, b);
  }
};

// -- logic and comparison ------------------------------------------------------------------------

struct Pand {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_parts([](auto x, auto y) { return x & y; }, a, b);
  }
};
struct Pandn {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_parts([](auto x, auto y) { return ~x & y; }, a, b);
  }
};
struct Por {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_parts([](auto x, auto y) { return x | y; }, a, b);
  }
};
struct Pxor {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_parts([](auto x, auto y) { return x ^ y; }, a, b);
  }
};

template <class Lane>
struct PackedEqual {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_parts([](auto x, auto y) { return vector_of(lanes<Lane>(x) == lanes<Lane>(y)); }, a,
                    b);
  }
};
using Pcmpeqb = PackedEqual<u8>;
using Pcmpeqw = PackedEqual<u16>;
using Pcmpeqd = PackedEqual<u32>;

template <class Lane>
struct PackedGreater {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_parts([](auto x, auto y) { return vector_of(lanes<Lane>(x) > lanes<Lane>(y)); }, a,
                    b);
  }
};
using Pcmpgtb = PackedGreater<i8>;
using Pcmpgtw = PackedGreater<i16>;
using Pcmpgtd = PackedGreater<i32>;

// -- shifts: the count is the whole low quadword of b, or an immediate ---------------------------

template <class Lane>
struct PackedShiftLeft {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    V128 count = low_part(b);
    if constexpr (sizeof(Lane) == 2) {
      return by_width([=](V128 x) { return _mm_sll_epi16(x, count); },
                      [=](auto x) { return _mm256_sll_epi16(x, count); }, a);
    } else if constexpr (sizeof(Lane) == 4) {
      return by_width([=](V128 x) { return _mm_sll_epi32(x, count); },
                      [=](auto x) { return _mm256_sll_epi32(x, count); }, a);
    } else {
      return by_width([=](V128 x) { return _mm_sll_epi64(x, count); },
                      [=](auto x) { return _mm256_sll_epi64(x, count); }, a);
    }
  }
};
using Psllw = PackedShiftLeft<u16>;
using Pslld = PackedShiftLeft<u32>;
using Psllq = PackedShiftLeft<u64>;

/// Logical for unsigned lanes, arithmetic for signed ones.
template <class Lane>
struct PackedShiftRight {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    V128 count = low_part(b);
    if constexpr (std::is_same_v<Lane, u16>) {
      return by_width([=](V128 x) { return _mm_srl_epi16(x, count); },
                      [=](auto x) { return _mm256_srl_epi16(x, count); }, a);
    } else if constexpr (std::is_same_v<Lane, u32>) {
      return by_width([=](V128 x) { return _mm_srl_epi32(x, count); },
                      [=](auto x) { return _mm256_srl_epi32(x, count); }, a);
    } else if constexpr (std::is_same_v<Lane, u64>) {
      return by_width([=](V128 x) { return _mm_srl_epi64(x, count); },
                      [=](auto x) { return _mm256_srl_epi64(x, count); }, a);
    } else if constexpr (std::is_same_v<Lane, i16>) {
      return by_width([=](V128 x) { return _mm_sra_epi16(x, count); },
                      [=](auto x) { return _mm256_sra_epi16(x, count); }, a);
    } else {
      static_assert(std::is_same_v<Lane, i32>);
      return by_width([=](V128 x) { return _mm_sra_epi32(x, count); },
                      [=](auto x) { return _mm256_sra_epi32(x, count); }, a);
    }
  }
};
using Psrlw = PackedShiftRight<u16>;
using Psrld = PackedShiftRight<u32>;
using Psrlq = PackedShiftRight<u64>;
using Psraw = PackedShiftRight<i16>;
using Psrad = PackedShiftRight<i32>;

template <class Shift>
struct ByImmediate {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, u8 immediate) {
    V128 count = _mm_cvtsi32_si128(immediate);
    if constexpr (sizeof(V) == sizeof(V128)) {
      return Shift::eval(a, count);
    } else {
      return Shift::eval(a, join(count, count));
    }
  }
};
using PsllwImmediate = ByImmediate<Psllw>;
using PslldImmediate = ByImmediate<Pslld>;
using PsllqImmediate = ByImmediate<Psllq>;
using PsrlwImmediate = ByImmediate<Psrlw>;
using PsrldImmediate = ByImmediate<Psrld>;
using PsrlqImmediate = ByImmediate<Psrlq>;
using PsrawImmediate = ByImmediate<Psraw>;
using PsradImmediate = ByImmediate<Psrad>;

/// Whole-register shifts count bytes; 16 and more leave nothing.
struct Pslldq {
  [[gnu::always_inline]] static V128 eval(V128 a, u8 immediate) {
    u128 value = __builtin_bit_cast(u128, a);
    return vector_of(immediate > 15 ? u128{0} : value << (immediate * 8));
  }
};
struct Psrldq {
  [[gnu::always_inline]] static V128 eval(V128 a, u8 immediate) {
    u128 value = __builtin_bit_cast(u128, a);
    return vector_of(immediate > 15 ? u128{0} : value >> (immediate * 8));
  }
};

}  // namespace PENUMBRA_TARGET
}  // namespace penumbra::cpu
