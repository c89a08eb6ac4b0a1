// Floating-point instructions of SSE3 and SSE4.1, made of arithmetic and of moves that raise
// nothing, so that each step raises what the instruction's does.
#include "translator/lift/vector_forms.h"

namespace penumbra::translator {
namespace {

/// The arithmetic ops stand in vector_float_ops.def as PS, PD, SS, SD; so do the rounding ones.
bool is_double(Op op) { return (static_cast<unsigned>(op) - static_cast<unsigned>(Op::Addps)) % 2; }

/// Emits steps of one instruction at its width.
class Steps {
 public:
  explicit Steps(Lifter& l) : l_(l), width_(vector_width(l)) {}

  void arithmetic(Op op, Slot d, Slot a, Slot b) {
    emit_float(l_, {.op = op, .width = width_, .d = d, .a = a, .b = b});
  }
  void unary(Op op, Slot d, Slot a, u8 immediate = 0) {
    l_.emit({.op = op, .width = width_, .d = d, .a = a, .immediate = immediate});
  }
  void binary(Op op, Slot d, Slot a, Slot b, u8 immediate = 0) {
    l_.emit({.op = op, .width = width_, .d = d, .a = a, .b = b, .immediate = immediate});
  }

 private:
  Lifter& l_;
  Width width_;
};

/// The even lanes of a and b into `even`, the odd ones into `odd`.
void separate(Steps& steps, Slot even, Slot odd, Slot a, Slot b, bool is_double) {
  if (is_double) {
    steps.binary(Op::Punpcklqdq, even, a, b);
    steps.binary(Op::Punpckhqdq, odd, a, b);
  } else {
    steps.binary(Op::Shufps, even, a, b, 0x88);
    steps.binary(Op::Shufps, odd, a, b, 0xdd);
  }
}

/// Every lane of a half of `products` becomes the sum of its lanes, neighbours first.
void add_all_lanes(Steps& steps, Slot products, Slot spare, bool is_double) {
  Op add = is_double ? Op::Addpd : Op::Addps;
  for (unsigned count = is_double ? 2 : 4; count > 1; count /= 2) {
    steps.unary(Op::Pshufd, spare, products, is_double ? 0xee : 0xdd);
    steps.unary(Op::Pshufd, products, products, is_double ? 0x44 : 0x88);
    steps.arithmetic(add, products, products, spare);
  }
}

}  // namespace

void lift_horizontal(Lifter& l, u32 argument) {
  if (!vector_usable(l)) return;
  Op op = static_cast<Op>(argument);
  Slot a = first_source(l), b = second_source(l);
  Slot even = l.vector_temporary(), odd = l.vector_temporary();
  Steps steps(l);
  separate(steps, even, odd, a, b, is_double(op));
  steps.arithmetic(op, vector_register(l, 0), even, odd);
  finish_vector(l);
}

void lift_alternate(Lifter& l, u32 argument) {
  if (!vector_usable(l)) return;
  Op op = static_cast<Op>(argument);
  Slot a = first_source(l), b = second_source(l), changed = l.vector_temporary();
  Steps steps(l);
  steps.unary(is_double(op) ? Op::NegateEvenDoubles : Op::NegateEvenSingles, changed, b);
  steps.arithmetic(op, vector_register(l, 0), a, changed);
  finish_vector(l);
}

void lift_dot_product(Lifter& l, u32 argument) {
  if (!vector_usable(l)) return;
  Op multiply = static_cast<Op>(argument);
  Op keep = is_double(multiply) ? Op::KeepDoubles : Op::KeepSingles;
  u8 factors = immediate_of(l) >> 4, results = immediate_of(l) & 15;
  Slot a = first_source(l), b = second_source(l);
  Slot x = l.vector_temporary(), y = l.vector_temporary();
  Steps steps(l);
  steps.unary(keep, x, a, factors);
  steps.unary(keep, y, b, factors);
  steps.arithmetic(multiply, x, x, y);
  add_all_lanes(steps, x, y, is_double(multiply));
  steps.unary(keep, vector_register(l, 0), x, results);
  finish_vector(l);
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
