// Whether SSE instructions may run now, for named operations (SDM 2, tables 2-18 to 2-25).
//
// The lifter decides the same for lifted rows from the code-mode word (lift/vector_forms.h); of
// MMX instructions see cpu/x87/mmx_transition.h.
#pragma once

#include "common/fault.h"
#include "common/operands.h"
#include "cpu/state.h"

namespace penumbra::cpu {

/// #UD where CR0.EM or not CR4.OSFXSR, #NM where CR0.TS.
inline Expected<> require_sse(const CpuState& state) {
  if ((state.cr0 & Cr0::kEm) || !(state.cr4 & Cr4::kOsfxsr)) return std::unexpected(Fault::ud());
  if (state.cr0 & Cr0::kTs) return std::unexpected(Fault::of(Vector::Nm));
  return {};
}

/// Of a VEX form: #UD unless CR4.OSXSAVE and XCR0 enable SSE and AVX state, #NM where CR0.TS.
inline Expected<> require_avx(const CpuState& state) {
  constexpr u64 kSseAndAvx = 6;
  bool enabled = (state.cr4 & Cr4::kOsxsave) && (state.xcr0 & kSseAndAvx) == kSseAndAvx;
  if (!enabled) return std::unexpected(Fault::ud());
  if (state.cr0 & Cr0::kTs) return std::unexpected(Fault::of(Vector::Nm));
  return {};
}

/// One of the two, by the encoding.
inline Expected<> require_vector(const CpuState& state, const Operands& ops) {
  return ops.vex ? require_avx(state) : require_sse(state);
}

}  // namespace penumbra::cpu
