// Floating-point instructions of SSE and SSE2.
//
// While every SSE exception is masked, an instruction is its micro-op. Once the guest unmasks one,
// the micro-op runs between BeginSse and EndSse into a temporary, which is then committed.
#include <algorithm>

#include "cpu/semantics/vector_checked.h"
#include "cpu/vector/mmx_conversion.h"
#include "translator/lift/vector_forms.h"

namespace penumbra::translator {
namespace {

using cpu::CheckedForm;

bool is_checked(const Lifter& l) { return l.mode().has(CodeMode::kSseUnmasked); }

bool is_narrowing(Op op) { return op == Op::Cvtsd2ss || op == Op::Cvtpd2ps; }
bool is_scalar_narrowing(Op op) { return op == Op::Cvtsd2ss; }

/// The fused ones stand in vector_fused_ops.def by kind, the first four as PS, PD, SS, SD.
CheckedForm fused_form(const MicroOp& op) {
  unsigned index = static_cast<unsigned>(op.op) - static_cast<unsigned>(Op::Fmaddps);
  unsigned in_pairs = index < 16 ? index / 4 : 4 + (index - 16) / 2;
  bool is_double = index % 2 != 0, scalar = index < 16 && index % 4 >= 2;
  u32 lanes = scalar ? 1 : bytes(op.width) / (is_double ? 8 : 4);
  return {CheckedForm::Kind::Fused, is_double, static_cast<u8>(lanes), static_cast<u8>(in_pairs)};
}

/// ADD, SUB, MUL and DIV stand in vector_float_ops.def in this order, each as PS, PD, SS, SD.
CheckedForm form_of(const MicroOp& op) {
  u32 size = bytes(op.width);
  if (is_narrowing(op.op))
    return {CheckedForm::Kind::Narrow, true,
            static_cast<u8>(is_scalar_narrowing(op.op) ? 1 : size / 8)};
  if (op.op >= Op::Fmaddps && op.op <= Op::Fmsubaddpd) return fused_form(op);
  if (op.op >= Op::Cvtps2phNearest && op.op <= Op::Cvtps2phCurrent) {
    unsigned control = static_cast<unsigned>(op.op) - static_cast<unsigned>(Op::Cvtps2phNearest);
    return {CheckedForm::Kind::ToHalf, false, static_cast<u8>(size / 4), static_cast<u8>(control)};
  }
  if (op.op < Op::Addps || op.op > Op::Divsd) return {};
  unsigned index = static_cast<unsigned>(op.op) - static_cast<unsigned>(Op::Addps);
  bool is_double = index % 2 != 0, scalar = index % 4 >= 2;
  return {static_cast<CheckedForm::Kind>(1 + index / 4), is_double,
          static_cast<u8>(scalar ? 1 : size / (is_double ? 8 : 4))};
}

/// Names the operands, and the result so that no pass takes the arithmetic for dead.
void end_checked(Lifter& l, const MicroOp& op) {
  bool unary = op.b == kNoSlot;
  l.emit({.op = Op::EndSse,
          .a = op.a,
          .b = unary ? op.a : op.b,
          .c = op.c == kNoSlot ? op.d : op.c,
          .immediate = form_of(op).encode()});
}

/// emit_float() into operand 0.
void write_float(Lifter& l, MicroOp op) {
  op.d = vector_register(l, 0);
  emit_float(l, op);
  finish_vector(l);
}

/// W256 where either side has 32 bytes: conversions change the size of lanes.
Width float_width(const Lifter& l) { return std::max(vector_width(l, 0), vector_width(l, 1)); }

/// As emit_float(), for a general register of `width`.
void emit_float_to_integer(Lifter& l, MicroOp op) {
  if (!is_checked(l)) {
    l.emit(op);
    return;
  }
  Slot into = op.d;
  op.d = l.temporary();
  l.emit({.op = Op::BeginSse});
  l.emit(op);
  end_checked(l, op);
  l.move(into, Value::in(op.d), op.width);
}

/// COMIS and UCOMIS: a vector comparison that raises the same exceptions, while flags may not be
/// written yet.
void emit_comparison_check(Lifter& l, Op op, Slot a, Slot b) {
  bool is_double = op == Op::Comisd || op == Op::Ucomisd;
  bool quiet = op == Op::Ucomiss || op == Op::Ucomisd;
  Op twin =
      is_double ? (quiet ? Op::Cmpunordsd : Op::Cmpltsd) : (quiet ? Op::Cmpunordss : Op::Cmpltss);
  MicroOp check{.op = twin, .width = Width::W128, .d = l.vector_temporary(), .a = a, .b = b};
  l.emit({.op = Op::BeginSse});
  l.emit(check);
  end_checked(l, check);
}

/// The checked form of conversions with MMX registers.
NamedCall checked_mmx_conversion(Op op) {
  switch (op) {
    case Op::Cvtps2pi:
      return {"checked_cvtps2pi", cpu::ops::checked_cvtps2pi, UsesFpu};
    case Op::Cvttps2pi:
      return {"checked_cvttps2pi", cpu::ops::checked_cvttps2pi, UsesFpu};
    case Op::Cvtpd2pi:
      return {"checked_cvtpd2pi", cpu::ops::checked_cvtpd2pi, UsesFpu};
    case Op::Cvttpd2pi:
      return {"checked_cvttpd2pi", cpu::ops::checked_cvttpd2pi, UsesFpu};
    default:
      return {"checked_cvtpi2ps", cpu::ops::checked_cvtpi2ps, UsesFpu};
  }
}

}  // namespace

void emit_float(Lifter& l, MicroOp op) {
  if (!is_checked(l)) {
    l.emit(op);
    return;
  }
  Slot into = op.d;
  op.d = l.vector_temporary();
  l.emit({.op = Op::BeginSse});
  l.emit(op);
  end_checked(l, op);
  bool wide = shape_of(op.op) != Shape::VectorFromInteger && op.width == Width::W256;
  l.emit({.op = Op::VectorMove, .width = wide ? Width::W256 : Width::W128, .d = into, .a = op.d});
}

void lift_float_binary(Lifter& l, u32 op) {
  if (!vector_usable(l)) return;
  Slot a = first_source(l), b = second_source(l);
  write_float(l, {.op = static_cast<Op>(op), .width = vector_width(l), .a = a, .b = b});
}

void lift_float_unary(Lifter& l, u32 op) {
  if (!vector_usable(l)) return;
  Slot a = vector_source(l, 1);
  write_float(l, {.op = static_cast<Op>(op), .width = float_width(l), .a = a});
}

void lift_float_compare(Lifter& l, u32 op) {
  // SDM 2, CMPPS: legacy forms look at three bits of the immediate, VEX forms at five.
  lift_float_binary(l, op + (immediate_of(l) & (is_vex(l) ? 31 : 7)));
}

void lift_float_flags(Lifter& l, u32 op) {
  if (!vector_usable(l)) return;
  Slot a = vector_register(l, 0), b = vector_source(l, 1);
  if (is_checked(l)) emit_comparison_check(l, static_cast<Op>(op), a, b);
  l.emit({.op = static_cast<Op>(op), .width = Width::W128, .sets_flags = true, .a = a, .b = b});
}

void lift_float_to_integer(Lifter& l, u32 op) {
  if (!vector_usable(l)) return;
  Slot a = vector_source(l, 1);
  emit_float_to_integer(l, {.op = static_cast<Op>(op),
                            .width = l.operand(0).width(),
                            .d = gpr_slot(l.operand(0).reg),
                            .a = a});
}

void lift_float_from_integer(Lifter& l, u32 op) {
  if (!vector_usable(l)) return;
  int source = second_operand(l);
  Slot a = first_source(l), b = l.read_slot(source);
  write_float(l, {.op = static_cast<Op>(op), .width = l.operand(source).width(), .a = a, .b = b});
}

void lift_float_to_mmx(Lifter& l, u32 op) {
  if (is_checked(l)) return l.call(checked_mmx_conversion(static_cast<Op>(op)));
  if (!sse_and_mmx_usable(l)) return;
  Slot d = vector_register(l, 0), a = vector_source(l, 1);
  l.emit({.op = static_cast<Op>(op), .d = d, .a = a});
  finish_mmx(l, 0);
}

void lift_from_mmx(Lifter& l, u32 op) {
  // CVTPI2PD is exact.
  if (is_checked(l) && static_cast<Op>(op) != Op::Cvtpi2pd)
    return l.call(checked_mmx_conversion(static_cast<Op>(op)));
  // APM 5, CVTPI2PS and CVTPI2PD: with memory the x87 unit is not involved.
  bool from_mmx = is_mmx(l, 1);
  if (from_mmx ? !sse_and_mmx_usable(l) : !sse_usable(l)) return;
  Slot d = vector_register(l, 0), b = vector_source(l, 1);
  emit_binary(l, static_cast<Op>(op), d, d, b);
  if (from_mmx) enter_mmx(l);
}

}  // namespace penumbra::translator
