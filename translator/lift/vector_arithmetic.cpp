// Packed integer instructions of MMX and SSE2, and the bitwise ones of SSE.
#include "translator/lift/vector_forms.h"

namespace penumbra::translator {

void lift_packed_binary(Lifter& l, u32 op) {
  if (!packed_usable(l)) return;
  Slot a = first_source(l), b = second_source(l);
  write_binary(l, static_cast<Op>(op), a, b);
  if (is_mmx(l, 0)) finish_mmx(l, 0);
}

void lift_packed_halves(Lifter& l, u32 op) {
  if (!is_mmx(l, 0)) return lift_packed_binary(l, op);
  if (!mmx_usable(l)) return;
  Slot d = vector_register(l, 0), b = vector_source(l, 1), both = l.vector_temporary();
  emit_binary(l, Op::Punpcklqdq, both, d, b);
  emit_binary(l, static_cast<Op>(op), d, both, both);
  finish_mmx(l, 0);
}

void lift_packed_high(Lifter& l, u32 op) {
  if (!is_mmx(l, 0)) {
    constexpr u32 kHighAfterLow = static_cast<u32>(Op::Punpckhbw) - static_cast<u32>(Op::Punpcklbw);
    return lift_packed_binary(l, op + kHighAfterLow);
  }
  if (!mmx_usable(l)) return;
  Slot d = vector_register(l, 0), b = vector_source(l, 1), all = l.vector_temporary();
  emit_binary(l, static_cast<Op>(op), all, d, b);
  emit_unary(l, Op::Psrldq, d, all, 8);
  finish_mmx(l, 0);
}

void lift_packed_shift(Lifter& l, u32 op) {
  if (!packed_usable(l)) return;
  Slot a = first_source(l);
  if (l.operand(second_operand(l)).kind == OperandKind::Immediate) {
    constexpr u32 kImmediateForm =
        static_cast<u32>(Op::PsllwImmediate) - static_cast<u32>(Op::Psllw);
    write_unary(l, static_cast<Op>(op + kImmediateForm), a, immediate_of(l));
  } else {
    write_binary(l, static_cast<Op>(op), a, second_source(l));
  }
  if (is_mmx(l, 0)) finish_mmx(l, 0);
}

void lift_byte_shift(Lifter& l, u32 op) {
  if (!packed_usable(l)) return;
  write_unary(l, static_cast<Op>(op), first_source(l), immediate_of(l));
}

void lift_vector_binary(Lifter& l, u32 op) {
  if (!vector_usable(l)) return;
  Slot a = first_source(l), b = second_source(l);
  write_binary(l, static_cast<Op>(op), a, b);
}

void lift_vector_unary(Lifter& l, u32 op) {
  if (!vector_usable(l)) return;
  write_unary(l, static_cast<Op>(op), vector_source(l, 1));
}

}  // namespace penumbra::translator
