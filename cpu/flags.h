// Lazy arithmetic flags: a kind and two values, from which EFLAGS is computed when asked for, and
// a modifier with a value of its own where an instruction defined some flags and kept the others.
//
// What the last flag operations were is static inside a block (the translator knows it and the
// per-site tables hold it); CpuState::flag_kind and flag_modifier are current at block boundaries
// and around named operations. `result` and `source` are values at the kind's width, above which
// nothing is read:
//   Add    result = a + b, source = b         Sub   result = a - b, source = b
//   Logic  result; CF = OF = AF = 0           Shift* result, source = CF
//   Explicit  all six flags in source         Image  the same: LAHF's byte << 8, OF in bit 0
// Partial families are modifiers; the flags that they define come from `patch`:
//   Inc, Dec, Rotate*  patch = result         Carry, Multiply  patch = CF (and OF)
//   CountZeros  all but OF in patch
// A partial family may also be the kind, if a modifier on top defines all that it does not: then
// `result` is what was its patch. Of words that hold one bit only the low byte may be written, of
// the image the low 32 bits.
#pragma once

#include "common/types.h"

namespace penumbra::cpu {

struct Flag {
  static constexpr u32 kCf = 1u << 0, kPf = 1u << 2, kAf = 1u << 4, kZf = 1u << 6, kSf = 1u << 7,
                       kTf = 1u << 8, kIf = 1u << 9, kDf = 1u << 10, kOf = 1u << 11,
                       kIopl = 3u << 12, kNt = 1u << 14, kRf = 1u << 16, kVm = 1u << 17,
                       kAc = 1u << 18, kVif = 1u << 19, kVip = 1u << 20, kId = 1u << 21;
  static constexpr u32 kArithmetic = kCf | kPf | kAf | kZf | kSf | kOf;
};

enum class FlagFamily : u8 {
  None,  ///< no modifier
  Carry,
  Multiply,
  RotateLeft,
  RotateRight,
  CountZeros,
  Explicit,
  Image,
  Add,
  Sub,
  Logic,
  ShiftLeft,
  ShiftRight,
  ShiftArithmetic,
  Inc,
  Dec,
};

/// Family * 4 + log2 of the width in bytes, which some families do not have.
enum class FlagKind : u8 {
  None = 0,
  Carry = 4,
  Multiply = 8,
  CountZeros = 20,
  Explicit = 24,
  Image = 28,
  Add8 = 32,
  Add16,
  Add32,
  Add64,
  Sub8,
  Sub16,
  Sub32,
  Sub64,
  Logic8,
  Logic16,
  Logic32,
  Logic64,
  Inc8 = 56,
  Last = 63,
  Dynamic = 0xff,  ///< only for the translator: not known statically
};

constexpr FlagFamily family_of(FlagKind kind) {
  return static_cast<FlagFamily>(static_cast<u8>(kind) / 4);
}
constexpr bool has_width(FlagFamily family) {
  return family != FlagFamily::None && family != FlagFamily::Carry &&
         family != FlagFamily::Multiply && family != FlagFamily::CountZeros &&
         family != FlagFamily::Explicit && family != FlagFamily::Image;
}
constexpr FlagKind flag_kind(FlagFamily family, Width width) {
  u8 log = has_width(family) ? static_cast<u8>(width) : 0;
  return static_cast<FlagKind>(static_cast<u8>(family) * 4 + log);
}

/// The flags that a definition of the family sets; it keeps the others.
constexpr u32 flags_of(FlagFamily family) {
  switch (family) {
    case FlagFamily::None:
      return 0;
    case FlagFamily::Carry:
      return Flag::kCf;
    case FlagFamily::Multiply:
    case FlagFamily::RotateLeft:
    case FlagFamily::RotateRight:
      return Flag::kCf | Flag::kOf;
    case FlagFamily::CountZeros:
      return Flag::kArithmetic & ~Flag::kOf;
    case FlagFamily::Inc:
    case FlagFamily::Dec:
      return Flag::kArithmetic & ~Flag::kCf;
    default:
      return Flag::kArithmetic;
  }
}
constexpr bool is_partial(FlagFamily family) { return flags_of(family) != Flag::kArithmetic; }
constexpr bool is_partial(FlagKind kind) { return is_partial(family_of(kind)); }

/// Whether a definition of `family` may take the place of the modifier: it sets what that did.
constexpr bool replaces(FlagFamily family, FlagKind modifier) {
  return (flags_of(family_of(modifier)) & ~flags_of(family)) == 0;
}

/// What is known of how flags are kept; Dynamic: what the CPU's state says.
struct FlagState {
  FlagKind kind = FlagKind::Dynamic, modifier = FlagKind::Dynamic;
  constexpr bool known() const {
    return kind != FlagKind::Dynamic && modifier != FlagKind::Dynamic;
  }
  constexpr bool unknown() const {
    return kind == FlagKind::Dynamic && modifier == FlagKind::Dynamic;
  }
  friend constexpr bool operator==(const FlagState&, const FlagState&) = default;
};

template <class T>
constexpr u32 sign_zero_parity(T result) {
  u32 flags = (result == 0 ? Flag::kZf : 0);
  flags |= (result >> (sizeof(T) * 8 - 1)) & 1 ? Flag::kSf : 0;
  return flags | (__builtin_parity(static_cast<u8>(result)) ? 0 : Flag::kPf);
}

template <class T>
constexpr bool msb(T value) {
  return (value >> (sizeof(T) * 8 - 1)) & 1;
}

/// OF of right shifts and rotates: the two top bits differ.
template <class T>
constexpr bool top_bits_differ(T value) {
  return msb(static_cast<T>(value ^ (value << 1)));
}

constexpr u32 carry_overflow(bool carry, bool overflow) {
  return (carry ? Flag::kCf : 0) | (overflow ? Flag::kOf : 0);
}

/// What AMD processors leave in AF after a shift.
constexpr u32 kShiftAuxiliary = Flag::kAf;

/// What family_flags() of Image takes.
constexpr u64 image_of(u32 flags) { return (flags & 0xff) << 8 | (flags & Flag::kOf ? 1 : 0); }

/// Of a partial family, from its one value.
template <FlagFamily F, class T>
constexpr u32 partial_flags(u64 value) {
  T result = static_cast<T>(value);
  if constexpr (F == FlagFamily::Carry) {
    return value & 1 ? Flag::kCf : 0;
  } else if constexpr (F == FlagFamily::Multiply) {
    return carry_overflow(value & 1, value & 1);
  } else if constexpr (F == FlagFamily::RotateLeft) {
    return carry_overflow(result & 1, (result & 1) != msb(result));
  } else if constexpr (F == FlagFamily::RotateRight) {
    return carry_overflow(msb(result), top_bits_differ(result));
  } else if constexpr (F == FlagFamily::CountZeros) {
    return static_cast<u32>(value) & flags_of(F);
  } else if constexpr (F == FlagFamily::Inc || F == FlagFamily::Dec) {
    constexpr bool kUp = F == FlagFamily::Inc;
    constexpr T kSign = static_cast<T>(T{1} << (sizeof(T) * 8 - 1));
    bool overflow = result == (kUp ? kSign : static_cast<T>(kSign - 1));
    bool auxiliary = (result & 15) == (kUp ? 0 : 15);
    return sign_zero_parity(result) | (overflow ? Flag::kOf : 0) | (auxiliary ? Flag::kAf : 0);
  }
  return 0;
}

/// EFLAGS bits of one flag family at width T.
template <FlagFamily F, class T>
constexpr u32 family_flags(u64 wide_result, u64 wide_source) {
  T result = static_cast<T>(wide_result), b = static_cast<T>(wide_source);
  bool low = wide_source & 1;
  if constexpr (is_partial(F)) {
    return partial_flags<F, T>(wide_result);
  } else if constexpr (F == FlagFamily::Explicit) {
    return static_cast<u32>(wide_source) & Flag::kArithmetic;
  } else if constexpr (F == FlagFamily::Logic) {
    return sign_zero_parity(result);
  } else if constexpr (F == FlagFamily::Image) {
    u32 low_byte = static_cast<u32>(wide_source >> 8) & Flag::kArithmetic & 0xff;
    return low_byte | (low ? Flag::kOf : 0);
  } else if constexpr (F == FlagFamily::ShiftLeft) {
    return sign_zero_parity(result) | carry_overflow(low, low != msb(result)) | kShiftAuxiliary;
  } else if constexpr (F == FlagFamily::ShiftRight) {
    return sign_zero_parity(result) | carry_overflow(low, top_bits_differ(result)) |
           kShiftAuxiliary;
  } else if constexpr (F == FlagFamily::ShiftArithmetic) {
    return sign_zero_parity(result) | carry_overflow(low, false) | kShiftAuxiliary;
  } else {
    T a = F == FlagFamily::Add ? static_cast<T>(result - b) : static_cast<T>(result + b);
    bool carry = F == FlagFamily::Add ? result < b : a < b;
    T overflow = F == FlagFamily::Add ? static_cast<T>((a ^ result) & (b ^ result))
                                      : static_cast<T>((a ^ b) & (a ^ result));
    return sign_zero_parity(result) | carry_overflow(carry, msb(overflow)) |
           (static_cast<u32>(a ^ b ^ result) & Flag::kAf);
  }
}

/// The six arithmetic flags, as EFLAGS bits. Any number is taken for a kind.
u32 materialize(FlagKind kind, u64 result, u64 source);
/// `flags` with those that the modifier defines replaced.
u32 modified(u32 flags, FlagKind modifier, u64 patch);

/// Condition codes as encoded in Jcc, SETcc and CMOVcc (SDM 2, appendix B).
enum class Condition : u8 { O, No, B, Nb, Z, Nz, Be, Nbe, S, Ns, P, Np, L, Nl, Le, Nle };

/// The flags that a condition depends on.
constexpr u32 flags_of(Condition condition) {
  constexpr u32 kOfPair[] = {Flag::kOf,
                             Flag::kCf,
                             Flag::kZf,
                             Flag::kCf | Flag::kZf,
                             Flag::kSf,
                             Flag::kPf,
                             Flag::kSf | Flag::kOf,
                             Flag::kZf | Flag::kSf | Flag::kOf};
  return kOfPair[static_cast<u8>(condition) >> 1];
}

constexpr bool holds(Condition condition, u32 flags) {
  bool cf = flags & Flag::kCf, zf = flags & Flag::kZf, sf = flags & Flag::kSf;
  bool of = flags & Flag::kOf, pf = flags & Flag::kPf;
  bool value = false;
  switch (static_cast<u8>(condition) >> 1) {
    case 0:
      value = of;
      break;
    case 1:
      value = cf;
      break;
    case 2:
      value = zf;
      break;
    case 3:
      value = cf || zf;
      break;
    case 4:
      value = sf;
      break;
    case 5:
      value = pf;
      break;
    case 6:
      value = sf != of;
      break;
    default:
      value = zf || sf != of;
      break;
  }
  return value != ((static_cast<u8>(condition) & 1) != 0);
}

/// The condition straight from a family's two values, without building EFLAGS.
template <FlagFamily F, class T>
constexpr bool condition_of(Condition condition, u64 wide_result, u64 wide_source) {
  if constexpr (F == FlagFamily::Sub) {
    T result = static_cast<T>(wide_result), b = static_cast<T>(wide_source);
    T a = static_cast<T>(result + b);
    using S = std::make_signed_t<T>;
    switch (condition) {
      case Condition::B:
        return a < b;
      case Condition::Nb:
        return a >= b;
      case Condition::Z:
        return result == 0;
      case Condition::Nz:
        return result != 0;
      case Condition::Be:
        return a <= b;
      case Condition::Nbe:
        return a > b;
      case Condition::S:
        return msb(result);
      case Condition::Ns:
        return !msb(result);
      case Condition::L:
        return static_cast<S>(a) < static_cast<S>(b);
      case Condition::Nl:
        return static_cast<S>(a) >= static_cast<S>(b);
      case Condition::Le:
        return static_cast<S>(a) <= static_cast<S>(b);
      case Condition::Nle:
        return static_cast<S>(a) > static_cast<S>(b);
      default:
        break;
    }
  } else if constexpr (F == FlagFamily::Logic) {
    T result = static_cast<T>(wide_result);
    switch (condition) {
      case Condition::B:
        return false;
      case Condition::Nb:
        return true;
      case Condition::Z:
      case Condition::Be:
        return result == 0;
      case Condition::Nz:
      case Condition::Nbe:
        return result != 0;
      case Condition::S:
      case Condition::L:
        return msb(result);
      case Condition::Ns:
      case Condition::Nl:
        return !msb(result);
      case Condition::Le:
        return result == 0 || msb(result);
      case Condition::Nle:
        return result != 0 && !msb(result);
      default:
        break;
    }
  }
  return holds(condition, family_flags<F, T>(wide_result, wide_source));
}

}  // namespace penumbra::cpu
