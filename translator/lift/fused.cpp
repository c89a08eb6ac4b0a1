// FMA and F16C.
#include "translator/lift/avx.h"
#include "translator/lift/vector_forms.h"

namespace penumbra::translator {
namespace {

/// a * b + c of operands 0, 1 and 2.
MicroOp formula(Lifter& l, u32 argument) {
  Slot first = vector_register(l, 0), second = vector_register(l, 1), third = vector_source(l, 2);
  MicroOp op{.op = static_cast<Op>(argument & 0xffff), .width = vector_width(l)};
  switch (static_cast<FusedOrder>(argument >> 16)) {
    case FusedOrder::O132:
      op.a = first, op.b = third, op.c = second;
      break;
    case FusedOrder::O213:
      op.a = second, op.b = first, op.c = third;
      break;
    case FusedOrder::O231:
      op.a = second, op.b = third, op.c = first;
      break;
  }
  return op;
}

/// VCVTPS2PH: rounding by the immediate, or by MXCSR where bit 2 is set.
Op to_half(u8 control) {
  u32 index = control & 4 ? 4 : control & 3;
  return static_cast<Op>(static_cast<u32>(Op::Cvtps2phNearest) + index);
}

/// Faults where the operand may not be written, so that nothing becomes sticky before.
void check_operand_writable(Lifter& l) {
  l.check_writable(l.address(8, Access::Write), Width::W64);
  if (l.operand(0).size == 16)
    l.check_writable(l.address(8, Access::Write, Value::of(8)), Width::W64);
}

}  // namespace

void lift_fused(Lifter& l, u32 argument) {
  if (!avx_usable(l)) return;
  MicroOp op = formula(l, argument);
  op.d = vector_register(l, 0);
  emit_float(l, op);
  finish_vector(l);
}

void lift_fused_scalar(Lifter& l, u32 argument) {
  if (!avx_usable(l)) return;
  MicroOp op = formula(l, argument);
  op.d = l.vector_temporary();
  emit_float(l, op);
  bool is_double = (static_cast<unsigned>(op.op) - static_cast<unsigned>(Op::Fmaddps)) % 2 != 0;
  Slot d = vector_register(l, 0);
  write_binary(l, is_double ? Op::Movsd : Op::Movss, d, op.d);
}

void lift_half_to_single(Lifter& l, u32) {
  if (!avx_usable(l)) return;
  Slot a = vector_source(l, 1), d = vector_register(l, 0);
  emit_float(l, {.op = Op::Cvtph2ps, .width = vector_width(l), .d = d, .a = a});
  finish_vector(l);
}

void lift_single_to_half(Lifter& l, u32) {
  if (!avx_usable(l)) return;
  bool to_memory = l.operand(0).is_memory();
  if (to_memory) check_operand_writable(l);
  Slot d = to_memory ? l.vector_temporary() : vector_register(l, 0);
  MicroOp op{.op = to_half(immediate_of(l)),
             .width = vector_width(l, 1),
             .d = d,
             .a = vector_register(l, 1)};
  emit_float(l, op);
  if (to_memory) return l.store_vector(0, d, l.operand(0).size, false);
  finish_vector(l);
}

}  // namespace penumbra::translator
