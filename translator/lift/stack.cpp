#include "translator/lift/integer.h"

namespace penumbra::translator {

void lift_push(Lifter& l, u32) { l.push(l.read_variable(0), l.width()); }

void lift_pop(Lifter& l, u32) {
  i32 size = static_cast<i32>(bytes(l.width()));
  bool plain = !l.operand(0).is_memory() && l.operand(0).reg != 4 && l.width() >= Width::W32;
  if (plain) {
    Address top = l.stack_address(0, l.width(), Access::Read);
    l.load_into(gpr_slot(l.operand(0).reg), top, l.width());
    return l.move_stack(size);
  }
  Slot value = l.top_of_stack(l.width());
  if (l.operand(0).is_memory()) {
    l.address_after_pop(bytes(l.width()));
    l.write(0, Value::in(value));
    return l.move_stack(size);
  }
  l.move_stack(size);
  l.write(0, Value::in(value));
}

void lift_pusha(Lifter& l, u32 argument) {
  Width width = static_cast<Width>(argument);
  i32 size = static_cast<i32>(bytes(width));
  for (u8 i = 0; i < 8; ++i) {
    l.store(l.stack_address(-size * (i + 1), width, Access::Write), Value::in(gpr_slot(i)), width);
  }
  l.move_stack(-size * 8);
}

void lift_leave(Lifter& l, u32) {
  Width stack = l.stack_width(), width = l.width();
  Slot frame = l.temporary(), above = l.temporary();
  l.emit({.op = Op::ZeroExtend, .from = stack, .d = frame, .a = gpr_slot(5)});
  Address address = l.segment_address(Segment::Ss, frame, bytes(width), Access::Read);
  Slot saved = l.load(address, width);
  l.emit({.op = Op::Lea,
          .width = stack,
          .d = above,
          .a = frame,
          .b = kZeroSlot,
          .displacement = static_cast<i32>(bytes(width))});
  l.move(gpr_slot(4), Value::in(above), stack);
  l.move(gpr_slot(5), Value::in(saved), width);
}

}  // namespace penumbra::translator
