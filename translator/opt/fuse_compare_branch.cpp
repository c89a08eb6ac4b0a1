#include "translator/opt/passes.h"

namespace penumbra::translator {
namespace {

/// [compare, branch], and the target fits beside the compare's immediate.
bool fusible(const MicroOp& compare, const MicroOp& branch) {
  bool compares = (compare.op == Op::Sub || compare.op == Op::And) && compare.sets_flags &&
                  compare.d == kNoSlot;
  i64 target = static_cast<i64>(branch.immediate);
  return compares && branch.op == Op::BranchFlags && target == static_cast<i32>(target);
}

}  // namespace

void fuse_compare_branch(Block& block) {
  std::vector<MicroOp> ops;
  ops.reserve(block.ops.size());
  for (const MicroOp& op : block.ops) {
    if (!ops.empty() && fusible(ops.back(), op)) {
      MicroOp& compare = ops.back();
      compare.op = compare.op == Op::Sub ? Op::BranchSub : Op::BranchAnd;
      compare.condition = op.condition;
      compare.displacement = static_cast<i32>(op.immediate);
      compare.instruction = op.instruction;
    } else {
      ops.push_back(op);
    }
  }
  block.ops = std::move(ops);
}

}  // namespace penumbra::translator
