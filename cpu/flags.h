// Lazy arithmetic flags: a kind and two values, from which EFLAGS is computed when asked for.
//
// The kind of the last flag operation is static inside a block (the translator knows it and the
// per-site tables hold it); CpuState::flag_kind is current at block boundaries and around named
// operations. `result` and `source` are the zero-extended values at the kind's width:
//   Add    result = a + b, source = b         Sub   result = a - b, source = b
//   Logic  result; CF = OF = AF = 0           Bits  SF, ZF, PF from result; CF, OF, AF in source
//   Explicit  all six flags in source
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

/// Family * 4 + log2 of the width in bytes.
enum class FlagFamily : u8 { Add, Sub, Logic, Bits, Explicit };
enum class FlagKind : u8 {
  Add8,
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
  Bits8,
  Bits16,
  Bits32,
  Bits64,
  Explicit,
  Dynamic = 0xff,  ///< only for the translator: not known statically
};

constexpr FlagKind flag_kind(FlagFamily family, Width width) {
  if (family == FlagFamily::Explicit) return FlagKind::Explicit;
  return static_cast<FlagKind>(static_cast<u8>(family) * 4 + static_cast<u8>(width));
}

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

/// EFLAGS bits of one flag family at width T.
template <FlagFamily F, class T>
constexpr u32 family_flags(u64 wide_result, u64 wide_source) {
  if constexpr (F == FlagFamily::Explicit) {
    return static_cast<u32>(wide_source);
  } else if constexpr (F == FlagFamily::Logic) {
    return sign_zero_parity(static_cast<T>(wide_result));
  } else if constexpr (F == FlagFamily::Bits) {
    return sign_zero_parity(static_cast<T>(wide_result)) | static_cast<u32>(wide_source);
  } else {
    T result = static_cast<T>(wide_result), b = static_cast<T>(wide_source);
    T a = F == FlagFamily::Add ? static_cast<T>(result - b) : static_cast<T>(result + b);
    bool carry = F == FlagFamily::Add ? result < b : a < b;
    T overflow = F == FlagFamily::Add ? static_cast<T>((a ^ result) & (b ^ result))
                                      : static_cast<T>((a ^ b) & (a ^ result));
    return sign_zero_parity(result) | (carry ? Flag::kCf : 0) | (msb(overflow) ? Flag::kOf : 0) |
           (static_cast<u32>(a ^ b ^ result) & Flag::kAf);
  }
}

/// The six arithmetic flags, as EFLAGS bits.
u32 materialize(FlagKind kind, u64 result, u64 source);

/// Condition codes as encoded in Jcc, SETcc and CMOVcc (SDM 2, appendix B).
enum class Condition : u8 { O, No, B, Nb, Z, Nz, Be, Nbe, S, Ns, P, Np, L, Nl, Le, Nle };

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
