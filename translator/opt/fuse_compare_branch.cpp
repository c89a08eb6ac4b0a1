#include "translator/opt/passes.h"

namespace penumbra::translator {
namespace {

/// [compare, branch, jump] at the block's end, and the target fits beside the compare's immediate.
bool fusible(const MicroOp& compare, const MicroOp& branch) {
  bool compares = (compare.op == Op::Sub || compare.op == Op::And) && compare.sets_flags &&
                  compare.d == kNoSlot;
  i64 target = static_cast<i64>(branch.immediate);
  return compares && branch.op == Op::BranchFlags && target == static_cast<i32>(target);
}

}  // namespace

void fuse_compare_branch(Block& block) {
  size_t size = block.ops.size();
  if (size < 3 || !fusible(block.ops[size - 3], block.ops[size - 2])) return;
  MicroOp& compare = block.ops[size - 3];
  MicroOp& branch = block.ops[size - 2];
  MicroOp fused = compare;
  fused.op = compare.op == Op::Sub ? Op::BranchSub : Op::BranchAnd;
  fused.condition = branch.condition;
  fused.displacement = static_cast<i32>(branch.immediate);
  fused.instruction = branch.instruction;
  compare = fused;
  block.ops.erase(block.ops.end() - 2);
}

}  // namespace penumbra::translator
