// What the baseline tier may choose as it likes: tests vary it by a seed, and nothing that a guest
// computes depends on it.
#pragma once

#include "jit/stencil/host_level.h"
#include "translator/translate.h"

namespace penumbra::jit {

struct Variation {
  HostLevel level = host_level();
  u32 most_instructions = 64;     ///< of a block
  u64 code_bytes = 64ull << 20;   ///< of the code memory; a power of two, at least 8 MiB
  u32 jumps_between_flushes = 0;  ///< jumps asked of C++ until all are forgotten; 0: never
  translator::BehindJump behind_jump = translator::BehindJump::GoOn;
  bool lodgers = true;     ///< R8 to R15 may take the places of registers that a block hardly uses
  bool cold_flags = true;  ///< definitions of flags may be left to cold code
  bool shares_look_ups = true;  ///< accesses may go by anchors
  bool host_flags = true;       ///< the host's flags may stand for the guest's

  /// 0: as above, which is the fastest. Even seeds choose the lowest level.
  static Variation of(u64 seed);
};

}  // namespace penumbra::jit
