#include "translator/lift/integer.h"

namespace penumbra::translator {

namespace {

/// The target of an indirect jump or call, zero-extended from the width, in a slot that pushing the
/// return address leaves alone.
Slot indirect_target(Lifter& l) {
  Slot operand = l.read_slot(0);
  if (l.width() == Width::W64 && operand != gpr_slot(4)) return operand;
  Slot target = l.temporary();
  l.emit({.op = Op::ZeroExtend, .from = l.width(), .d = target, .a = operand});
  return target;
}

}  // namespace

void lift_jmp(Lifter& l, u32) {
  bool relative = l.operand(0).kind == OperandKind::Relative;
  Slot target = relative ? l.computed_target(l.operands().immediate) : indirect_target(l);
  if (target == kNoSlot) return l.jump_direct(l.operands().immediate);
  l.check_target(target);
  l.jump_to(target);
}

void lift_call(Lifter& l, u32) {
  bool relative = l.operand(0).kind == OperandKind::Relative;
  u64 displacement = l.operands().immediate;
  Slot target = relative ? l.computed_target(displacement) : indirect_target(l);
  i32 size = static_cast<i32>(bytes(l.width()));
  Slot return_address = l.code_address(l.next_offset(), l.width());
  Address top = l.stack_address(-size, l.width(), Access::Write);
  if (target != kNoSlot) {  // the stack's fault goes before the target's, on AMD
    l.check_writable(top, l.width());
    l.check_target(target);
  }
  l.store(top, Value::in(return_address), l.width());
  l.move_stack(-size);
  l.emit({.op = Op::PushReturn, .a = return_address, .immediate = l.next_offset()});
  if (target == kNoSlot) return l.jump_direct(displacement);
  l.jump_to(target);
}

void lift_ret(Lifter& l, u32) {
  Slot target = l.top_of_stack(l.width());
  l.check_target(target);
  u64 parameters = l.operands().count > 0 ? l.operands().immediate & 0xffff : 0;
  u64 popped = bytes(l.width()) + parameters;
  l.move_stack(static_cast<i32>(popped));
  l.return_to(target, popped);
}

void lift_jcc(Lifter& l, u32 condition) {
  l.branch({.op = Op::BranchFlags, .condition = static_cast<Condition>(condition)},
           l.operands().immediate);
}

void lift_jcxz(Lifter& l, u32 width) {
  Slot zero = l.unary(Op::IsZero, static_cast<Width>(width), Value::in(gpr_slot(1)));
  l.branch({.op = Op::BranchNonzero, .a = zero}, l.operands().immediate);
}

void lift_loop(Lifter& l, u32 kind) {
  Width width = l.operands().address_width;
  Slot count = l.binary(Op::Sub, width, Value::in(gpr_slot(1)), Value::of(1));
  Slot ended = l.unary(Op::IsZero, width, Value::in(count));
  Slot again = l.binary(Op::Xor, Width::W8, Value::in(ended), Value::of(1));
  if (static_cast<LoopKind>(kind) != LoopKind::Always) {
    bool zero = static_cast<LoopKind>(kind) == LoopKind::WhileZero;
    Slot holds = l.condition(zero ? Condition::Z : Condition::Nz);
    again = l.binary(Op::And, Width::W8, Value::in(again), Value::in(holds));
  }
  l.move(gpr_slot(1), Value::in(count), width);
  l.branch({.op = Op::BranchNonzero, .a = again}, l.operands().immediate);
}

void lift_nop(Lifter&, u32) {}

}  // namespace penumbra::translator
