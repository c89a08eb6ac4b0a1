// Moves between vector registers, memory and general registers.
#include "cpu/integer/strings.h"
#include "cpu/vector/control.h"
#include "translator/lift/vector_forms.h"

namespace penumbra::translator {
namespace {

bool is_xmm(const Lifter& l, int i) { return l.operand(i).kind == OperandKind::Xmm; }

/// The string form has hidden memory operands only.
bool is_string_form(const Lifter& l) { return !is_xmm(l, 0) && !is_xmm(l, 1); }

bool sse2_usable(Lifter& l) {
  if (l.model().has(cpu::Feature::Sse2)) return vector_usable(l);
  l.raise(Vector::Ud);
  return false;
}

void lift_movd_to_xmm(Lifter& l) {
  Slot d = vector_register(l, 0);
  const Operand& source = l.operand(1);
  if (source.is_gpr()) {
    l.emit({.op = Op::MoveFromInteger,
            .width = source.width(),
            .d = d,
            .a = d,
            .b = gpr_slot(source.reg)});
  } else if (source.is_memory()) {
    l.load_vector(d, 1, source.size, false);
  } else {
    emit_unary(l, Op::Movq, d, vector_register(l, 1));
  }
  finish_vector(l);
}

void lift_movd_from_xmm(Lifter& l) {
  const Operand& to = l.operand(0);
  Slot source = vector_register(l, 1);
  if (to.is_memory()) return l.store_vector(0, source, to.size, false);
  l.emit({.op = Op::MoveToInteger, .width = to.width(), .d = gpr_slot(to.reg), .a = source});
}

}  // namespace

void lift_vector_move(Lifter& l, u32 alignment) {
  if (!vector_usable(l)) return;
  bool aligned = static_cast<Alignment>(alignment) == Alignment::Natural;
  if (l.operand(0).is_memory())
    return l.store_vector(0, vector_register(l, 1), l.operand(0).size, aligned);
  if (!l.operand(1).is_memory()) return write_unary(l, Op::VectorMove, vector_register(l, 1));
  l.load_vector(vector_register(l, 0), 1, l.operand(1).size, aligned);
  finish_vector(l);
}

void lift_vector_merge(Lifter& l, u32 op) {
  if (!vector_usable(l)) return;
  if (l.operand(0).is_memory())
    return l.store_vector(0, vector_register(l, 1), l.operand(0).size, false);
  if (!l.operand(1).is_memory())
    return write_binary(l, static_cast<Op>(op), first_source(l), second_source(l));
  l.load_vector(vector_register(l, 0), 1, l.operand(1).size, false);
  finish_vector(l);
}

void lift_movsd(Lifter& l, u32) {
  if (is_string_form(l)) return l.call({"movs_string", cpu::ops::movs_string, CopiesStraight});
  if (l.model().has(cpu::Feature::Sse2)) return lift_vector_merge(l, static_cast<u32>(Op::Movsd));
  l.raise(Vector::Ud);
}

void lift_stmxcsr(Lifter& l, u32) {
  if (vector_usable(l)) l.call({"stmxcsr", cpu::ops::stmxcsr, UsesFpu | StoresMxcsr});
}

void lift_cmpsd(Lifter& l, u32) {
  if (is_string_form(l))
    return l.call({"cmps_string", cpu::ops::cmps_string, WritesFlags | ComparesStraight});
  if (l.model().has(cpu::Feature::Sse2))
    return lift_float_compare(l, static_cast<u32>(Op::Cmpeqsd));
  l.raise(Vector::Ud);
}

void lift_movd(Lifter& l, u32) {
  if (is_xmm(l, 0) || is_xmm(l, 1)) {
    if (!sse2_usable(l)) return;
    return is_xmm(l, 0) ? lift_movd_to_xmm(l) : lift_movd_from_xmm(l);
  }
  if (!mmx_usable(l)) return;
  if (is_mmx(l, 0)) {
    l.move(l.mmx(0), l.read(1), l.operand(1).width());
    return finish_mmx(l, 0);
  }
  l.write(0, Value::in(l.mmx(1)));
  enter_mmx(l);
}

void lift_move_low(Lifter& l, u32) {
  if (!vector_usable(l)) return;
  if (l.operand(0).is_memory()) return l.store_vector(0, vector_register(l, 1), 8, false);
  Slot a = first_source(l), b = second_source(l);
  if (is_xmm(l, second_operand(l))) return write_binary(l, Op::Punpckhqdq, b, a);
  write_binary(l, Op::Movsd, a, b);
}

void lift_move_high(Lifter& l, u32) {
  if (!vector_usable(l)) return;
  if (l.operand(0).is_memory()) {
    Slot high = l.vector_temporary();
    emit_unary(l, Op::Psrldq, high, vector_register(l, 1), 8);
    return l.store_vector(0, high, 8, false);
  }
  write_binary(l, Op::Punpcklqdq, first_source(l), second_source(l));
}

void lift_movntq(Lifter& l, u32) {
  if (!mmx_usable(l)) return;
  l.write(0, Value::in(l.mmx(1)));
  enter_mmx(l);
}

void lift_movdq2q(Lifter& l, u32) {
  if (!sse_and_mmx_usable(l)) return;
  l.move(l.mmx(0), Value::in(vector_register(l, 1)), Width::W64);
  finish_mmx(l, 0);
}

void lift_movq2dq(Lifter& l, u32) {
  if (!sse_and_mmx_usable(l)) return;
  emit_unary(l, Op::Movq, vector_register(l, 0), l.mmx(1));
  enter_mmx(l);
}

}  // namespace penumbra::translator
