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

/// c of these only carries the flags through; without flags it is not read.
bool third_is_only_flags(Op op) {
  switch (op) {
    case Op::ShlCount:
    case Op::ShrCount:
    case Op::SarCount:
    case Op::RotateLeft:
    case Op::RotateRight:
      return true;
    default:
      return false;
  }
}

void drop_flag_inputs(MicroOp& op) {
  if (third_is_only_flags(op.op)) op.c = kZeroSlot;
  if (op.op == Op::Inc || op.op == Op::Dec || op.op == Op::Lzcnt || op.op == Op::Tzcnt) {
    op.b = kNoSlot;
    op.b_is_immediate = true;
  }
}

struct Liveness {
  bool flags = true;
  SlotSet slots = 0;
};

bool is_pure(const MicroOp& op) {
  Effects effects = effects_of(op);
  bool begins_checked_form = op.op == Op::BeginSse;
  return !effects.may_fault && !effects.leaves && !begins_checked_form &&
         shape_of(op.op) != Shape::VectorFlags && shape_of(op.op) != Shape::Hint;
}

/// Marks what `op` reads and forgets what it defines, going backwards.
void step(const Block& block, const MicroOp& op, Liveness& live) {
  Effects effects = effects_of(op);
  if (op.sets_flags) live.flags = false;
  if (op.op == Op::Call) live.flags = block.calls[op.immediate].call.effects != 0 || live.flags;
  if (effects.may_fault || effects.leaves || effects.reads_flags) live.flags = true;
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
    if (op.sets_flags && !live.flags && !vector_flags) op.sets_flags = false;
    bool writes = op.sets_flags ||
                  (op.d != kNoSlot && (!is_temporary(op.d) || (live.slots & slot_bit(op.d & ~7))));
    if (is_pure(op) && !writes) continue;
    if (!op.sets_flags) drop_flag_inputs(op);
    step(block, op, live);
    block.ops[--kept] = op;
  }
  block.ops.erase(block.ops.begin(), block.ops.begin() + static_cast<std::ptrdiff_t>(kept));
}

}  // namespace penumbra::translator
