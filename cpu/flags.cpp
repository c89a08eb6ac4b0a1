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
  switch (static_cast<FlagFamily>(static_cast<u8>(kind) >> 2)) {
    case FlagFamily::Add:
      return at_width<FlagFamily::Add>(width, result, source);
    case FlagFamily::Sub:
      return at_width<FlagFamily::Sub>(width, result, source);
    case FlagFamily::Logic:
      return at_width<FlagFamily::Logic>(width, result, source);
    case FlagFamily::Bits:
      return at_width<FlagFamily::Bits>(width, result, source);
    default:
      return static_cast<u32>(source) & Flag::kArithmetic;
  }
}

}  // namespace penumbra::cpu
