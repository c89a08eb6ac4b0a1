#include "translator/lift/integer.h"

namespace penumbra::translator {
namespace {

constexpr u64 kLahfFlags =
    cpu::Flag::kCf | cpu::Flag::kPf | cpu::Flag::kAf | cpu::Flag::kZf | cpu::Flag::kSf;

void set_flags(Lifter& l, Slot value) {
  l.emit({.op = Op::SetFlags, .sets_flags = true, .a = value});
}

}  // namespace

void lift_carry(Lifter& l, u32 op) {
  Slot carry = kZeroSlot;
  if (static_cast<Op>(op) == Op::Or) carry = l.in_slot(Value::of(1));
  if (static_cast<Op>(op) == Op::Xor) carry = l.condition(Condition::Nb);
  l.binary_into(kNoSlot, Op::BitTestFlags, Width::W64, Value::in(carry), Value::of(0), true);
}

void lift_direction(Lifter& l, u32 set) {
  constexpr Slot kRflags = offsetof(cpu::CpuState, rflags);
  u64 operand = set ? u64{cpu::Flag::kDf} : ~u64{cpu::Flag::kDf};
  l.binary_into(kRflags, set ? Op::Or : Op::And, Width::W64, Value::in(kRflags), Value::of(operand),
                false);
}

void lift_lahf(Lifter& l, u32) {
  Slot kept = l.binary(Op::And, Width::W64, Value::in(l.flags()), Value::of(kLahfFlags));
  Slot image = l.binary(Op::Or, Width::W64, Value::in(kept), Value::of(2));
  l.move(gpr_high_slot(0), Value::in(image), Width::W8);
}

void lift_sahf(Lifter& l, u32) {
  Slot ah = l.temporary();
  l.emit({.op = Op::ZeroExtend, .from = Width::W8, .d = ah, .a = gpr_high_slot(0)});
  Slot loaded = l.binary(Op::And, Width::W64, Value::in(ah), Value::of(kLahfFlags));
  Slot kept = l.binary(Op::And, Width::W64, Value::in(l.flags()), Value::of(cpu::Flag::kOf));
  set_flags(l, l.binary(Op::Or, Width::W64, Value::in(loaded), Value::in(kept)));
}

}  // namespace penumbra::translator
