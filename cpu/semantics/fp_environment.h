// The host's MXCSR while guest floating point runs on the host's units (SDM 1, 10.2.3).
//
// Between enter() and leave() the host has the guest's rounding mode, DAZ, FTZ and sticky bits, and
// every exception masked. The guest's MXCSR is current only after leave(). For guests that unmask
// an exception see vector_checked.h. The x87 control word is not touched.
#pragma once

#include "common/types.h"

namespace penumbra::cpu {

struct Mxcsr {
  static constexpr u32 kIe = 1u << 0, kDe = 1u << 1, kZe = 1u << 2, kOe = 1u << 3, kUe = 1u << 4,
                       kPe = 1u << 5, kDaz = 1u << 6, kRounding = 3u << 13, kFtz = 1u << 15;
  static constexpr unsigned kMaskShift = 7;
  static constexpr u32 kSticky = 0x3f, kMasks = kSticky << kMaskShift;
  static constexpr u32 kDefault = 0x1f80;
  /// MXCSR_MASK: bits that may be set; no misaligned-exception mask (bit 17).
  static constexpr u32 kDefined = 0xffff;

  /// Sticky bits whose exception `mxcsr` leaves unmasked.
  static constexpr u32 unmasked(u32 mxcsr) { return ~(mxcsr >> kMaskShift) & kSticky; }
};

namespace fp_environment {

/// Makes the host compute as `guest_mxcsr` says.
void enter(u32 guest_mxcsr);

/// Gives the host its own MXCSR back; returns the guest's with what has become sticky.
u32 leave(u32 guest_mxcsr);

// Volatile, so that they keep their order among the arithmetic, which is volatile too.
[[gnu::always_inline]] inline u32 read_host() {
  u32 mxcsr;
  asm volatile("stmxcsr %0" : "=m"(mxcsr));
  return mxcsr;
}
[[gnu::always_inline]] inline void write_host(u32 mxcsr) {
  asm volatile("ldmxcsr %0" : : "m"(mxcsr));
}

}  // namespace fp_environment
}  // namespace penumbra::cpu
