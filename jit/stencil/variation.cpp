#include "jit/stencil/variation.h"

namespace penumbra::jit {

Variation Variation::of(u64 seed) {
  Variation variation;
  if (seed == 0) return variation;
  u64 bits = seed * 0x9e3779b97f4a7c15;
  auto choice = [&](u64 count) {
    bits ^= bits >> 29;
    bits *= 0xbf58476d1ce4e5b9;
    return (bits >> 32) % count;
  };
  constexpr u32 kLengths[] = {1, 3, 10, 64}, kFlushes[] = {0, 7, 1000};
  if (seed % 2 == 0) variation.level = HostLevel::V2;
  variation.most_instructions = kLengths[choice(std::size(kLengths))];
  variation.code_bytes >>= 3 * choice(2);
  variation.jumps_between_flushes = kFlushes[choice(std::size(kFlushes))];
  variation.behind_jump = translator::BehindJump{choice(2) != 0};
  variation.lodgers = choice(2) != 0;
  variation.cold_flags = choice(2) != 0;
  variation.shares_look_ups = choice(2) != 0;
  variation.host_flags = choice(2) != 0;
  return variation;
}

}  // namespace penumbra::jit
