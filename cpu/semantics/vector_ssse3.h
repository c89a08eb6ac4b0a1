// Packed integer micro-ops of SSSE3 (SDM 2): byte shuffle, signs, horizontal sums, rounding
// multiplication.
//
// Pure. Those that pair neighbours or shuffle act on one 128-bit vector; MMX forms are put together
// from them by the lifter.
#pragma once

#include "cpu/semantics/vector_integer.h"

namespace penumbra::cpu {
inline namespace PENUMBRA_TARGET {

/// Bytes of a by the low four bits of b's; 0 where b's top bit is set.
struct Pshufb {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_width([](V128 x, V128 y) { return shuffle(x, y); },
                    [](auto x, auto y) { return _mm256_shuffle_epi8(x, y); }, a, b);
  }

 private:
  [[gnu::always_inline]] static V128 shuffle(V128 a, V128 b) {
#ifdef __SSSE3__
    return _mm_shuffle_epi8(a, b);
#else
    Lanes<u8> from = lanes<u8>(a), index = lanes<u8>(b), to;
    for (int i = 0; i < 16; ++i) to[i] = index[i] & 0x80 ? 0 : from[index[i] & 15];
    return vector_of(to);
#endif
  }
};

/// a above b, shifted right by bytes.
struct Palignr {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b, u8 immediate) {
    if (immediate >= 16) return Psrldq::eval(a, static_cast<u8>(immediate - 16));
    return Psrldq::eval(b, immediate) | Pslldq::eval(a, static_cast<u8>(16 - immediate));
  }
};

/// Signed lanes; the lowest number stays.
template <class Lane>
struct PackedAbsolute {
  template <class V>
  [[gnu::always_inline]] static V eval(V a) {
    return by_parts([](auto x) { return vector_of(__builtin_elementwise_abs(lanes<Lane>(x))); }, a);
  }
};
using Pabsb = PackedAbsolute<i8>;
using Pabsw = PackedAbsolute<i16>;
using Pabsd = PackedAbsolute<i32>;

/// a with its sign changed where b is negative, 0 where b is 0. Unsigned lanes, so that negation
/// wraps.
template <class Lane>
struct PackedSign {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_parts([](auto x, auto y) { return apply(x, y); }, a, b);
  }

 private:
  template <class Part>
  [[gnu::always_inline]] static Part apply(Part a, Part b) {
    using Signed = std::make_signed_t<Lane>;
    Part negative = vector_of(lanes<Signed>(b) < 0), zero = vector_of(lanes<Lane>(b) == 0);
    return vector_of(lanes<Lane>(a ^ negative) - lanes<Lane>(negative)) & ~zero;
  }
};
using Psignb = PackedSign<u8>;
using Psignw = PackedSign<u16>;
using Psignd = PackedSign<u32>;

/// The even lanes of a, then those of b.
template <class Lane>
[[gnu::always_inline]] inline V128 even_lanes(V128 a, V128 b) {
  Lanes<Lane> x = lanes<Lane>(a), y = lanes<Lane>(b);
  if constexpr (sizeof(Lane) == 2) {
    return vector_of(__builtin_shufflevector(x, y, 0, 2, 4, 6, 8, 10, 12, 14));
  } else {
    return vector_of(__builtin_shufflevector(x, y, 0, 2, 4, 6));
  }
}
template <class Lane>
[[gnu::always_inline]] inline V128 odd_lanes(V128 a, V128 b) {
  Lanes<Lane> x = lanes<Lane>(a), y = lanes<Lane>(b);
  if constexpr (sizeof(Lane) == 2) {
    return vector_of(__builtin_shufflevector(x, y, 1, 3, 5, 7, 9, 11, 13, 15));
  } else {
    return vector_of(__builtin_shufflevector(x, y, 1, 3, 5, 7));
  }
}

/// `Combine` of each even lane with the odd one above it.
template <class Lane, class Combine>
struct Horizontal {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
    return Combine::eval(even_lanes<Lane>(a, b), odd_lanes<Lane>(a, b));
  }
};
using Phaddw = Horizontal<u16, Paddw>;
using Phaddd = Horizontal<u32, Paddd>;
using Phaddsw = Horizontal<u16, Paddsw>;
using Phsubw = Horizontal<u16, Psubw>;
using Phsubd = Horizontal<u32, Psubd>;
using Phsubsw = Horizontal<u16, Psubsw>;

/// Unsigned bytes of a times signed ones of b; sums of neighbours, saturated.
struct Pmaddubsw {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    return by_parts([](auto x, auto y) { return add_products(x, y); }, a, b);
  }

 private:
  template <class Part>
  [[gnu::always_inline]] static Part add_products(Part a, Part b) {
    auto x = lanes<u16>(a);
    auto y = lanes<i16>(b);
    auto even = lanes<i16>(vector_of(x & 0xff)) * ((y << 8) >> 8);
    auto odd = lanes<i16>(vector_of(x >> 8)) * (y >> 8);
    return vector_of(__builtin_elementwise_add_sat(even, odd));
  }
};

/// Bits 30 to 15 of the product, rounded up from bit 14.
struct Pmulhrsw {
  template <class V>
  [[gnu::always_inline]] static V eval(V a, V b) {
    auto round = [](auto high, auto low) {
      auto bits = lanes<u16>(low);
      return vector_of((lanes<u16>(high) << 1) + (bits >> 15) + ((bits >> 14) & 1));
    };
    return by_parts(round, Pmulhw::eval(a, b), Pmullw::eval(a, b));
  }
};

}  // namespace PENUMBRA_TARGET
}  // namespace penumbra::cpu
