// Flags: who reads them, from the host's, from a comparison or from memory; how they are kept.
#include "jit/stencil/generator.h"

namespace penumbra::jit {

using cpu::FlagKind;
using translator::is_temporary;
using translator::kNoSlot;
using translator::Op;

void Generator::read_flags(const MicroOp& op) {
  Operands operands{.d = destination(op.d, Width::W64)};
  StencilKey key{.op = code_of(op.op), .d = operands.d.form, .kind = op.reads};
  if (op.op == Op::GetCondition) key.condition = op.condition;
  hold_comparison(op);
  if (read_held(op, key, operands)) return;
  keep_cold_flags();
  if (!emit(key, operands)) {
    operands.d = in_memory(op.d);
    key.d = Form::Slot;
    must_emit(key, operands);
  }
  if (!continuations(HoleKind::Slow).empty())
    cold_call(new_site(op, Site::Kind::ExplicitFlags), last_);
}

/// From the host's flags, where these are the guest's.
bool Generator::read_held(const MicroOp& op, StencilKey key, Operands operands) {
  if (!variation_.host_flags) return false;
  bool held = op.op != Op::GetFlags && (cpu::flags_of(op.condition) & ~host_flags_) == 0;
  if (!held || (op.op != Op::BranchFlags && key.d != Form::Register)) return false;
  key.kind = FlagKind::None;
  return emit(key, operands);
}

/// Who reads them from memory needs them there.
void Generator::keep_cold_flags() {
  if (cold_flags_ != nullptr) make_flags(*cold_flags_);
  cold_flags_ = nullptr;
}

/// The host's flags become those of the last comparison, if the guest's are still its.
void Generator::hold_comparison(const MicroOp& op) {
  bool held = (cpu::flags_of(op.condition) & ~host_flags_) == 0;
  if (!variation_.host_flags) return;
  if (held || !comparison_ || op.reads == FlagKind::Dynamic || op.op == Op::GetFlags) return;
  Operands operands{.a = comparison_->a, .b = comparison_->b};
  operands.immediate = comparison_->immediate;
  StencilKey key{.op = code_of(Special::HoldComparison), .width = comparison_->width};
  key.a = operands.a.form, key.b = operands.b.form, key.kind = op.reads;
  if (emit(key, operands)) host_flags_ = cpu::Flag::kArithmetic;
}

/// GetCondition and what alone uses it, by the host's one instruction for both.
bool Generator::with_condition(const MicroOp& condition, const MicroOp& next) {
  bool pair = next.instruction == condition.instruction && is_temporary(condition.d);
  if (!pair) return false;
  begin_instruction(condition);
  hold_comparison(condition);
  return select_by_condition(condition, next) || set_by_condition(condition, next) ||
         add_by_carry(condition, next);
}

/// SETcc of the low byte of a register.
bool Generator::set_by_condition(const MicroOp& condition, const MicroOp& move) {
  Operands operands{.d = place_of(move.d)};
  bool sets = move.op == Op::Move && move.width == Width::W8 && move.a == condition.d &&
              operands.d.form == Form::Register;
  if (!sets) return false;
  StencilKey key{.op = code_of(Op::GetCondition), .width = Width::W8, .d = Form::Register};
  key.condition = condition.condition;
  return read_held(condition, key, operands);
}

/// ADC or SBB with the carry in the host's flags.
bool Generator::add_by_carry(const MicroOp& condition, const MicroOp& add) {
  bool adds = (add.op == Op::AddCarry || add.op == Op::SubBorrow) && add.d == add.a &&
              add.c == condition.d && condition.condition == cpu::Condition::B;
  bool held = (host_flags_ & cpu::Flag::kCf) != 0;
  bool known = held || condition.reads != FlagKind::Dynamic;
  if (!adds || !known || !variation_.host_flags) return false;
  if (!held) {
    keep_cold_flags();
    must_emit({.op = code_of(Special::HoldCarry), .kind = condition.reads}, {});
  }
  Operands operands{.d = place_of(add.d)};
  operands.b = second(add, operands);
  StencilKey key{.op = code_of(add.op), .width = add.width, .effect = effect_of(add)};
  key.d = operands.d.form, key.b = operands.b.form, key.tied = true;
  must_emit(key, operands);
  if (add.sets_flags) {
    comparison_.reset();
    cold_flags_ = nullptr;
    host_flags_ = cpu::Flag::kArithmetic;
  }
  return true;
}

/// GetCondition and the Select that alone uses it, behind a comparison.
bool Generator::select_by_condition(const MicroOp& condition, const MicroOp& select) {
  bool pair = select.op == Op::Select && select.c == condition.d && select.d == select.b &&
              !select.b_is_immediate;
  if (!pair) return false;
  Operands operands{.d = place_of(select.d), .c = place_of(select.a)};
  StencilKey key{.op = code_of(Op::Select), .width = select.width, .d = operands.d.form};
  key.c = operands.c.form, key.condition = condition.condition, key.kind = condition.reads;
  key.tied = true;
  return read_held(condition, key, operands);
}

void Generator::set_flags(const MicroOp& op) {
  Operands operands{.a = place_of(op.a)};
  if (op.a == kNoSlot) {
    operands.a = {.form = Form::Immediate};
    operands.immediate = op.immediate;
  }
  must_emit({.op = code_of(op.op), .a = operands.a.form}, operands);
}

void Generator::flag_state(const MicroOp& op) {
  switch (op.op) {
    case Op::KeepFlags:
      must_emit({.op = code_of(op.op), .kind = op.reads}, {});
      return cold_call(new_site(op, Site::Kind::ExplicitFlags), out_);
    case Op::ExplicitFlags: {
      u32 site = new_site(op, Site::Kind::ExplicitFlags);
      list_vectors(sites_[site]);
      return call_slow(site);
    }
    default:
      return store_flag_state(op.flags_before);
  }
}

/// Both in one store where both are known.
void Generator::store_flag_state(cpu::FlagState known) {
  if (known.unknown()) return;
  u64 kind = static_cast<u64>(known.kind), modifier = static_cast<u64>(known.modifier);
  bool has_kind = known.kind != FlagKind::Dynamic;
  Slot slot =
      has_kind ? offsetof(cpu::CpuState, flag_kind) : offsetof(cpu::CpuState, flag_modifier);
  Operands operands{.d = {Form::Slot, Host::Rax, slot},
                    .immediate = has_kind ? kind | modifier << 8 : modifier};
  must_emit({.op = code_of(Op::Move),
             .width = known.known() ? Width::W16 : Width::W8,
             .d = Form::Slot,
             .a = Form::Immediate},
            operands);
}

/// Keeps the flags of a definition whose operands, or result, are where they were.
void Generator::make_flags(const MicroOp& op) {
  if (op.d == kNoSlot) {
    MicroOp compare = op;
    if (op.op == Op::BranchSub) compare.op = Op::Sub;
    if (op.op == Op::BranchAnd) compare.op = Op::And;
    if (!pure_compare(compare)) pure_general(compare);
    return;
  }
  auto keep = [&](Slot slot, Width width, const Place& value, u64 immediate) {
    must_emit({.op = code_of(Op::Move), .width = width, .d = Form::Slot, .a = value.form},
              {.d = {Form::Slot, Host::Rax, slot}, .a = value, .immediate = immediate});
  };
  cpu::FlagFamily family = translator::flag_family_of(op.op);
  Slot result = cpu::is_partial(family) ? offsetof(cpu::CpuState, flag_patch)
                                        : offsetof(cpu::CpuState, flag_result);
  keep(result, Width::W64, place_of(op.d), 0);
  bool has_source = family == cpu::FlagFamily::Add || family == cpu::FlagFamily::Sub;
  if (!has_source || needs_source(op)) return;
  Operands second_operand;
  Place source = second(op, second_operand);
  keep(offsetof(cpu::CpuState, flag_source), op.width, source, second_operand.immediate);
}

}  // namespace penumbra::jit
