// Packed integer micro-ops of SSE4.1 and SSE4.2, blends of any lanes, inserts and extracts (SDM 2).
//
// Pure. An immediate's unused high bits are ignored. PCMPxSTRx is in vector_text.h, rounding in
// vector_round.h.
#pragma once

#include "cpu/flags.h"
#include "cpu/semantics/vector_integer.h"
#include "cpu/semantics/vector_shuffle.h"

namespace penumbra::cpu {
inline namespace PENUMBRA_TARGET {

// -- arithmetic and comparison: families of vector_integer.h with more lane types ----------------

using Pminsb = PackedMin<i8>;
using Pminuw = PackedMin<u16>;
using Pminsd = PackedMin<i32>;
using Pminud = PackedMin<u32>;
using Pmaxsb = PackedMax<i8>;
using Pmaxuw = PackedMax<u16>;
using Pmaxsd = PackedMax<i32>;
using Pmaxud = PackedMax<u32>;
using Pcmpeqq = PackedEqual<u64>;
using Pcmpgtq = PackedGreater<i64>;

struct Pmulld {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_parts([](auto x, auto y) { return vector_of(lanes<u32>(x) * lanes<u32>(y)); }, a, b);
  }
};

/// The low signed doublewords of each quadword.
struct Pmuldq {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    auto multiply = [](auto x, auto y) {
      auto low = [](auto value) { return (lanes<i64>(value) << 32) >> 32; };
      return vector_of(low(x) * low(y));
    };
    return by_parts(multiply, a, b);
  }
};

/// Signed doublewords to words with unsigned saturation.
struct Packusdw {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
#ifdef __SSE4_1__
    return _mm_packus_epi32(a, b);
#else
    Lanes<u16> x = lanes<u16>(saturate(a)), y = lanes<u16>(saturate(b));
    return vector_of(__builtin_shufflevector(x, y, 0, 2, 4, 6, 8, 10, 12, 14));
#endif
  }

 private:
  [[gnu::always_inline]] static V128 saturate(V128 a) {
    Lanes<i32> lowest{}, highest = lowest + 0xffff;
    Lanes<i32> positive = __builtin_elementwise_max(lanes<i32>(a), lowest);
    return vector_of(__builtin_elementwise_min(positive, highest));
  }
};

/// Sums of the four absolute differences of each of eight neighbouring groups of bytes of a with
/// one group of b; immediate: the first byte of a (0 or 4), b's group.
struct Mpsadbw {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b, u8 immediate) {
    V128 from = Psrldq::eval(a, immediate & 4);
    u64 group = ExtractLane<u32>::eval<Width::W32>(b, immediate);
#ifdef __SSE4_1__
    return _mm_mpsadbw_epu8(from, vector_of(Lanes<u64>{group, 0}), 0);
#endif
    Lanes<u16> sum{};
    for (u8 i = 0; i < 4; ++i) {
      Lanes<u16> bytes = lanes<u16>(_mm_unpacklo_epi8(Psrldq::eval(from, i), _mm_setzero_si128()));
      Lanes<u16> other = Lanes<u16>{} + static_cast<u16>(group >> (8 * i) & 0xff);
      sum += __builtin_elementwise_max(bytes, other) - __builtin_elementwise_min(bytes, other);
    }
    return vector_of(sum);
  }
  [[gnu::always_inline]] static V256 eval(V256 a, V256 b, u8 immediate) {
    return join(eval(halves(a).low, halves(b).low, immediate),
                eval(halves(a).high, halves(b).high, immediate >> 3));
  }
};

/// The least word and, above it, the number of the first lane that has it.
struct Phminposuw {
  [[gnu::always_inline]] static V128 eval(V128 a) {
#ifdef __SSE4_1__
    return _mm_minpos_epu16(a);
#else
    Lanes<u16> words = lanes<u16>(a);
    u32 least = ~0u;
    for (u32 i = 0; i < 8; ++i) {
      u32 candidate = u32{words[i]} << 16 | i;
      least = candidate < least ? candidate : least;
    }
    return vector_of(Lanes<u64>{least >> 16 | (least & 0xffff) << 16, 0});
#endif
  }
};

/// ZF: a and b have no bit in common; CF: b has none outside a.
struct Ptest {
  [[gnu::always_inline]] static u32 eval(V128 a, V128 b) {
    return flags(is_zero(a & b), is_zero(~a & b));
  }
  [[gnu::always_inline]] static u32 eval(V256 a, V256 b) {
    V128 a_low = halves(a).low, b_low = halves(b).low, a_high = halves(a).high;
    V128 b_high = halves(b).high;
    return flags(is_zero((a_low & b_low) | (a_high & b_high)),
                 is_zero((~a_low & b_low) | (~a_high & b_high)));
  }

 private:
  [[gnu::always_inline]] static bool is_zero(V128 value) {
    return (lanes<u64>(value)[0] | lanes<u64>(value)[1]) == 0;
  }
  [[gnu::always_inline]] static u32 flags(bool zero, bool carry) {
    return (zero ? Flag::kZf : 0) | (carry ? Flag::kCf : 0);
  }
};

// -- blends --------------------------------------------------------------------------------------

/// b's lanes where c's sign is set, else a's.
template <class Lane>
struct BlendBySign {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b, V c) {
    auto blend = [](auto x, auto y, auto z) {
      auto mask = vector_of(lanes<Lane>(z) < 0);
      return (y & mask) | (x & ~mask);
    };
    return by_parts(blend, a, b, c);
  }
};
using Pblendvb = BlendBySign<i8>;
using Blendvps = BlendBySign<i32>;
using Blendvpd = BlendBySign<i64>;

/// All ones in the lanes whose bit of `chosen` is set, lane 0 in bit 0.
template <class Lane>
[[gnu::always_inline]] inline V128 lane_mask(u8 chosen) {
  Lanes<Lane> all = Lanes<Lane>{} + static_cast<Lane>(chosen), bit{};
  for (unsigned i = 0; i < 16 / sizeof(Lane); ++i) bit[i] = static_cast<Lane>(1u << i);
  return vector_of((all & bit) == bit);
}

/// b's lanes where the immediate has a bit, else a's.
template <class Lane>
struct BlendByImmediate {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b, u8 immediate) {
    V128 mask = lane_mask<Lane>(immediate);
    return (b & mask) | (a & ~mask);
  }
  /// Words: the same bits for both halves.
  [[gnu::always_inline]] static V256 eval(V256 a, V256 b, u8 immediate) {
    constexpr unsigned kInHalf = sizeof(Lane) == 2 ? 0 : 16 / sizeof(Lane);
    return join(eval(halves(a).low, halves(b).low, immediate),
                eval(halves(a).high, halves(b).high, immediate >> kInHalf));
  }
};
using Pblendw = BlendByImmediate<u16>;
using Blendps = BlendByImmediate<u32>;
using Blendpd = BlendByImmediate<u64>;

/// Zero but for the lanes whose bit of the immediate is set.
template <class Lane>
struct KeepLanes {
  [[gnu::always_inline]] static V128 eval(V128 a, u8 immediate) {
    return a & lane_mask<Lane>(immediate);
  }
};
using KeepSingles = KeepLanes<u32>;
using KeepDoubles = KeepLanes<u64>;

/// The signs of even lanes that are no NaNs change: adding what results is to subtract in them.
template <class Bits>
struct NegateEvenLanes {
  [[gnu::always_inline]] static V128 eval(V128 a) {
    constexpr unsigned kFraction = sizeof(Bits) == 4 ? 23 : 52;
    constexpr Bits kSign = Bits{1} << (sizeof(Bits) * 8 - 1);
    constexpr Bits kInfinity = kSign - (Bits{1} << kFraction);
    Lanes<Bits> signs{};
    for (unsigned i = 0; i < 16 / sizeof(Bits); i += 2) signs[i] = kSign;
    V128 number = vector_of((lanes<Bits>(a) & (kSign - 1)) <= kInfinity);
    return a ^ (vector_of(signs) & number);
  }
};
using NegateEvenSingles = NegateEvenLanes<u32>;
using NegateEvenDoubles = NegateEvenLanes<u64>;

// -- inserts, extracts, extensions ---------------------------------------------------------------

using Pinsrb = InsertLane<u8>;
using Pinsrd = InsertLane<u32>;
using Pinsrq = InsertLane<u64>;
using Pextrb = ExtractLane<u8>;
using Pextrd = ExtractLane<u32>;
using Pextrq = ExtractLane<u64>;

/// Immediate: b's lane in bits 7 and 6, a's in bits 5 and 4, lanes to clear in the others.
struct Insertps {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b, u8 immediate) {
    u64 lane = Pextrd::eval<Width::W32>(b, immediate >> 6);
    return Pinsrd::eval<Width::W32>(a, lane, immediate >> 4) & ~lane_mask<u32>(immediate);
  }
};

/// The low lanes, widened as their types say.
template <class From, class To>
struct ExtendLanes {
  [[gnu::always_inline]] static V128 eval(V128 a) {
    Lanes<From> from = lanes<From>(a);
    Lanes<To> to;
    for (unsigned i = 0; i < 16 / sizeof(To); ++i) to[i] = static_cast<To>(from[i]);
    return vector_of(to);
  }
  [[gnu::always_inline]] static V256 eval(V256 a) {
    constexpr u8 kTaken = 16 / sizeof(To) * sizeof(From);
    V128 from = low_part(a);
    return join(eval(from), eval(Psrldq::eval(from, kTaken)));
  }
};
using Pmovsxbw = ExtendLanes<i8, i16>;
using Pmovsxbd = ExtendLanes<i8, i32>;
using Pmovsxbq = ExtendLanes<i8, i64>;
using Pmovsxwd = ExtendLanes<i16, i32>;
using Pmovsxwq = ExtendLanes<i16, i64>;
using Pmovsxdq = ExtendLanes<i32, i64>;
using Pmovzxbw = ExtendLanes<u8, u16>;
using Pmovzxbd = ExtendLanes<u8, u32>;
using Pmovzxbq = ExtendLanes<u8, u64>;
using Pmovzxwd = ExtendLanes<u16, u32>;
using Pmovzxwq = ExtendLanes<u16, u64>;
using Pmovzxdq = ExtendLanes<u32, u64>;

}  // namespace PENUMBRA_TARGET
}  // namespace penumbra::cpu
