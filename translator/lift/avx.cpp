#include "translator/lift/avx.h"

#include "translator/lift/vector_forms.h"

namespace penumbra::translator {
namespace {

/// Outside 64-bit mode the other registers stay as they are (SDM 2, VZEROALL).
u8 register_count(const Lifter& l) { return l.mode().is_long() ? 16 : 8; }

}  // namespace

void lift_zero_upper(Lifter& l, u32) {
  if (!avx_usable(l)) return;
  for (u8 i = 0; i < register_count(l); ++i) l.emit({.op = Op::ClearUpper, .d = vector_slot(i)});
}

void lift_zero_all(Lifter& l, u32) {
  if (!avx_usable(l)) return;
  for (u8 i = 0; i < register_count(l); ++i) {
    Slot d = vector_slot(i);
    l.emit({.op = Op::Pxor, .width = Width::W256, .d = d, .a = d, .b = d});
  }
}

}  // namespace penumbra::translator
