// Floating-point instructions of SSE3 and SSE4.1, made of arithmetic and of moves that raise
// nothing, so that each step raises what the instruction's does.
#include "translator/lift/vector_forms.h"

namespace penumbra::translator {
namespace {

/// The arithmetic ops stand in vector_float_ops.def as PS, PD, SS, SD; so do the rounding ones.
bool is_double(Op op) { return (static_cast<unsigned>(op) - static_cast<unsigned>(Op::Addps)) % 2; }

void emit_arithmetic(Lifter& l, Op op, Slot d, Slot a, Slot b) {
  emit_float(l, {.op = op, .width = Width::W128, .d = d, .a = a, .b = b});
}

/// The even lanes of a and b into `even`, the odd ones into `odd`.
void separate(Lifter& l, Slot even, Slot odd, Slot a, Slot b, bool is_double) {
  if (is_double) {
    emit_binary(l, Op::Punpcklqdq, even, a, b);
    emit_binary(l, Op::Punpckhqdq, odd, a, b);
  } else {
    emit_binary(l, Op::Shufps, even, a, b, 0x88);
    emit_binary(l, Op::Shufps, odd, a, b, 0xdd);
  }
}

/// Every lane of `d` becomes the sum of all lanes of `products`, neighbours first.
void add_all_lanes(Lifter& l, Slot products, Slot spare, bool is_double) {
  Op add = is_double ? Op::Addpd : Op::Addps;
  for (unsigned count = is_double ? 2 : 4; count > 1; count /= 2) {
    Slot even = products, odd = spare;
    if (is_double) {
      emit_unary(l, Op::Pshufd, odd, products, 0xee);
      emit_unary(l, Op::Pshufd, even, products, 0x44);
    } else {
      emit_unary(l, Op::Pshufd, odd, products, 0xdd);
      emit_unary(l, Op::Pshufd, even, products, 0x88);
    }
    emit_arithmetic(l, add, products, even, odd);
  }
}

}  // namespace

void lift_horizontal(Lifter& l, u32 argument) {
  if (!sse_usable(l)) return;
  Op op = static_cast<Op>(argument);
  Slot d = vector_register(l, 0), b = vector_source(l, 1);
  Slot even = l.vector_temporary(), odd = l.vector_temporary();
  separate(l, even, odd, d, b, is_double(op));
  emit_arithmetic(l, op, d, even, odd);
}

void lift_alternate(Lifter& l, u32 argument) {
  if (!sse_usable(l)) return;
  Op op = static_cast<Op>(argument);
  Slot d = vector_register(l, 0), b = vector_source(l, 1), changed = l.vector_temporary();
  emit_unary(l, is_double(op) ? Op::NegateEvenDoubles : Op::NegateEvenSingles, changed, b);
  emit_arithmetic(l, op, d, d, changed);
}

void lift_dot_product(Lifter& l, u32 argument) {
  if (!sse_usable(l)) return;
  Op multiply = static_cast<Op>(argument);
  Op keep = is_double(multiply) ? Op::KeepDoubles : Op::KeepSingles;
  u8 factors = immediate_of(l) >> 4, results = immediate_of(l) & 15;
  Slot d = vector_register(l, 0), b = vector_source(l, 1);
  Slot x = l.vector_temporary(), y = l.vector_temporary();
  emit_unary(l, keep, x, d, factors);
  emit_unary(l, keep, y, b, factors);
  emit_arithmetic(l, multiply, x, x, y);
  add_all_lanes(l, x, y, is_double(multiply));
  emit_unary(l, keep, d, x, results);
}

void lift_round(Lifter& l, u32 op) {
  constexpr u32 kForms = 4, kModes = 5;
  u8 control = immediate_of(l);
  u32 mode = control & 4 ? 4 : control & 3;
  op += kForms * (mode + (control & 8 ? kModes : 0));
  bool scalar = (op - static_cast<u32>(Op::RoundpsNearest)) % kForms >= 2;
  return scalar ? lift_float_binary(l, op) : lift_float_unary(l, op);
}

}  // namespace penumbra::translator
