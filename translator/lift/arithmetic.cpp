#include "translator/lift/integer.h"

namespace penumbra::translator {

void apply(Lifter& l, Op op, Value b, Value c, bool flags) {
  bool ternary = shape_of(op) == Shape::Ternary;
  Width width = l.operand(0).width();
  Value a = l.read_for_write(0);
  auto emit = [&](Slot d, bool set) {
    if (ternary) return l.ternary_into(d, op, width, a, b, c, set);
    l.binary_into(d, op, width, a, b, set);
  };
  if (!l.operand(0).is_memory()) return emit(a.slot, flags);
  Slot result = l.temporary();
  emit(result, false);
  l.write_back(0, Value::in(result));
  if (flags) emit(kNoSlot, true);
}

void lift_alu(Lifter& l, u32 op) { apply(l, static_cast<Op>(op), l.read_variable(1), {}); }

void lift_compare(Lifter& l, u32 op) {
  Value a = l.read(0);
  l.binary_into(kNoSlot, static_cast<Op>(op), l.operand(0).width(), a, l.read_variable(1), true);
}

void lift_alu_carry(Lifter& l, u32 op) {
  Value b = l.read_variable(1);
  Slot carry = l.condition(Condition::B);
  apply(l, static_cast<Op>(op), b, Value::in(carry));
}

void lift_unary(Lifter& l, u32 op) {
  Op operation = static_cast<Op>(op);
  Width width = l.operand(0).width();
  bool flags = operation != Op::Not;
  Value a = l.read_for_write(0);
  if (!l.operand(0).is_memory()) {
    l.emit({.op = operation, .width = width, .sets_flags = flags, .d = a.slot, .a = a.slot});
    return;
  }
  Slot result = l.unary(operation, width, a);
  l.write_back(0, Value::in(result));
  if (flags) l.emit({.op = operation, .width = width, .sets_flags = true, .a = a.slot});
}

namespace {

/// Flags of a multiplication, from its two halves.
void multiply_flags(Lifter& l, bool is_signed, Width width, Slot low, Value high) {
  Op op = is_signed ? Op::MulFlagsSigned : Op::MulFlagsUnsigned;
  l.binary_into(kNoSlot, op, width, Value::in(low), high, true);
}

/// AX = AL * factor.
void multiply_bytes(Lifter& l, bool is_signed, Slot factor) {
  Op extend = is_signed ? Op::SignExtend : Op::ZeroExtend;
  Slot a = l.temporary(), b = l.temporary();
  l.emit({.op = extend, .width = Width::W64, .from = Width::W8, .d = a, .a = gpr_slot(0)});
  l.emit({.op = extend, .width = Width::W64, .from = Width::W8, .d = b, .a = factor});
  Slot product = l.binary(Op::Mul, Width::W64, Value::in(a), Value::in(b));
  l.move(gpr_slot(0), Value::in(product), Width::W16);
  Value high_byte = Value::in(static_cast<Slot>(product + 1));
  multiply_flags(l, is_signed, Width::W8, product, high_byte);
}

}  // namespace

void lift_mul(Lifter& l, u32 high_op) {
  Op high = static_cast<Op>(high_op);
  bool is_signed = high == Op::MulHighSigned;
  Width width = l.operand(0).width();
  Value factor = l.read(0);
  if (width == Width::W8) return multiply_bytes(l, is_signed, factor.slot);
  Slot low = gpr_slot(0);
  Value high_half = Value::in(l.binary(high, width, Value::in(low), factor));
  l.binary_into(low, Op::Mul, width, Value::in(low), factor, false);
  l.move(gpr_slot(2), high_half, width);
  multiply_flags(l, is_signed, width, low, high_half);
}

void lift_imul(Lifter& l, u32) {
  int count = l.operands().count;
  if (count == 1) return lift_mul(l, static_cast<u32>(Op::MulHighSigned));
  Value a = l.read(count - 2), b = l.read_variable(count - 1);
  Width width = l.operand(0).width();
  Slot d = gpr_slot(l.operand(0).reg);
  l.binary_into(d, Op::Mul, width, a, b, true);
}

/// CF and OF stay, AF is set, SF, ZF and PF are cleared: undefined, and as AMD processors leave
/// them.
void lift_divide(Lifter& l, u32 op) {
  Op divide = static_cast<Op>(op);
  Width width = l.operand(0).width();
  Slot divisor = l.read(0).slot, low = gpr_slot(0);
  Slot high = width == Width::W8 ? gpr_high_slot(0) : gpr_slot(2);
  MicroOp check{.op = Op::CheckDivide, .width = width, .a = low, .b = divisor, .c = high};
  check.immediate = divide == Op::DivideSigned;
  l.emit(check);
  Slot flags = l.flags(), quotient = l.temporary();
  Value kept = Value::of(cpu::Flag::kCf | cpu::Flag::kOf), set = Value::of(cpu::Flag::kAf);
  l.binary_into(flags, Op::And, Width::W64, Value::in(flags), kept, false);
  l.binary_into(flags, Op::Or, Width::W64, Value::in(flags), set, false);
  l.emit({.op = Op::SetFlags, .sets_flags = true, .a = flags});
  l.emit({.op = divide, .width = width, .d = quotient, .a = low, .b = divisor, .c = high});
  Slot product = flags;  // of two temporaries, both are in registers
  l.binary_into(product, Op::Mul, width, Value::in(quotient), Value::in(divisor), false);
  l.binary_into(high, Op::Sub, width, Value::in(low), Value::in(product), false);
  l.move(low, Value::in(quotient), width);
}

void lift_mulx(Lifter& l, u32) {
  Width width = l.operand(0).width();
  Value factor = l.read(2), rdx = Value::in(gpr_slot(2));
  Slot low = l.binary(Op::Mul, width, rdx, factor);
  Slot high = l.binary(Op::MulHighUnsigned, width, rdx, factor);
  l.write(1, Value::in(low));
  l.write(0, Value::in(high));
}

void lift_add_with_flag(Lifter& l, u32 op) {
  Value b = l.read(1);
  apply(l, static_cast<Op>(op), b, Value::in(l.flags()));
}

}  // namespace penumbra::translator
