// How a block is left: jumps, branches at its end and in its middle, returns.
#include "jit/stencil/generator.h"

namespace penumbra::jit {

using cpu::FlagKind;
using translator::kNoSlot;
using translator::Op;

void Generator::jump(const MicroOp& op) {
  loops_to(op.immediate) ? settle_loop_vectors() : write_back_vectors();
  store_unit_pointers();
  store_flag_state(op.flags_before);
  loops_to(op.immediate) ? loop_jump() : exit_jump(new_exit(op.immediate));
}

void Generator::jump_dynamic(const MicroOp& op) {
  write_back_vectors();
  store_unit_pointers();
  store_flag_state(op.flags_before);
  if (op.returns) {  // the table of jumps may know what that of returns does not
    Operands operands{
        .a = place_of(op.a), .b = place_of(kStackPointer), .displacement = op.displacement};
    must_emit({.op = code_of(Special::DispatchReturn),
               .a = operands.a.form,
               .b = Form::Register,
               .leaves_dynamically = true},
              operands);
    check_missed(op);
  }
  Operands operands{.a = place_of(op.a)};
  must_emit({.op = code_of(Special::Dispatch), .a = operands.a.form, .leaves_dynamically = true},
            operands);
  check_missed(op);
  jump_to(thunks_.lookup);
}

/// Where the table just asked does not have the target: it may be one that cannot be.
void Generator::check_missed(const MicroOp& op) {
  for (u8* field : continuations(HoleKind::Slow)) connect(field, out_);
  if (!unchecked_target_) return;
  must_emit({.op = code_of(Special::CheckCanonical)}, {});
  cold_call(new_site(op, Site::Kind::BadTarget), out_);
  cold_calls_.back().popped = -op.displacement;
  unchecked_target_ = false;
}

/// Where nothing is `otherwise`, the block goes on behind the branch.
void Generator::branch(const MicroOp& op, const MicroOp* otherwise) {
  if (otherwise != nullptr) store_unit_pointers();
  bool fused = op.op == Op::BranchSub || op.op == Op::BranchAnd;
  Operands operands{.a = place_of(op.a)};
  StencilKey key{.op = code_of(op.op), .a = operands.a.form};
  if (op.op != Op::BranchNonzero) key.condition = op.condition;
  if (op.op == Op::BranchFlags) key.kind = op.reads;
  if (fused) {
    key.width = op.width;
    key.effect = op.cold_flags ? Effect::Value : Effect::Flags;
    bool with_self = tests_itself(op) && key.effect == Effect::Flags;
    if (!with_self || operands.a.form != Form::Register) operands.b = second(op, operands);
    key.b = operands.b.form;
    cold_flags_ = op.cold_flags ? &op : nullptr;
  }
  if (op.op == Op::BranchFlags) operands.a = {}, key.a = Form::None;
  u64 target = fused ? static_cast<u64>(static_cast<i64>(op.displacement)) : op.immediate;
  if (otherwise != nullptr) {
    store_flag_state(otherwise->flags_before);
    bool repeats = loops_to(target) || loops_to(otherwise->immediate);
    repeats ? settle_loop_vectors() : write_back_vectors();
  }
  flag_writers_ = 0;
  bool reads = op.op == Op::BranchFlags;
  if (reads) hold_comparison(op);
  if (!reads || !read_held(op, key, operands)) {
    if (reads) keep_cold_flags();
    must_emit(key, operands);
  }
  if (fused) comparison_.reset();
  if (fused && flag_writers_ == 1) host_flags_ = cpu::Flag::kArithmetic;
  u8* start = last_;
  Fields taken = continuations(HoleKind::Taken);
  if (!continuations(HoleKind::Slow).empty()) {
    cold_call(new_site(op, Site::Kind::ExplicitFlags), start);
  }
  if (otherwise == nullptr) return side_exit(op, target, std::move(taken));
  if (!taken.empty()) leave_by(target, std::move(taken));  // else it never holds
  if (loops_to(otherwise->immediate)) return loop_jump();
  write_back_vectors();
  give_back();
  exit_jump(new_exit(otherwise->immediate));
}

/// The jumps of the block's last branch.
void Generator::leave_by(u64 target, Fields taken) {
  if (loops_to(target)) {
    loop_jumps_.insert(loop_jumps_.end(), taken.begin(), taken.end());
    return;
  }
  Exit& exit = exits_[new_exit(target)];
  exit.tenants = tenants_;
  exit.vectors = newer_vectors();
  bool direct =
      taken.size() == 1 && target < kPageSize && tenants_ == kResidents && exit.vectors.empty();
  if (direct) {
    exit.field = taken[0];
  } else {
    exit.from = taken;
  }
}

/// Out of the middle of the block: what runs behind is given back, and flags are kept now.
void Generator::side_exit(const MicroOp& op, u64 target, Fields taken) {
  if (taken.empty()) return;
  Exit& exit = exits_[new_exit(target)];
  exit.from = std::move(taken);
  exit.vectors = newer_vectors();
  exit.tenants = tenants_;
  exit.loops = loops_to(target);
  exit.flags = cold_flags_;
  exit.unit_mark = unit_mark_;
  exit.flag_state = op.flags_before;
  if (op.sets_flags) {
    exit.flag_state = {cpu::flag_kind(translator::flag_family_of(op.op), op.width), FlagKind::None};
  }
  exit.unused = static_cast<u32>(ir_->instructions.size()) - op.instruction - 1;
}

void Generator::push_return(const MicroOp& op) {
  if (op.immediate >= kPageSize) return;  // the next page is not this block's to know
  Operands operands{.a = place_of(op.a), .b = place_of(kStackPointer)};
  must_emit(
      {.op = code_of(Special::PushReturn), .a = operands.a.form, .b = Form::Register, .wide = true},
      operands);
  Exit& exit = exits_[new_exit(op.immediate)];
  exit.field = immediate_field();
  exit.returns = true;
}

}  // namespace penumbra::jit
