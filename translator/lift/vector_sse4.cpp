// Instructions of SSE3 and later that are no floating-point arithmetic (cpu/instructions/sse4.def).
#include "translator/lift/vector_forms.h"

namespace penumbra::translator {

void lift_packed_unary(Lifter& l, u32 op) {
  if (!packed_usable(l)) return;
  write_unary(l, static_cast<Op>(op), vector_source(l, 1));
  if (is_mmx(l, 0)) finish_mmx(l, 0);
}

void lift_pshufb(Lifter& l, u32) {
  if (!packed_usable(l)) return;
  Slot from = first_source(l), index = second_source(l);
  if (!is_mmx(l, 0)) return write_binary(l, Op::Pshufb, from, index);
  // Three bits of an index count: both halves are the same.
  Slot twice = l.vector_temporary();
  emit_binary(l, Op::Punpcklqdq, twice, from, from);
  emit_binary(l, Op::Pshufb, from, twice, index);
  finish_mmx(l, 0);
}

void lift_palignr(Lifter& l, u32) {
  if (!is_mmx(l, 0)) return lift_packed_immediate(l, static_cast<u32>(Op::Palignr));
  if (!mmx_usable(l)) return;
  Slot d = vector_register(l, 0), low = vector_source(l, 1), both = l.vector_temporary();
  emit_binary(l, Op::Punpcklqdq, both, low, d);
  emit_unary(l, Op::Psrldq, d, both, immediate_of(l));
  finish_mmx(l, 0);
}

void lift_packed_immediate(Lifter& l, u32 op) {
  if (packed_usable(l)) lift_shuffle_binary(l, op);
}

void lift_movddup(Lifter& l, u32) {
  if (!vector_usable(l)) return;
  Slot source = vector_source(l, 1);
  write_binary(l, Op::Punpcklqdq, source, source);
}

void lift_duplicate(Lifter& l, u32 lanes) {
  if (!vector_usable(l)) return;
  write_unary(l, Op::Pshufd, vector_source(l, 1), static_cast<u8>(lanes));
}

namespace {

/// A general register or memory, as the low lane of a vector.
void move_from_integer(Lifter& l, Slot d, Slot source, Width width) {
  l.emit({.op = Op::MoveFromInteger, .width = width, .d = d, .a = vector_slot(0), .b = source});
}

void extract(Lifter& l, Slot d, Slot from, Op op, u8 lane) {
  Width width = op == Op::Pextrq ? Width::W64 : Width::W32;
  l.emit({.op = op, .width = width, .d = d, .a = from, .immediate = lane});
}

}  // namespace

void lift_blend_variable(Lifter& l, u32 op) {
  if (!vector_usable(l)) return;
  Slot a = first_source(l), b = second_source(l);
  write_ternary(l, static_cast<Op>(op), a, b, is_vex(l) ? vector_register(l, 3) : vector_slot(0));
}

void lift_sha(Lifter& l, u32 op) {
  if (!sse_usable(l)) return;
  Slot d = vector_register(l, 0), b = l.read_vector(1, 16, false);
  emit_binary(l, static_cast<Op>(op), d, d, b);
}

void lift_sha1_rounds(Lifter& l, u32) {
  lift_sha(l, static_cast<u32>(Op::Sha1RoundsChoose) + (immediate_of(l) & 3));
}

void lift_sha256_rounds(Lifter& l, u32) {
  if (!sse_usable(l)) return;
  Slot d = vector_register(l, 0), b = l.read_vector(1, 16, false);
  write_ternary(l, Op::Sha256rnds2, d, b, vector_slot(0));
}

void lift_extension(Lifter& l, u32 op) {
  if (!packed_usable(l)) return;
  const Operand& operand = l.operand(1);
  Slot source;
  if (operand.is_memory() && operand.size == 2) {
    source = l.vector_temporary();
    move_from_integer(l, source, l.read_slot(1), Width::W16);
  } else {
    source = l.read_vector(1, operand.size, false);
  }
  write_unary(l, static_cast<Op>(op), source);
}

void lift_insert(Lifter& l, u32 op) {
  if (!vector_usable(l)) return;
  int from = second_operand(l);
  Slot value = l.read_slot(from);
  l.emit({.op = static_cast<Op>(op),
          .width = l.operand(from).width(),
          .d = vector_register(l, 0),
          .a = first_source(l),
          .b = value,
          .immediate = immediate_of(l)});
  finish_vector(l);
}

void lift_extract(Lifter& l, u32 op) {
  if (!vector_usable(l)) return;
  Slot from = vector_register(l, 1);
  if (!l.operand(0).is_memory())
    return extract(l, gpr_slot(l.operand(0).reg), from, static_cast<Op>(op), immediate_of(l));
  Slot value = l.temporary();
  extract(l, value, from, static_cast<Op>(op), immediate_of(l));
  l.write(0, Value::in(value));
}

void lift_insertps(Lifter& l, u32) {
  if (!vector_usable(l)) return;
  int from = second_operand(l);
  Slot a = first_source(l), b = l.read_vector(from, 4, false);
  // Memory has one lane only.
  u8 lanes = l.operand(from).is_memory() ? immediate_of(l) & 0x3f : immediate_of(l);
  write_binary(l, Op::Insertps, a, b, lanes);
}

void lift_vector_test(Lifter& l, u32 op) {
  if (!vector_usable(l)) return;
  Slot a = vector_register(l, 0), b = vector_source(l, 1);
  l.emit({.op = static_cast<Op>(op), .width = vector_width(l), .sets_flags = true, .a = a, .b = b});
}

// -- text ----------------------------------------------------------------------------------------

namespace {

bool is_explicit(TextForm form) {
  return form == TextForm::ExplicitIndex || form == TextForm::ExplicitMask;
}

/// rAX and rDX as signed quadwords of a vector.
Slot explicit_lengths(Lifter& l) {
  Slot lengths = l.vector_temporary(), a = gpr_slot(0), b = gpr_slot(2);
  if (l.width() != Width::W64) {
    Slot narrow_a = l.temporary(), narrow_b = l.temporary();
    l.emit({.op = Op::SignExtend, .from = Width::W32, .d = narrow_a, .a = a});
    l.emit({.op = Op::SignExtend, .from = Width::W32, .d = narrow_b, .a = b});
    a = narrow_a, b = narrow_b;
  }
  move_from_integer(l, lengths, a, Width::W64);
  l.emit({.op = Op::Pinsrq, .d = lengths, .a = lengths, .b = b, .immediate = 1});
  return lengths;
}

Slot implicit_lengths(Lifter& l, Slot a, Slot b) {
  Slot lengths = l.vector_temporary();
  emit_binary(l, Op::TextLengths, lengths, a, b, immediate_of(l));
  return lengths;
}

}  // namespace

void lift_compare_text(Lifter& l, u32 argument) {
  if (!vector_usable(l)) return;
  TextForm form = static_cast<TextForm>(argument);
  Slot a = vector_register(l, 0), b = l.read_vector(1, 16, false);
  Slot lengths = is_explicit(form) ? explicit_lengths(l) : implicit_lengths(l, a, b);
  Slot found = l.vector_temporary(), flags = l.temporary();
  l.emit({.op = Op::CompareText,
          .width = Width::W128,
          .d = found,
          .a = a,
          .b = b,
          .c = lengths,
          .immediate = immediate_of(l)});
  extract(l, flags, found, Op::Pextrd, 2);
  if (form == TextForm::ExplicitIndex || form == TextForm::ImplicitIndex) {
    extract(l, gpr_slot(1), found, Op::Pextrd, 1);
  } else {
    emit_unary(l, Op::TextMask, vector_slot(0), found, immediate_of(l));
    if (is_vex(l)) l.emit({.op = Op::ClearUpper, .d = vector_slot(0)});
  }
  l.emit({.op = Op::SetFlags, .sets_flags = true, .a = flags});
}

}  // namespace penumbra::translator
