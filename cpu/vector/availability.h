// Whether vector instructions may run now, for named operations (SDM 2, tables 2-18 to 2-25).
//
// The lifter decides the same for lifted rows from the code-mode word (lift/vector_forms.h).
#pragma once

#include "common/fault.h"
#include "cpu/state.h"

namespace penumbra::cpu {

/// #UD where CR0.EM or not CR4.OSFXSR, #NM where CR0.TS.
Expected<> require_sse(const CpuState& state);
/// #UD where CR0.EM, #NM where CR0.TS, #MF where an x87 exception is pending.
Expected<> require_mmx(const CpuState& state);
/// MMX instructions set TOP to 0 and all tags to valid (SDM 1, 9.6.2).
void enter_mmx(X87State& x87);

}  // namespace penumbra::cpu
