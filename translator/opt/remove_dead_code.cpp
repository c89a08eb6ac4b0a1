#include "translator/opt/passes.h"

namespace penumbra::translator {
namespace {

/// One bit a temporary slot (integer, then vector).
using SlotSet = u64;

SlotSet slot_bit(Slot slot) {
  if (slot == kNoSlot || !is_temporary(slot)) return 0;
  if (slot < temporary_slot(cpu::CpuState::kTemporaries)) {
    return bit((slot - temporary_slot(0)) / 8);
  }
  return bit(32 + (slot - vector_temporary_slot(0)) / 32);
}

/// Without flags a count that may be 0 is like any other.
Op without_flags(Op op) {
  switch (op) {
    case Op::ShlCount:
      return Op::Shl;
    case Op::ShrCount:
      return Op::Shr;
    case Op::SarCount:
      return Op::Sar;
    case Op::RotateLeftCount:
      return Op::RotateLeft;
    case Op::RotateRightCount:
      return Op::RotateRight;
    default:
      return op;
  }
}

struct Liveness {
  u32 flags = cpu::Flag::kArithmetic;
  SlotSet slots = 0;
};

bool is_pure(const MicroOp& op) {
  Effects effects = effects_of(op);
  bool begins_checked_form = op.op == Op::BeginSse;
  return !effects.may_fault && !effects.leaves && !begins_checked_form &&
         shape_of(op.op) != Shape::VectorFlags && shape_of(op.op) != Shape::Hint;
}

/// Marks what `op` reads and forgets what it defines, going backwards.
void step(const MicroOp& op, Liveness& live) {
  Effects effects = effects_of(op);
  if (op.sets_flags && shape_of(op.op) != Shape::Counted) live.flags &= ~flags_set_by(op.op);
  live.flags |= effects.reads_flags;
  if (effects.may_fault || effects.leaves) live.flags = cpu::Flag::kArithmetic;
  bool whole = op.width >= Width::W32 || shape_of(op.op) == Shape::Memory;
  if (whole) live.slots &= ~slot_bit(op.d);
  live.slots |= slot_bit(op.a) | slot_bit(op.b);
  live.slots |= slot_bit(op.c);
}

}  // namespace

void remove_dead_code(Block& block) {
  Liveness live;
  size_t kept = block.ops.size();  // behind it is what stays, from the end on
  u16 instruction = 0xffff;
  for (size_t i = block.ops.size(); i-- > 0;) {
    MicroOp op = block.ops[i];
    if (op.instruction != instruction) live.slots = 0;
    instruction = op.instruction;
    bool vector_flags = shape_of(op.op) == Shape::VectorFlags;
    bool seen = (live.flags & flags_set_by(op.op)) != 0;
    if (op.sets_flags && !seen && !vector_flags) op.sets_flags = false;
    bool writes = op.sets_flags ||
                  (op.d != kNoSlot && (!is_temporary(op.d) || (live.slots & slot_bit(op.d & ~7))));
    if (is_pure(op) && !writes) continue;
    if (!op.sets_flags) op.op = without_flags(op.op);
    step(op, live);
    block.ops[--kept] = op;
  }
  block.ops.erase(block.ops.begin(), block.ops.begin() + static_cast<std::ptrdiff_t>(kept));
}

}  // namespace penumbra::translator
