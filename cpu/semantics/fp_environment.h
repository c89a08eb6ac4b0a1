// The host's MXCSR while guest floating point runs on the host's units (SDM 1, 10.2.3 and 11.5).
//
// Between enter() and leave() the host has the guest's rounding mode, DAZ, FTZ and sticky bits, and
// every exception masked. The guest's MXCSR is current only after leave(). Code that runs between
// begin_checked() and end_checked() is one guest instruction whose exceptions are looked at, for
// guests that unmask one. x87 control is not touched.
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

/// Starts a checked instruction: returns the guest's MXCSR so far; the host's sticky bits are clear.
u32 begin_checked(u32 guest_mxcsr);

struct Checked {
  u32 mxcsr;    ///< the guest's, with the instruction's exceptions
  bool raises;  ///< one of them is unmasked: #XM, or #UD where CR4.OSXMMEXCPT is 0
};

/// Ends a checked instruction, given what begin_checked() returned. An unmasked pre-computation
/// exception (IE, DE, ZE) sets no post-computation flag (SDM 1, 11.5.3).
Checked end_checked(u32 guest_mxcsr);

}  // namespace fp_environment
}  // namespace penumbra::cpu
