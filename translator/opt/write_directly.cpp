#include "translator/opt/passes.h"

namespace penumbra::translator {
namespace {

/// Whether its result at another place means the same, and at 32 bits is the low half.
bool may_write_elsewhere(const MicroOp& op) {
  switch (shape_of(op.op)) {
    case Shape::Widen:
    case Shape::Unary:
    case Shape::Binary:
    case Shape::Address:
      return true;
    default:
      return false;
  }
}

/// [f to a temporary, move of that].
bool matches(const MicroOp& op, const MicroOp& move) {
  if (!may_write_elsewhere(op) || move.op != Op::Move || move.a != op.d) return false;
  if (!is_temporary(op.d) || op.d % 8 != temporary_slot(0) % 8) return false;
  bool extends = op.width == Width::W32 && move.width == Width::W64;
  bool truncates = op.op == Op::Lea && op.width == Width::W64 && move.width == Width::W32;
  return op.width == move.width || extends || truncates;
}

bool reads(const MicroOp& op, Slot slot) {
  for (Slot operand : {op.a, op.b, op.c}) {
    if (operand != kNoSlot && operand / 8 == slot / 8) return true;
  }
  return op.op == Op::Call;  // by whatever its operands say
}

/// Temporaries end with their instruction.
bool is_read_behind(const Block& block, size_t at, Slot slot) {
  for (size_t i = at + 1; i < block.ops.size(); ++i) {
    if (block.ops[i].instruction != block.ops[at].instruction) return false;
    if (reads(block.ops[i], slot)) return true;
  }
  return false;
}

}  // namespace

void write_directly(Block& block) {
  size_t kept = 0;
  for (size_t i = 0; i < block.ops.size(); ++i) {
    MicroOp& op = block.ops[kept++] = block.ops[i];
    if (i + 1 == block.ops.size()) break;
    const MicroOp& move = block.ops[i + 1];
    bool same = op.instruction == move.instruction;
    if (!same || !matches(op, move) || is_read_behind(block, i + 1, op.d)) continue;
    op.d = move.d;
    if (op.width == Width::W64) op.width = move.width;
    ++i;
  }
  block.ops.resize(kept);
}

}  // namespace penumbra::translator
