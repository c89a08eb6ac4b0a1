#include "translator/opt/passes.h"

namespace penumbra::translator {
namespace {

constexpr Slot kFirstGpr = gpr_slot(0), kEndOfGprs = gpr_slot(15) + 8;

bool is_whole_gpr(Slot slot) {
  return slot >= kFirstGpr && slot < kEndOfGprs && (slot - kFirstGpr) % 8 == 0;
}

/// What the flags of a definition can be made from later: its operands where it only compares,
/// else its result, and what an engine keeps beside that.
class Origin {
 public:
  explicit Origin(const MicroOp& op) {
    if (!op.sets_flags) return;
    bool compares = op.d == kNoSlot;
    slots_[0] = compares ? op.a : op.d;
    usable_ = is_whole_gpr(slots_[0]) && (compares ? is_comparison(op) : is_told_by_result(op));
    bool takes_second = compares || op.op == Op::Add || op.op == Op::Sub;
    if (!takes_second) return;
    bool is_kept = !compares && !op.b_is_immediate && is_temporary(op.b);
    usable_ = usable_ && (is_kept || has_usable_second(op));
    if (!is_kept && !op.b_is_immediate) slots_[1] = op.b;
  }

  bool usable() const { return usable_; }
  /// Behind an op that writes `slot`.
  void written(Slot slot) {
    if (slot == kNoSlot) return;
    for (Slot mine : slots_) usable_ = usable_ && (mine == kNoSlot || slot / 8 != mine / 8);
  }

 private:
  static bool is_comparison(const MicroOp& op) {
    return op.op == Op::Sub || op.op == Op::And || op.op == Op::BranchSub || op.op == Op::BranchAnd;
  }
  static bool is_told_by_result(const MicroOp& op) {
    if (op.width < Width::W32) return false;
    switch (op.op) {
      case Op::Add:
      case Op::Sub:
        return op.b_is_immediate || op.d != op.b;
      case Op::And:
      case Op::Or:
      case Op::Xor:
      case Op::Inc:
      case Op::Dec:
        return true;
      case Op::Shl:
      case Op::Shr:
      case Op::Sar:
      case Op::RotateLeft:
      case Op::RotateRight:
        return op.b_is_immediate;
      default:
        return false;
    }
  }
  static bool has_usable_second(const MicroOp& op) {
    if (!op.b_is_immediate) return is_whole_gpr(op.b);
    i64 value = static_cast<i64>(op.immediate);
    return op.width < Width::W64 || value == static_cast<i32>(value);
  }

  Slot slots_[2] = {kNoSlot, kNoSlot};
  bool usable_ = false;
};

/// Slow paths of these are called behind the straight code.
bool has_cold_slow_path(const MicroOp& op) {
  return shape_of(op.op) == Shape::Memory || op.op == Op::CheckAligned ||
         op.op == Op::CheckDivide || op.op == Op::CheckFpu;
}

/// Of what stands before, some flags or all show through, or have to be current.
bool keeps_flags(const MicroOp& op) {
  Shape shape = shape_of(op.op);
  bool partial = shape == Shape::Counted || cpu::is_partial(flag_family_of(op.op));
  return shape == Shape::FlagState || (op.sets_flags && partial);
}

/// Whether nothing but cold code wants the flags of ops[from].
bool only_cold_code_wants(const std::vector<MicroOp>& ops, size_t from) {
  Origin origin(ops[from]);
  bool ends = is_branch(ops[from].op) && !goes_on_behind(ops[from], ops[from + 1]);
  if (!origin.usable() || ends) return false;
  for (size_t i = from + 1; i < ops.size(); ++i) {
    const MicroOp& op = ops[i];
    Effects effects = effects_of(op);
    if (keeps_flags(op)) return false;
    if (op.sets_flags) return true;
    if (op.op == Op::GetFlags || (effects.reads_flags != 0 && !origin.usable())) return false;
    if (effects.may_fault || effects.leaves) {
      bool cold = has_cold_slow_path(op) || (is_branch(op.op) && goes_on_behind(op, ops[i + 1]));
      if (!cold || !origin.usable()) return false;
    }
    origin.written(op.d);
  }
  return false;
}

}  // namespace

void cool_flags(Block& block) {
  for (size_t i = 0; i < block.ops.size(); ++i) {
    MicroOp& op = block.ops[i];
    op.cold_flags = op.sets_flags && only_cold_code_wants(block.ops, i);
  }
}

}  // namespace penumbra::translator
