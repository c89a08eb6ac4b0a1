#include "cpu/flags.h"

namespace penumbra::cpu {
namespace {

template <FlagFamily F>
u32 at_width(Width width, u64 result, u64 source) {
  switch (width) {
    case Width::W8:
      return family_flags<F, u8>(result, source);
    case Width::W16:
      return family_flags<F, u16>(result, source);
    case Width::W32:
      return family_flags<F, u32>(result, source);
    default:
      return family_flags<F, u64>(result, source);
  }
}

}  // namespace

u32 materialize(FlagKind kind, u64 result, u64 source) {
  auto width = static_cast<Width>(static_cast<u8>(kind) & 3);
  switch (family_of(kind)) {
#define PENUMBRA_FAMILY(name) \
  case FlagFamily::name:      \
    return at_width<FlagFamily::name>(width, result, source)
    PENUMBRA_FAMILY(Carry);
    PENUMBRA_FAMILY(Multiply);
    PENUMBRA_FAMILY(RotateLeft);
    PENUMBRA_FAMILY(RotateRight);
    PENUMBRA_FAMILY(CountZeros);
    PENUMBRA_FAMILY(Image);
    PENUMBRA_FAMILY(Add);
    PENUMBRA_FAMILY(Sub);
    PENUMBRA_FAMILY(Logic);
    PENUMBRA_FAMILY(ShiftLeft);
    PENUMBRA_FAMILY(ShiftRight);
    PENUMBRA_FAMILY(ShiftArithmetic);
    PENUMBRA_FAMILY(Inc);
    PENUMBRA_FAMILY(Dec);
#undef PENUMBRA_FAMILY
    default:
      return static_cast<u32>(source) & Flag::kArithmetic;
  }
}

u32 modified(u32 flags, FlagKind modifier, u64 patch) {
  u32 mask = flags_of(family_of(modifier));
  return (flags & ~mask) | (materialize(modifier, patch, 0) & mask);
}

}  // namespace penumbra::cpu
