// Floating-point instructions of SSE and SSE2.
//
// While every SSE exception is masked, an instruction is its micro-op. Once the guest unmasks one,
// the micro-op runs between BeginSse and EndSse into a temporary, which is then committed.
#include "translator/lift/vector_forms.h"

namespace penumbra::translator {
namespace {

bool is_checked(const Lifter& l) { return l.mode().has(CodeMode::kSseUnmasked); }

/// Names the result, so that no pass takes the arithmetic for dead.
void end_checked(Lifter& l, Slot result) { l.emit({.op = Op::EndSse, .a = result}); }

/// Emits `op` so that its exceptions are raised before `into` is written.
template <class Emit>
void emit_checked(Lifter& l, Slot into, Emit emit) {
  if (!is_checked(l)) return emit(into);
  Slot result = l.vector_temporary();
  l.emit({.op = Op::BeginSse});
  emit(result);
  end_checked(l, result);
  emit_unary(l, Op::VectorMove, into, result);
}

/// As emit_checked(), for a general or MMX register of `width`.
void emit_checked_integer(Lifter& l, MicroOp op) {
  Slot into = op.d;
  if (is_checked(l)) {
    op.d = l.temporary();
    l.emit({.op = Op::BeginSse});
  }
  l.emit(op);
  if (!is_checked(l)) return;
  end_checked(l, op.d);
  l.move(into, Value::in(op.d), op.width);
}

void emit_float_binary(Lifter& l, Op op, Slot d, Slot b) {
  emit_checked(l, d, [&](Slot into) { emit_binary(l, op, into, d, b); });
}

}  // namespace

void lift_float_binary(Lifter& l, u32 op) {
  if (!sse_usable(l)) return;
  Slot b = vector_source(l, 1);
  emit_float_binary(l, static_cast<Op>(op), vector_register(l, 0), b);
}

void lift_float_unary(Lifter& l, u32 op) {
  if (!sse_usable(l)) return;
  Slot a = vector_source(l, 1);
  emit_checked(l, vector_register(l, 0),
               [&](Slot into) { emit_unary(l, static_cast<Op>(op), into, a); });
}

void lift_float_estimate(Lifter& l, u32 op) {
  if (!sse_usable(l)) return;
  Slot d = vector_register(l, 0), source = vector_source(l, 1);
  if (shape_of(static_cast<Op>(op)) == Shape::VectorUnary) {
    emit_unary(l, static_cast<Op>(op), d, source);
  } else {
    emit_binary(l, static_cast<Op>(op), d, d, source);
  }
}

void lift_float_compare(Lifter& l, u32 op) {
  // SDM 2, CMPPS: legacy forms look at three bits of the immediate.
  lift_float_binary(l, op + (immediate_of(l) & 7));
}

void lift_float_flags(Lifter& l, u32 op) {
  if (!sse_usable(l)) return;
  Slot a = vector_register(l, 0), b = vector_source(l, 1);
  MicroOp compare{.op = static_cast<Op>(op), .width = Width::W128, .sets_flags = true, .a = a,
                  .b = b};
  if (is_checked(l)) {
    // A vector comparison that raises the same exceptions, while flags may not be written yet.
    bool is_double = compare.op == Op::Comisd || compare.op == Op::Ucomisd;
    bool quiet = compare.op == Op::Ucomiss || compare.op == Op::Ucomisd;
    Op twin = is_double ? (quiet ? Op::Cmpunordsd : Op::Cmpltsd)
                        : (quiet ? Op::Cmpunordss : Op::Cmpltss);
    Slot unused = l.vector_temporary();
    l.emit({.op = Op::BeginSse});
    emit_binary(l, twin, unused, a, b);
    end_checked(l, unused);
  }
  l.emit(compare);
}

void lift_float_to_integer(Lifter& l, u32 op) {
  if (!sse_usable(l)) return;
  Slot a = vector_source(l, 1);
  emit_checked_integer(l, {.op = static_cast<Op>(op), .width = l.operand(0).width(),
                           .d = gpr_slot(l.operand(0).reg), .a = a});
}

void lift_float_from_integer(Lifter& l, u32 op) {
  if (!sse_usable(l)) return;
  Slot a = vector_register(l, 0), b = l.read_slot(1);
  emit_checked(l, a, [&](Slot into) {
    l.emit({.op = static_cast<Op>(op), .width = l.operand(1).width(), .d = into, .a = a, .b = b});
  });
}

void lift_float_to_mmx(Lifter& l, u32 op) {
  if (!sse_and_mmx_usable(l)) return;
  Slot a = vector_source(l, 1);
  emit_checked_integer(
      l, {.op = static_cast<Op>(op), .width = Width::W64, .d = vector_register(l, 0), .a = a});
  finish_mmx(l, 0);
}

void lift_cvtpi2ps(Lifter& l, u32) {
  if (!sse_and_mmx_usable(l)) return;
  Slot b = vector_source(l, 1);
  emit_float_binary(l, Op::Cvtpi2ps, vector_register(l, 0), b);
  enter_mmx(l);
}

void lift_cvtpi2pd(Lifter& l, u32) {
  // SDM 2, CVTPI2PD: with memory the x87 unit is not involved. The conversion is exact.
  bool from_mmx = is_mmx(l, 1);
  if (from_mmx ? !sse_and_mmx_usable(l) : !sse_usable(l)) return;
  Slot a = vector_source(l, 1);
  emit_unary(l, Op::Cvtdq2pd, vector_register(l, 0), a);
  if (from_mmx) enter_mmx(l);
}

}  // namespace penumbra::translator
