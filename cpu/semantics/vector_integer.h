// Packed integer micro-ops: arithmetic, logic, comparison and shifts (SDM 2, MMX and SSE2).
//
// Pure functions of their operands. MMX instructions use the same micro-ops on the low half of an
// MMX register's slot: lane n of the result depends on lane n of the operands (and on the low
// quadword of a shift count) only. Pack, unpack and shuffle are in vector_shuffle.h.
#pragma once

#include "cpu/semantics/vector_types.h"

namespace penumbra::cpu {

template <class Lane>
struct PackedAdd {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
    return vector_of(lanes<Lane>(a) + lanes<Lane>(b));
  }
};
using Paddb = PackedAdd<u8>;
using Paddw = PackedAdd<u16>;
using Paddd = PackedAdd<u32>;
using Paddq = PackedAdd<u64>;

template <class Lane>
struct PackedSub {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
    return vector_of(lanes<Lane>(a) - lanes<Lane>(b));
  }
};
using Psubb = PackedSub<u8>;
using Psubw = PackedSub<u16>;
using Psubd = PackedSub<u32>;
using Psubq = PackedSub<u64>;

/// Saturation is that of the lane type, signed or unsigned.
template <class Lane>
struct PackedAddSaturating {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
    return vector_of(__builtin_elementwise_add_sat(lanes<Lane>(a), lanes<Lane>(b)));
  }
};
using Paddsb = PackedAddSaturating<i8>;
using Paddsw = PackedAddSaturating<i16>;
using Paddusb = PackedAddSaturating<u8>;
using Paddusw = PackedAddSaturating<u16>;

template <class Lane>
struct PackedSubSaturating {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
    return vector_of(__builtin_elementwise_sub_sat(lanes<Lane>(a), lanes<Lane>(b)));
  }
};
using Psubsb = PackedSubSaturating<i8>;
using Psubsw = PackedSubSaturating<i16>;
using Psubusb = PackedSubSaturating<u8>;
using Psubusw = PackedSubSaturating<u16>;

template <class Lane>
struct PackedMin {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
    return vector_of(__builtin_elementwise_min(lanes<Lane>(a), lanes<Lane>(b)));
  }
};
using Pminub = PackedMin<u8>;
using Pminsw = PackedMin<i16>;

template <class Lane>
struct PackedMax {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
    return vector_of(__builtin_elementwise_max(lanes<Lane>(a), lanes<Lane>(b)));
  }
};
using Pmaxub = PackedMax<u8>;
using Pmaxsw = PackedMax<i16>;

/// Rounded up: (a + b + 1) >> 1 without overflow.
template <class Lane>
struct PackedAverage {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
    if constexpr (sizeof(Lane) == 1) {
      return _mm_avg_epu8(a, b);
    } else {
      return _mm_avg_epu16(a, b);
    }
  }
};
using Pavgb = PackedAverage<u8>;
using Pavgw = PackedAverage<u16>;

// -- multiplication ------------------------------------------------------------------------------

struct Pmullw {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) { return _mm_mullo_epi16(a, b); }
};
struct Pmulhw {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) { return _mm_mulhi_epi16(a, b); }
};
struct Pmulhuw {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) { return _mm_mulhi_epu16(a, b); }
};
struct Pmaddwd {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) { return _mm_madd_epi16(a, b); }
};
struct Pmuludq {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) { return _mm_mul_epu32(a, b); }
};
struct Psadbw {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) { return _mm_sad_epu8(a, b); }
};

// -- logic and comparison ------------------------------------------------------------------------

struct Pand {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) { return a & b; }
};
struct Pandn {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) { return ~a & b; }
};
struct Por {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) { return a | b; }
};
struct Pxor {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) { return a ^ b; }
};

template <class Lane>
struct PackedEqual {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
    return vector_of(lanes<Lane>(a) == lanes<Lane>(b));
  }
};
using Pcmpeqb = PackedEqual<u8>;
using Pcmpeqw = PackedEqual<u16>;
using Pcmpeqd = PackedEqual<u32>;

template <class Lane>
struct PackedGreater {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
    return vector_of(lanes<Lane>(a) > lanes<Lane>(b));
  }
};
using Pcmpgtb = PackedGreater<i8>;
using Pcmpgtw = PackedGreater<i16>;
using Pcmpgtd = PackedGreater<i32>;

// -- shifts: the count is the whole low quadword of b, or an immediate ---------------------------

template <class Lane>
struct PackedShiftLeft {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 count) {
    if constexpr (sizeof(Lane) == 2) {
      return _mm_sll_epi16(a, count);
    } else if constexpr (sizeof(Lane) == 4) {
      return _mm_sll_epi32(a, count);
    } else {
      return _mm_sll_epi64(a, count);
    }
  }
};
using Psllw = PackedShiftLeft<u16>;
using Pslld = PackedShiftLeft<u32>;
using Psllq = PackedShiftLeft<u64>;

/// Logical for unsigned lanes, arithmetic for signed ones.
template <class Lane>
struct PackedShiftRight {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 count) {
    if constexpr (std::is_same_v<Lane, u16>) {
      return _mm_srl_epi16(a, count);
    } else if constexpr (std::is_same_v<Lane, u32>) {
      return _mm_srl_epi32(a, count);
    } else if constexpr (std::is_same_v<Lane, u64>) {
      return _mm_srl_epi64(a, count);
    } else if constexpr (std::is_same_v<Lane, i16>) {
      return _mm_sra_epi16(a, count);
    } else {
      static_assert(std::is_same_v<Lane, i32>);
      return _mm_sra_epi32(a, count);
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
  [[gnu::always_inline]] static V128 eval(V128 a, u8 immediate) {
    return Shift::eval(a, _mm_cvtsi32_si128(immediate));
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

}  // namespace penumbra::cpu
