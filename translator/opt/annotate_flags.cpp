#include "translator/opt/passes.h"

namespace penumbra::translator {
namespace {

using cpu::FlagState;

/// Walks a block with what is known of its flags, and appends its micro-ops.
class FlagWalk {
 public:
  FlagWalk(const Block& block, std::vector<MicroOp>& out) : block_(block), out_(out) {}

  void step(MicroOp op) {
    if (u32 flags = effects_of(op).reads_flags; flags != 0) op.reads = readable(op, flags);
    if (shape_of(op.op) == Shape::Counted && op.sets_flags) {
      before_counted(op);
    } else if (op.sets_flags && cpu::is_partial(flag_family_of(op.op))) {
      make_room(op);
    }
    op.flags_before = state_;
    out_.push_back(op);
    define(op);
  }

 private:
  /// Where an op that depends on `flags` finds them all: in the kind, in the modifier, or, where
  /// neither is enough, in explicit flags made for it.
  FlagKind readable(const MicroOp& op, u32 flags) {
    if (state_.unknown()) return FlagKind::Dynamic;
    bool modifier_known = state_.modifier != FlagKind::Dynamic;
    u32 modified = modifier_known ? cpu::flags_of(cpu::family_of(state_.modifier)) : 0;
    bool by_kind = state_.known() && (flags & modified) == 0 && !cpu::is_partial(state_.kind);
    if (by_kind) return state_.kind;
    if (modifier_known && (flags & ~modified) == 0) return state_.modifier;
    make_explicit(op);
    return FlagKind::Explicit;
  }

  /// A partial definition follows: the modifier becomes one that it may replace.
  void make_room(const MicroOp& op) {
    cpu::FlagFamily family = flag_family_of(op.op);
    if (state_.modifier == FlagKind::Dynamic) return keep(op);
    if (cpu::replaces(family, state_.modifier)) return;
    u32 both = cpu::flags_of(family) | cpu::flags_of(cpu::family_of(state_.modifier));
    if (both != cpu::Flag::kArithmetic) return make_explicit(op);
    // Nothing of the kind shows through: the modifier takes its place.
    MicroOp move{.op = Op::Move,
                 .d = offsetof(cpu::CpuState, flag_result),
                 .a = offsetof(cpu::CpuState, flag_patch),
                 .instruction = op.instruction};
    insert(move);
    state_.kind = state_.modifier;
  }

  /// What follows defines flags or keeps them: all of their state has to be current.
  void before_counted(const MicroOp& op) {
    cpu::FlagFamily family = flag_family_of(op.op);
    if (cpu::is_partial(family)) {
      if (state_.modifier == FlagKind::Dynamic) {
        keep(op);
      } else if (!cpu::replaces(family, state_.modifier)) {
        make_explicit(op);
      }
    }
    if (!state_.unknown()) {
      insert({.op = Op::StoreFlagState, .instruction = op.instruction});
      state_ = {};
    }
  }

  void keep(const MicroOp& op) {
    cpu::FlagFamily family = flag_family_of(op.op);
    MicroOp check{.op = Op::KeepFlags, .instruction = op.instruction};
    check.reads = cpu::flag_kind(family, Width::W8);
    insert(check);
  }

  void make_explicit(const MicroOp& op) {
    insert({.op = Op::ExplicitFlags, .instruction = op.instruction});
    state_ = {FlagKind::Explicit, FlagKind::None};
  }

  void insert(MicroOp op) {
    op.flags_before = state_;
    out_.push_back(op);
  }

  void define(const MicroOp& op) {
    if (op.op == Op::Call) {
      // A named operation finds the state made current and leaves it so.
      bool writes = block_.calls[op.immediate].call.effects & WritesFlags;
      if (writes) state_ = {};
    } else if (op.sets_flags && shape_of(op.op) == Shape::Counted) {
      state_ = {};
    } else if (op.sets_flags) {
      FlagKind kind = cpu::flag_kind(flag_family_of(op.op), op.width);
      if (cpu::is_partial(kind)) {
        state_.modifier = kind;
      } else {
        state_ = {kind, FlagKind::None};
      }
    }
  }

  const Block& block_;
  std::vector<MicroOp>& out_;
  FlagState state_;
};

}  // namespace

void annotate_flags(Block& block) {
  std::vector<MicroOp> annotated;
  annotated.reserve(block.ops.size() + 4);
  FlagWalk walk(block, annotated);
  for (const MicroOp& op : block.ops) walk.step(op);
  block.ops = std::move(annotated);
}

}  // namespace penumbra::translator
