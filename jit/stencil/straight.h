// REP string instructions straight from generated code, which keeps its registers over the call.
//
// Only the simplest case (cpu/integer/straight_strings.h) by what the view in force grants; where
// it is not that simple, the named operation is called as any other and does the rest.
#pragma once

#include "cpu/state.h"
#include "jit/stencil/native_block.h"

namespace penumbra::jit {

/// Whether a call in code of `mode` may be tried so.
bool may_be_straight(const translator::CallSite& call, CodeMode mode);

/// Called by generated code as penumbra_slow(), which it goes on with where the case is not simple.
extern "C" void penumbra_straight();
/// What that asks, with the guest's RAX, RCX, RDX, RSI and RDI current: whether it is done.
extern "C" bool penumbra_perform_straight(cpu::CpuState* s, const Site* site);

}  // namespace penumbra::jit
