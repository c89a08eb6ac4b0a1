// Instructions of SSE3 and later that are no floating-point arithmetic (cpu/instructions/sse4.def).
#include "translator/lift/vector_forms.h"

namespace penumbra::translator {

void lift_packed_unary(Lifter& l, u32 op) {
  if (!packed_usable(l)) return;
  Slot a = vector_source(l, 1);
  emit_unary(l, static_cast<Op>(op), vector_register(l, 0), a);
  finish_packed(l, 0);
}

void lift_pshufb(Lifter& l, u32) {
  if (!packed_usable(l)) return;
  Slot d = vector_register(l, 0), index = vector_source(l, 1), from = d;
  if (is_mmx(l, 0)) {
    // Three bits of an index count: both halves are the same.
    from = l.vector_temporary();
    emit_binary(l, Op::Punpcklqdq, from, d, d);
  }
  emit_binary(l, Op::Pshufb, d, from, index);
  finish_packed(l, 0);
}

void lift_palignr(Lifter& l, u32) {
  if (!is_mmx(l, 0)) return lift_shuffle_binary(l, static_cast<u32>(Op::Palignr));
  if (!mmx_usable(l)) return;
  Slot d = vector_register(l, 0), low = vector_source(l, 1), both = l.vector_temporary();
  emit_binary(l, Op::Punpcklqdq, both, low, d);
  emit_unary(l, Op::Psrldq, d, both, immediate_of(l));
  finish_mmx(l, 0);
}

void lift_movddup(Lifter& l, u32) {
  if (!sse_usable(l)) return;
  Slot source = l.read_vector(1, 8, false);
  emit_binary(l, Op::Punpcklqdq, vector_register(l, 0), source, source);
}

void lift_duplicate(Lifter& l, u32 lanes) {
  if (!sse_usable(l)) return;
  Slot source = vector_source(l, 1);
  emit_unary(l, Op::Pshufd, vector_register(l, 0), source, static_cast<u8>(lanes));
}

namespace {

void emit_ternary(Lifter& l, Op op, Slot d, Slot a, Slot b, Slot c) {
  l.emit({.op = op, .width = Width::W128, .d = d, .a = a, .b = b, .c = c});
}

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
  if (!sse_usable(l)) return;
  Slot d = vector_register(l, 0), b = vector_source(l, 1);
  emit_ternary(l, static_cast<Op>(op), d, d, b, vector_slot(0));
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
  emit_ternary(l, Op::Sha256rnds2, d, d, b, vector_slot(0));
}

void lift_extension(Lifter& l, u32 op) {
  if (!sse_usable(l)) return;
  const Operand& operand = l.operand(1);
  Slot source;
  if (operand.is_memory() && operand.size == 2) {
    source = l.vector_temporary();
    move_from_integer(l, source, l.read_slot(1), Width::W16);
  } else {
    source = l.read_vector(1, operand.size, false);
  }
  emit_unary(l, static_cast<Op>(op), vector_register(l, 0), source);
}

void lift_insert(Lifter& l, u32 op) {
  if (!sse_usable(l)) return;
  Slot value = l.read_slot(1), d = vector_register(l, 0);
  l.emit({.op = static_cast<Op>(op),
          .width = l.operand(1).width(),
          .d = d,
          .a = d,
          .b = value,
          .immediate = immediate_of(l)});
}

void lift_extract(Lifter& l, u32 op) {
  if (!sse_usable(l)) return;
  Slot from = vector_register(l, 1);
  if (!l.operand(0).is_memory())
    return extract(l, gpr_slot(l.operand(0).reg), from, static_cast<Op>(op), immediate_of(l));
  Slot value = l.temporary();
  extract(l, value, from, static_cast<Op>(op), immediate_of(l));
  l.write(0, Value::in(value));
}

void lift_insertps(Lifter& l, u32) {
  if (!sse_usable(l)) return;
  Slot d = vector_register(l, 0), b = l.read_vector(1, 4, false);
  // Memory has one lane only.
  u8 lanes = l.operand(1).is_memory() ? immediate_of(l) & 0x3f : immediate_of(l);
  emit_binary(l, Op::Insertps, d, d, b, lanes);
}

void lift_vector_test(Lifter& l, u32 op) {
  if (!sse_usable(l)) return;
  Slot a = vector_register(l, 0), b = vector_source(l, 1);
  l.emit({.op = static_cast<Op>(op), .width = Width::W128, .sets_flags = true, .a = a, .b = b});
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
  if (!sse_usable(l)) return;
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
  }
  l.emit({.op = Op::SetFlags, .sets_flags = true, .a = flags});
}

}  // namespace penumbra::translator
