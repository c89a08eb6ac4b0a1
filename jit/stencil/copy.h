// Copies a stencil and fills its holes: the inner loop of code generation.
//
// Continuations stay open; StencilTables::continuations() lists them and link() fills one. Fields
// that a value does not fit are the caller's bug (it chooses keys by what fits): an assertion.
#pragma once

#include "common/log.h"
#include "jit/stencil/stencil.h"

namespace penumbra::jit {

/// Bytes behind the end of the copy that copy() may overwrite.
constexpr u32 kCopySlack = 32;

/// What goes into a stencil. Only what the stencil has holes for is looked at.
struct StencilFill {
  u8 registers[kStencilOperands] = {};  ///< host register numbers by StencilOperand
  u64 values[kValueHoleKinds] = {};     ///< by HoleKind

  u8& operator[](StencilOperand operand) { return registers[static_cast<u32>(operand)]; }
  u64& operator[](HoleKind kind) { return values[static_cast<u32>(kind)]; }
};

/// Writes the stencil at `to`, to be run at `run_address` (which may be another mapping of the same
/// memory). Its size is Stencil::size.
void copy(const StencilTables& tables, const Stencil& stencil, const StencilFill& fill, u8* to,
          u64 run_address);

/// Makes the continuation at `field`, run at `run_address`, go to `target`. Not for code that may
/// be running: the field has no alignment.
inline void link(u8* field, u64 run_address, u64 target) {
  i64 distance = static_cast<i64>(target - (run_address + 4));
  PENUMBRA_ASSERT(distance == static_cast<i32>(distance));
  i32 value = static_cast<i32>(distance);
  std::memcpy(field, &value, sizeof value);
}

}  // namespace penumbra::jit
