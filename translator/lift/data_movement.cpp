#include "translator/lift/integer.h"

namespace penumbra::translator {

namespace {

/// A load that fills its register needs no temporary.
bool loads_whole_register(Lifter& l) {
  return l.operand(0).kind == OperandKind::Gpr && l.operand(0).size >= 4 &&
         l.operand(1).is_memory();
}

void load_whole_register(Lifter& l) {
  Width from = l.operand(1).width();
  l.load_into(gpr_slot(l.operand(0).reg), l.address(bytes(from), Access::Read), from);
}

}  // namespace

void lift_mov(Lifter& l, u32) {
  if (loads_whole_register(l)) return load_whole_register(l);
  l.write(0, l.read_variable(1));
}

void lift_extend(Lifter& l, u32 op) {
  bool zero = static_cast<Op>(op) == Op::ZeroExtend;
  if (zero && loads_whole_register(l)) return load_whole_register(l);
  Slot source = l.read_slot(1);
  l.emit({.op = static_cast<Op>(op),
          .width = l.operand(0).width(),
          .from = l.operand(1).width(),
          .d = gpr_slot(l.operand(0).reg),
          .a = source});
}

void lift_lea(Lifter& l, u32) {
  Slot address = l.effective_address();
  l.write(0, Value::in(address));
}

void lift_xchg(Lifter& l, u32) {
  int memory = l.operand(1).is_memory() ? 1 : 0;
  int reg = 1 - memory;
  Value other = l.read(reg);
  Width width = l.operand(0).width();
  Slot old = l.temporary();
  l.move(old, l.read_for_write(memory), width);
  l.write_back(memory, other);
  l.write(reg, Value::in(old));
}

void lift_xadd(Lifter& l, u32) {
  Width width = l.operand(0).width();
  Slot old = l.temporary(), addend = l.temporary();
  l.move(old, l.read_for_write(0), width);
  l.move(addend, l.read(1), width);
  Slot sum = l.binary(Op::Add, width, Value::in(old), Value::in(addend));
  if (l.operand(0).is_memory()) {
    l.write_back(0, Value::in(sum));
    l.write(1, Value::in(old));
  } else {
    l.write(1, Value::in(old));
    l.write(0, Value::in(sum));
  }
  l.binary_into(kNoSlot, Op::Add, width, Value::in(old), Value::in(addend), true);
}

void lift_cmpxchg(Lifter& l, u32) {
  Width width = l.operand(0).width();
  Value accumulator = Value::in(gpr_slot(0));
  Slot old = l.temporary(), expected = l.temporary();
  l.emit({.op = Op::ZeroExtend, .from = width, .d = old, .a = l.read_for_write(0).slot});
  l.emit({.op = Op::ZeroExtend, .from = width, .d = expected, .a = accumulator.slot});
  Slot difference = l.binary(Op::Sub, Width::W64, Value::in(expected), Value::in(old));
  Slot equal = l.unary(Op::IsZero, Width::W64, Value::in(difference));
  Slot source = l.temporary();
  l.emit({.op = Op::ZeroExtend, .from = width, .d = source, .a = l.read(1).slot});
  // A register that is not written, destination or accumulator, is not zero-extended either.
  Width written = width == Width::W32 ? Width::W64 : width;
  bool memory = l.operand(0).is_memory();
  if (memory) {
    Slot stored = l.ternary(Op::Select, width, Value::in(source), Value::in(old), Value::in(equal));
    l.write_back(0, Value::in(stored));
  }
  l.binary_into(kNoSlot, Op::Sub, width, Value::in(expected), Value::in(old), true);
  if (!memory) {
    Value d = l.read(0);
    l.ternary_into(d.slot, Op::Select, written, Value::in(source), d, Value::in(equal), false);
  }
  l.ternary_into(accumulator.slot, Op::Select, written, accumulator, Value::in(old),
                 Value::in(equal), false);
}

void lift_movbe(Lifter& l, u32) {
  Width width = l.operand(0).width();
  l.write(0, Value::in(l.unary(Op::ByteSwap, width, l.read(1))));
}

void lift_bswap(Lifter& l, u32) {
  Width width = l.operand(0).width();
  // A 16-bit BSWAP is undefined; AMD processors write 0.
  Value result =
      width == Width::W16 ? Value::of(0) : Value::in(l.unary(Op::ByteSwap, width, l.read(0)));
  l.write(0, result);
}

void lift_setcc(Lifter& l, u32 condition) {
  Slot value = l.condition(static_cast<Condition>(condition));
  l.write(0, Value::in(value));
}

void lift_cmov(Lifter& l, u32 condition) {
  Value source = l.read(1);
  Slot holds = l.condition(static_cast<Condition>(condition));
  Slot d = gpr_slot(l.operand(0).reg);
  l.ternary_into(d, Op::Select, l.operand(0).width(), source, Value::in(d), Value::in(holds),
                 false);
}

void lift_extend_accumulator(Lifter& l, u32 width) {
  Width to = static_cast<Width>(width);
  l.emit({.op = Op::SignExtend,
          .width = to,
          .from = static_cast<Width>(width - 1),
          .d = gpr_slot(0),
          .a = gpr_slot(0)});
}

void lift_extend_into_rdx(Lifter& l, u32 width) {
  Width to = static_cast<Width>(width);
  Slot sign = l.binary(Op::Sar, to, Value::in(gpr_slot(0)), Value::of(bits(to) - 1));
  l.move(gpr_slot(2), Value::in(sign), to);
}

void lift_xlat(Lifter& l, u32) {
  Slot index = l.temporary(), offset = l.temporary();
  l.emit({.op = Op::ZeroExtend, .from = Width::W8, .d = index, .a = gpr_slot(0)});
  l.move(offset, Value::of(0), Width::W64);
  l.emit({.op = Op::Lea,
          .width = l.operands().address_width,
          .d = offset,
          .a = gpr_slot(3),
          .b = index});
  Address where = l.segment_address(l.operands().memory.segment, offset, 1, Access::Read);
  l.move(gpr_slot(0), Value::in(l.load(where, Width::W8)), Width::W8);
}

}  // namespace penumbra::translator
