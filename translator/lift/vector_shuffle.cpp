// Shuffles by immediate, and words and masks to and from general registers.
#include "translator/lift/vector_forms.h"

namespace penumbra::translator {

void lift_shuffle(Lifter& l, u32 op) {
  if (!packed_usable(l)) return;
  write_unary(l, static_cast<Op>(op), vector_source(l, 1), immediate_of(l));
}

void lift_shuffle_binary(Lifter& l, u32 op) {
  if (!vector_usable(l)) return;
  Slot a = first_source(l), b = second_source(l);
  write_binary(l, static_cast<Op>(op), a, b, immediate_of(l));
}

void lift_pshufw(Lifter& l, u32) {
  if (!mmx_usable(l)) return;
  Slot source = vector_source(l, 1);
  emit_unary(l, Op::Pshuflw, vector_register(l, 0), source, immediate_of(l));
  finish_mmx(l, 0);
}

void lift_pinsrw(Lifter& l, u32) {
  if (!packed_usable(l)) return;
  u8 index = immediate_of(l) & (is_mmx(l, 0) ? 3 : 7);
  const Operand& source = l.operand(second_operand(l));
  Slot word =
      source.is_memory() ? l.load(l.address(2, Access::Read), Width::W16) : gpr_slot(source.reg);
  l.emit({.op = Op::Pinsrw,
          .width = Width::W16,
          .d = vector_register(l, 0),
          .a = first_source(l),
          .b = word,
          .immediate = index});
  finish_packed(l, 0);
}

void lift_pextrw(Lifter& l, u32) {
  if (l.operand(0).is_memory()) {
    if (l.model().has(cpu::Feature::Sse41)) return lift_extract(l, static_cast<u32>(Op::Pextrw));
    return l.raise(Vector::Ud);
  }
  bool mmx = is_mmx(l, 1);
  if (!packed_usable(l, 1)) return;
  u8 index = immediate_of(l) & (mmx ? 3 : 7);
  l.emit({.op = Op::Pextrw,
          .width = Width::W32,
          .d = gpr_slot(l.operand(0).reg),
          .a = vector_register(l, 1),
          .immediate = index});
  if (mmx) enter_mmx(l);
}

void lift_pmovmskb(Lifter& l, u32) {
  if (!packed_usable(l, 1)) return;
  Slot d = gpr_slot(l.operand(0).reg);
  l.emit({.op = Op::Pmovmskb,
          .width = Width::W32,
          .from = vector_width(l, 1),
          .d = d,
          .a = vector_register(l, 1)});
  if (!is_mmx(l, 1)) return;
  l.binary_into(d, Op::And, Width::W32, Value::in(d), Value::of(0xff), false);
  enter_mmx(l);
}

void lift_move_mask(Lifter& l, u32 op) {
  if (!vector_usable(l)) return;
  l.emit({.op = static_cast<Op>(op),
          .width = Width::W32,
          .from = vector_width(l, 1),
          .d = gpr_slot(l.operand(0).reg),
          .a = vector_register(l, 1)});
}

}  // namespace penumbra::translator
