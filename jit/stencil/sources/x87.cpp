// Stencils around x87 instructions, which themselves are the host's
// (jit/stencil/generator_x87.cpp), and MXCSR.
#include "cpu/semantics/fp_environment.h"
#include "jit/stencil/sources/operands.h"

namespace penumbra::jit {
namespace {

constexpr u16 kErrorSummary = 1u << 7;

PENUMBRA_STENCIL check_unit(PENUMBRA_STENCIL_ARGUMENTS) {
  if (!s->x87_on_host) [[unlikely]]
    PENUMBRA_CONTINUE(to_slow);
  PENUMBRA_CONTINUE(to_next);
}

/// On the host's unit every exception is masked, and the state's status stays what it was.
PENUMBRA_STENCIL check_wait(PENUMBRA_STENCIL_ARGUMENTS) {
  if ((s->x87.status & kErrorSummary) != 0) [[unlikely]]
    PENUMBRA_CONTINUE(to_slow);
  PENUMBRA_CONTINUE(to_next);
}

PENUMBRA_STENCIL check_pending(PENUMBRA_STENCIL_ARGUMENTS) {
  if (s->x87_on_host || (s->x87.status & kErrorSummary) != 0) [[unlikely]]
    PENUMBRA_CONTINUE(to_slow);
  PENUMBRA_CONTINUE(to_next);
}

template <Form A>
PENUMBRA_STENCIL unit_pointers(PENUMBRA_STENCIL_ARGUMENTS) {
  s->x87.ip = (s->code_base + opaque_signed(hole_displacement)) & s->linear_mask;
  s->x87.cs = s->seg(Segment::Cs).selector;
  s->x87.opcode = immediate<u16>();
  if constexpr (A == kSlot) s->x87.ds = get<u16, A, 'a'>(s, a);
  PENUMBRA_CONTINUE(to_next);
}

/// Sticky bits are on the host; of its other bits only the masks are not the guest's.
PENUMBRA_STENCIL store_mxcsr(PENUMBRA_STENCIL_ARGUMENTS) {
  asm volatile("stmxcsr %0" : "=m"(s->slow_linear));
  u32 sticky = static_cast<u32>(s->slow_linear) & cpu::Mxcsr::kSticky;
  store_to<u32>(reinterpret_cast<u8*>(a), s->mxcsr | sticky);
  PENUMBRA_CONTINUE(to_next);
}

constexpr auto make() {
  Listing<StencilFunction, 6> list;
  list.add({.op = code_of(Special::CheckUnit)}, check_unit);
  list.add({.op = code_of(Special::CheckWait)}, check_wait);
  list.add({.op = code_of(Special::CheckPending)}, check_pending);
  list.add({.op = code_of(Special::StoreMxcsr), .a = kRegister}, store_mxcsr);
  list.add({.op = code_of(Special::UnitPointers)}, unit_pointers<kNone>);
  list.add({.op = code_of(Special::UnitPointers), .a = kSlot}, unit_pointers<kSlot>);
  return list;
}

PENUMBRA_LIST kUnit = listed<make>();

}  // namespace
}  // namespace penumbra::jit
