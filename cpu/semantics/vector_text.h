// String comparison of SSE4.2: PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (SDM 2, 4.1).
//
// Three micro-ops make an instruction: the lengths of the texts in a and b (or the caller's), the
// comparison, and the mask from its result. Bits of the immediate: 0 words, 1 signed, 3-2
// aggregation, 5-4 polarity, 6 most significant index or expanded mask. Bit sets below have one bit
// a character, the first in bit 0.
#pragma once

#include <bit>

#include "cpu/flags.h"
#include "cpu/semantics/vector_types.h"

namespace penumbra::cpu {
inline namespace PENUMBRA_TARGET {
namespace text {

enum class Aggregation : u8 { EqualAny, Ranges, EqualEach, EqualOrdered };

constexpr bool has_words(u8 control) { return control & 1; }
constexpr bool is_signed(u8 control) { return control & 2; }
constexpr Aggregation aggregation(u8 control) { return static_cast<Aggregation>(control >> 2 & 3); }
constexpr u32 capacity(u8 control) { return has_words(control) ? 8 : 16; }

/// The set of lanes that are all ones, of those that a comparison gives.
template <class Lane, class Comparison>
[[gnu::always_inline]] inline u32 set_of(Comparison comparison) {
  V128 mask = vector_of(comparison);
  if constexpr (sizeof(Lane) == 2) mask = _mm_packs_epi16(mask, _mm_setzero_si128());
  return static_cast<u32>(_mm_movemask_epi8(mask));
}
constexpr u32 first_lanes(u32 count) { return (1u << count) - 1; }

/// A text whose characters are taken one after the other, each in all lanes.
template <class Lane>
class Characters {
 public:
  [[gnu::always_inline]] explicit Characters(V128 text) : rest_(text) {}

  [[gnu::always_inline]] Lanes<Lane> next() {
    Lanes<Lane> first = Lanes<Lane>{} + lanes<Lane>(rest_)[0];
    rest_ = _mm_srli_si128(rest_, sizeof(Lane));
    return first;
  }

 private:
  V128 rest_;
};

/// Two texts: their vectors, lengths in characters. Lanes are signed; flipping `bias` in both sides
/// of an order makes it that of unsigned ones.
template <class Lane>
struct Texts {
  static constexpr u32 kCapacity = 16 / sizeof(Lane);
  V128 a_text;
  Lanes<Lane> b;
  u32 a_length, b_length;
  Lanes<Lane> bias;

  /// Characters of b that are one of a's.
  [[gnu::always_inline]] u32 equal_any() const {
    Characters<Lane> a(a_text);
    Lanes<Lane> found{};
    for (u32 i = 0; i < a_length; ++i) found |= as_lanes(b == a.next());
    return set_of<Lane>(found) & first_lanes(b_length);
  }
  /// Characters of b within one of a's pairs of limits.
  [[gnu::always_inline]] u32 ranges() const {
    Characters<Lane> a(vector_of(lanes<Lane>(a_text) ^ bias));
    Lanes<Lane> found{}, character = b ^ bias;
    for (u32 i = 0; i + 1 < a_length; i += 2) {
      Lanes<Lane> lowest = a.next(), highest = a.next();
      found |= as_lanes(character >= lowest) & as_lanes(character <= highest);
    }
    return set_of<Lane>(found) & first_lanes(b_length);
  }
  /// Places where both texts have the same character, or have ended.
  [[gnu::always_inline]] u32 equal_each() const {
    u32 in_a = first_lanes(a_length), in_b = first_lanes(b_length);
    return (set_of<Lane>(lanes<Lane>(a_text) == b) & in_a & in_b) |
           (first_lanes(kCapacity) & ~in_a & ~in_b);
  }
  /// Places of b where a begins, or as much of it as fits.
  [[gnu::always_inline]] u32 equal_ordered() const {
    Characters<Lane> a(a_text);
    u32 found = first_lanes(kCapacity), beyond = ~found;
    for (u32 i = 0; i < a_length; ++i) {
      u32 equal = set_of<Lane>(b == a.next()) & first_lanes(b_length);
      found &= (equal | beyond) >> i | ~(~0u >> i);
    }
    return found;
  }
  [[gnu::always_inline]] u32 aggregate(Aggregation how) const {
    switch (how) {
      case Aggregation::EqualAny:
        return equal_any();
      case Aggregation::Ranges:
        return ranges();
      case Aggregation::EqualEach:
        return equal_each();
      default:
        return equal_ordered();
    }
  }

 private:
  template <class Comparison>
  [[gnu::always_inline]] static Lanes<Lane> as_lanes(Comparison comparison) {
    return lanes<Lane>(vector_of(comparison));
  }
};

/// IntRes1 of the manual.
template <class Lane>
[[gnu::always_inline]] inline u32 compare(V128 a, V128 b, u32 a_length, u32 b_length, u8 control) {
  constexpr Lane kLowest = static_cast<Lane>(1u << (sizeof(Lane) * 8 - 1));
  Lanes<Lane> bias = Lanes<Lane>{} + (is_signed(control) ? Lane{0} : kLowest);
  Texts<Lane> texts{a, lanes<Lane>(b), a_length, b_length, bias};
  return texts.aggregate(aggregation(control));
}

[[gnu::always_inline]] inline u32 with_polarity(u32 set, u32 b_length, u8 control) {
  if (!(control & 0x10)) return set;
  return set ^ first_lanes(control & 0x20 ? b_length : capacity(control));
}

/// A length given in a register: its absolute value, at most all characters.
[[gnu::always_inline]] inline u32 bounded(i64 length, u32 most) {
  u64 absolute = length < 0 ? -static_cast<u64>(length) : static_cast<u64>(length);
  return absolute < most ? static_cast<u32>(absolute) : most;
}

template <class Lane>
[[gnu::always_inline]] inline i64 length_to_zero(V128 value) {
  u32 zeros = set_of<Lane>(lanes<Lane>(value) == 0) | 1u << (16 / sizeof(Lane));
  return std::countr_zero(zeros);
}

}  // namespace text

/// The lengths of texts that end in front of a zero: of a in the low quadword, of b above.
struct TextLengths {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b, u8 control) {
    bool words = text::has_words(control);
    return vector_of(
        Lanes<i64>{words ? text::length_to_zero<u16>(a) : text::length_to_zero<u8>(a),
                   words ? text::length_to_zero<u16>(b) : text::length_to_zero<u8>(b)});
  }
};

/// c holds lengths as TextLengths gives them. Doublewords of the result: the set (IntRes2 of the
/// manual), the index, the flags.
struct CompareText {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b, V128 c, u8 control) {
    u32 most = text::capacity(control);
    u32 a_length = text::bounded(lanes<i64>(c)[0], most);
    u32 b_length = text::bounded(lanes<i64>(c)[1], most);
    u32 set = text::with_polarity(compare(a, b, a_length, b_length, control), b_length, control);
    u32 index = set == 0         ? most
                : control & 0x40 ? static_cast<u32>(std::bit_width(set)) - 1
                                 : static_cast<u32>(std::countr_zero(set));
    u32 flags = (set != 0 ? Flag::kCf : 0) | (b_length < most ? Flag::kZf : 0) |
                (a_length < most ? Flag::kSf : 0) | (set & 1 ? Flag::kOf : 0);
    return vector_of(Lanes<u32>{set, index, flags, 0});
  }

 private:
  [[gnu::always_inline]] static u32 compare(V128 a, V128 b, u32 a_length, u32 b_length,
                                            u8 control) {
    return text::has_words(control) ? text::compare<i16>(a, b, a_length, b_length, control)
                                    : text::compare<i8>(a, b, a_length, b_length, control);
  }
};

/// What CompareText found, as bits or as lanes of all ones.
struct TextMask {
  [[gnu::always_inline]] static V128 eval(V128 a, u8 control) {
    u32 set = lanes<u32>(a)[0];
    if (!(control & 0x40)) return vector_of(Lanes<u32>{set, 0, 0, 0});
    return text::has_words(control) ? expand<u16>(set) : expand<u8>(set);
  }

 private:
  template <class Lane>
  [[gnu::always_inline]] static V128 expand(u32 set) {
    Lanes<Lane> mask;
    for (u32 i = 0; i < 16 / sizeof(Lane); ++i) mask[i] = static_cast<Lane>(-(set >> i & 1));
    return vector_of(mask);
  }
};

}  // namespace PENUMBRA_TARGET
}  // namespace penumbra::cpu
