// Checked forms: vector arithmetic for a guest that leaves an SSE exception unmasked.
//
// The host runs with every exception masked, which hides two things from a guest that unmasks
// overflow or underflow: an exact result below the normal range is an underflow for it, and its
// precision flag is that of a result with unbounded exponent (SDM 1, 4.9.1.4 to 4.9.1.6). Between
// begin_checked() and end_checked() runs one instruction; the latter finds its exact exceptions.
#pragma once

#include "cpu/state.h"

namespace penumbra::cpu {

/// What end_checked() has to know of the instruction. Only these kinds can overflow or underflow.
struct CheckedForm {
  enum class Kind : u8 { Other, Add, Subtract, Multiply, Divide, Narrow, Fused, ToHalf };

  Kind kind = Kind::Other;
  bool is_double = false;  ///< lanes of the operands
  u8 lanes = 0;            ///< 1 for scalar forms
  u8 detail = 0;           ///< FusedKind, or the immediate of VCVTPS2PH

  /// As the immediate of a micro-op.
  constexpr u64 encode() const {
    return static_cast<u64>(kind) | u64{is_double} << 8 | u64{lanes} << 16 | u64{detail} << 24;
  }
  static constexpr CheckedForm decode(u64 word) {
    return {static_cast<Kind>(word & 0xff), (word >> 8 & 1) != 0, static_cast<u8>(word >> 16),
            static_cast<u8>(word >> 24)};
  }
};

/// What the instruction had: c is the addend of fused ones.
struct CheckedOperands {
  VectorRegister a, b, c;
};

struct CheckedResult {
  u32 mxcsr;    ///< the guest's, with the instruction's exceptions
  bool raises;  ///< one of them is unmasked: #XM, or #UD where CR4.OSXMMEXCPT is 0
};

/// Starts a checked instruction: returns the guest's MXCSR so far; the host's sticky bits are
/// clear.
u32 begin_checked(u32 guest_mxcsr);

/// Ends it, given what begin_checked() returned and the operands that the instruction had (a
/// conversion's is b), of which form.lanes count. An unmasked pre-computation exception (IE, DE,
/// ZE) sets no other flags (SDM 1, 11.5.3).
CheckedResult end_checked(u32 guest_mxcsr, CheckedForm form, const CheckedOperands& operands);

}  // namespace penumbra::cpu
