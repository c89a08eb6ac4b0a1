#include "cpu/integer/double_shift.h"
#include "translator/lift/integer.h"

namespace penumbra::translator {
namespace {

Op by_count(Op shift) {
  switch (shift) {
    case Op::Shl:
      return Op::ShlCount;
    case Op::Shr:
      return Op::ShrCount;
    case Op::Sar:
      return Op::SarCount;
    case Op::RotateLeft:
      return Op::RotateLeftCount;
    default:
      return Op::RotateRightCount;
  }
}

u64 masked(u64 count, Width width) { return count & (width == Width::W64 ? 63 : 31); }

}  // namespace

void lift_shift(Lifter& l, u32 op) {
  Op shift = static_cast<Op>(op);
  Value count = l.read(1);
  if (!count.is_immediate()) return apply(l, by_count(shift), count, {});
  u64 amount = masked(count.immediate, l.operand(0).width());
  apply(l, shift, Value::of(amount), {}, amount != 0);
}

void lift_rotate_carry(Lifter& l, u32 op) {
  apply(l, static_cast<Op>(op), l.read(1), Value::in(l.flags()), true);
}

void lift_double_shift(Lifter& l, u32 op) {
  Op shift = static_cast<Op>(op);
  if (l.operand(2).kind != OperandKind::Immediate) {
    bool left = shift == Op::DoubleShiftLeft;
    return l.call({left ? "shld_count" : "shrd_count",
                   left ? cpu::ops::shld_count : cpu::ops::shrd_count, ReadsFlags | WritesFlags});
  }
  u64 amount = masked(l.operands().immediate, l.operand(0).width());
  apply(l, shift, Value::in(gpr_slot(l.operand(1).reg)), Value::of(amount), amount != 0);
}

namespace {

/// Byte offset that a register bit offset adds to the address: it counts bits from the operand.
Value bit_string_offset(Lifter& l, Value offset) {
  Width width = l.operand(0).width();
  Slot wide = l.temporary();
  l.emit({.op = Op::SignExtend, .width = Width::W64, .from = width, .d = wide, .a = offset.slot});
  u64 log2_bits = static_cast<u64>(width) + 3;
  Slot words = l.binary(Op::Sar, Width::W64, Value::in(wide), Value::of(log2_bits));
  return Value::in(
      l.binary(Op::Shl, Width::W64, Value::in(words), Value::of(static_cast<u64>(width))));
}

Slot changed_bit(Lifter& l, Op op, Value a, Slot bit_mask) {
  Width width = l.operand(0).width();
  if (op == Op::AndNot) return l.binary(op, width, Value::in(bit_mask), a);
  return l.binary(op, width, a, Value::in(bit_mask));
}

}  // namespace

void lift_bit_test(Lifter& l, u32 op) {
  Op change = static_cast<Op>(op);
  Width width = l.operand(0).width();
  Value position = l.read(1);
  if (position.is_immediate()) position.immediate %= bits(width);
  bool memory = l.operand(0).is_memory();
  Value delta = memory && !position.is_immediate() ? bit_string_offset(l, position) : Value::of(0);
  Value a = change == Op::Move ? l.read(0, delta) : l.read_for_write(0, delta);
  auto set_flags = [&](Value tested) {
    l.binary_into(kNoSlot, Op::BitTestFlags, width, tested, position, true);
  };
  if (change == Op::Move) return set_flags(a);
  Slot old = l.temporary();
  l.move(old, a, width);
  // BitMask takes its count as b; its a is unused.
  Slot bit_mask = l.binary(Op::BitMask, width, Value::in(old), position);
  Slot result = changed_bit(l, change, Value::in(old), bit_mask);
  if (memory) {
    l.write_back(0, Value::in(result));
    return set_flags(Value::in(old));
  }
  set_flags(Value::in(old));
  l.write_back(0, Value::in(result));
}

void lift_bit_scan(Lifter& l, u32 op) {
  Slot d = gpr_slot(l.operand(0).reg);
  Width width = l.operand(0).width();
  Value source = l.read(1);
  if (width == Width::W32) {
    // A destination that keeps its value keeps all 64 bits of it.
    Slot wide = l.temporary();
    l.emit({.op = Op::ZeroExtend, .from = Width::W32, .d = wide, .a = source.slot});
    source = Value::in(wide);
    width = Width::W64;
  }
  l.binary_into(d, static_cast<Op>(op), width, source, Value::in(d), true);
}

void lift_count(Lifter& l, u32 op) {
  Slot source = l.read_slot(1);
  l.emit({.op = static_cast<Op>(op),
          .width = l.operand(0).width(),
          .sets_flags = true,
          .d = gpr_slot(l.operand(0).reg),
          .a = source});
}

void lift_bmi_binary(Lifter& l, u32 op) {
  Op operation = static_cast<Op>(op);
  bool flags = operation == Op::AndNot || operation == Op::Bextr || operation == Op::Bzhi;
  Value a = l.read(1), b = l.read(2);
  l.binary_into(gpr_slot(l.operand(0).reg), operation, l.operand(0).width(), a, b, flags);
}

void lift_crc32(Lifter& l, u32) {
  Slot sum = gpr_slot(l.operand(0).reg);
  Width source = l.operand(1).width();
  Op op = static_cast<Op>(static_cast<unsigned>(Op::Crc32Byte) + static_cast<unsigned>(source));
  Width width = source == Width::W64 ? Width::W64 : Width::W32;
  l.binary_into(sum, op, width, Value::in(sum), l.read(1), false);
}

}  // namespace penumbra::translator
