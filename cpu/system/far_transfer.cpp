// Far JMP and CALL: direct, through call gates, to tasks (SDM 3A 5.8, APM 2 4.9).
#include <algorithm>

#include "cpu/mode.h"
#include "cpu/ops.h"
#include "cpu/segmentation.h"
#include "cpu/system/forms.h"
#include "cpu/system/privilege.h"
#include "cpu/system/task_state.h"
#include "cpu/system/task_switch.h"
#include "cpu/system/vendor.h"

namespace penumbra::cpu::ops {
namespace {

enum class Transfer : u8 { Jump, Call };

/// One far JMP or CALL under way.
class FarBranch {
 public:
  FarBranch(CpuContext& ctx, const Operands& ops, Transfer kind)
      : ctx_(ctx), state_(ctx.state), ops_(ops), kind_(kind) {}
  Outcome run();

 private:
  Expected<> read_pointer();
  Outcome run_real();
  Outcome run_protected();
  Outcome through_segment();
  Outcome through_system();
  Outcome through_call_gate();
  Outcome through_task(u16 tss_selector);
  Outcome call_inner(const Descriptor& gate);
  Outcome finish(Stack& stack, u8 cpl, Width width);
  Outcome unreachable(Stack& stack, u8 cpl);
  Expected<> check_target(u8 privilege, u16 code_selector);
  Expected<> copy_parameters(Stack& stack, const Descriptor& gate, Width width);

  bool long_active() const { return state_.efer & Efer::kLma; }
  bool long_target() const { return long_active() && code_.has(SegmentRegister::kLong); }
  bool calls() const { return kind_ == Transfer::Call; }
  u64 return_rip() const { return (state_.rip + ops_.length) & rip_mask(code_size(state_)); }
  void push_return(Stack& stack, Width width) const {
    stack.push(state_.seg(Segment::Cs).selector, width);
    stack.push(return_rip(), width);
  }

  CpuContext& ctx_;
  CpuState& state_;
  const Operands& ops_;
  Transfer kind_;
  Width width_ = far_pointer_width(ctx_, ops_);  ///< of the pointer; pushes have the operand's
  u16 selector_ = 0;                             ///< of the pointer; then of the code segment
  u64 offset_ = 0;
  Descriptor code_;
};

Expected<> FarBranch::read_pointer() {
  if (ops_.at[0].kind == OperandKind::FarPointer) {
    selector_ = ops_.selector;
    offset_ = ops_.immediate & mask(width_);
    return {};
  }
  if (!ops_.at[0].is_memory()) return undefined();
  u32 offset_size = bytes(width_);
  u8 image[10] = {};
  TRY(read_bytes(ctx_, ops_, image, offset_size + 2));
  offset_ = load_from<u64>(image) & mask(width_);
  selector_ = load_from<u16>(image + offset_size);
  return {};
}

Outcome FarBranch::run() {
  TRY(read_pointer());
  return in_real_or_v86(state_) ? run_real() : run_protected();
}

Outcome FarBranch::run_real() {
  if (offset_ > state_.seg(Segment::Cs).limit) return general_protection();
  Stack stack(ctx_);
  if (calls()) push_return(stack, ops_.width);
  TRY(stack.commit());
  TRY(load_segment(ctx_, Segment::Cs, selector_));
  state_.rip = offset_;
  return Next::Branch;
}

Outcome FarBranch::run_protected() {
  if (is_null(selector_)) return general_protection();
  TRY_ASSIGN(code_, read_descriptor(ctx_, selector_));
  return code_.is_system() ? through_system() : through_segment();
}

Outcome FarBranch::through_segment() {
  TRY_ASSIGN(code_, read_code_descriptor(ctx_, selector_));
  u8 cpl = state_.cpl;
  bool allowed =
      code_.is_conforming() ? code_.dpl() <= cpl : rpl(selector_) <= cpl && code_.dpl() == cpl;
  if (!allowed) return refuse(Vector::Gp, selector_);
  if (!code_.present()) return refuse(Vector::Np, selector_);
  Stack stack(ctx_);
  if (calls()) push_return(stack, ops_.width);
  return finish(stack, cpl, width_);
}

/// Checks the offset, then writes the stack, then commits.
Outcome FarBranch::finish(Stack& stack, u8 cpl, Width width) {
  if (!long_target()) offset_ &= 0xffffffffu;
  if (width == Width::W16) offset_ &= 0xffff;
  bool reachable = long_target() ? is_canonical(offset_) : offset_ <= code_.limit();
  if (!reachable) return unreachable(stack, cpl);
  SegmentRegister cs = segment_register(static_cast<u16>((selector_ & ~3u) | cpl), code_);
  TRY(mark_accessed(ctx_, cs));
  TRY(stack.commit());
  state_.seg(Segment::Cs) = cs;
  state_.rip = offset_;
  set_cpl(ctx_, cpl);
  return Next::Branch;
}

/// A call without a change of privilege has pushed by then (AMD APM 3, CALL far); RSP stays.
Outcome FarBranch::unreachable(Stack& stack, u8 cpl) {
  u64 rsp = state_.reg(Reg::Rsp);
  if (calls() && cpl == state_.cpl) TRY(stack.commit());
  state_.reg(Reg::Rsp) = rsp;
  return general_protection();
}

Outcome FarBranch::through_system() {
  TRY_ASSIGN(code_, read_system_descriptor(ctx_, selector_));
  SystemType type = code_.system_type();
  bool call_gate =
      type == SystemType::CallGate || (type == SystemType::CallGate16 && !long_active());
  bool task = !long_active() && (type == SystemType::TaskGate || type == SystemType::Tss ||
                                 type == SystemType::Tss16);
  if (!call_gate && !task) return refuse(Vector::Gp, selector_);
  if (code_.dpl() < std::max<u8>(state_.cpl, rpl(selector_))) return refuse(Vector::Gp, selector_);
  if (!code_.present()) return refuse(Vector::Np, selector_);
  if (call_gate) return through_call_gate();
  if (type != SystemType::TaskGate) return through_task(selector_);
  TRY_ASSIGN(u16 target, task_gate_target(ctx_, code_));
  return through_task(target);
}

Outcome FarBranch::through_task(u16 tss_selector) {
  auto reason = calls() ? TaskReason::Call : TaskReason::Jump;
  TRY(switch_task(ctx_, {tss_selector, reason, return_rip(), 0}));
  return Next::Branch;
}

/// The code segment behind a gate: any level up to `privilege` for a CALL, the same for a JMP.
Expected<> FarBranch::check_target(u8 privilege, u16 code_selector) {
  if (is_null(code_selector)) return general_protection();
  TRY_ASSIGN(code_, read_code_descriptor(ctx_, code_selector));
  if (long_active() && !code_.has(SegmentRegister::kLong)) return refuse(Vector::Gp, code_selector);
  bool same_only = !calls() && !code_.is_conforming();
  bool allowed = same_only ? code_.dpl() == privilege : code_.dpl() <= privilege;
  if (!allowed) return refuse(Vector::Gp, code_selector);
  if (!code_.present()) return refuse(Vector::Np, code_selector);
  return {};
}

Width gate_width(const Descriptor& gate, bool long_active) {
  if (long_active) return Width::W64;
  return gate.system_type() == SystemType::CallGate ? Width::W32 : Width::W16;
}

Outcome FarBranch::through_call_gate() {
  Descriptor gate = code_;
  TRY(check_target(state_.cpl, gate.gate_selector()));
  selector_ = gate.gate_selector();
  offset_ = gate.gate_offset();
  if (calls() && !code_.is_conforming() && code_.dpl() < state_.cpl) return call_inner(gate);
  Width width = gate_width(gate, long_active());
  Stack stack = long_active() ? Stack(ctx_, state_.seg(Segment::Ss), state_.reg(Reg::Rsp),
                                      Width::W64, Privilege::Current)
                              : Stack(ctx_);
  if (calls()) push_return(stack, width);
  return finish(stack, state_.cpl, width);
}

/// Parameters stand on the old stack in the gate's width, the last one lowest.
Expected<> FarBranch::copy_parameters(Stack& stack, const Descriptor& gate, Width width) {
  Stack old(ctx_);
  for (unsigned i = gate.gate_parameters(); i > 0; --i) {
    TRY_ASSIGN(u64 value, old.peek(u64{i - 1} * bytes(width), width));
    stack.push(value, width);
  }
  return {};
}

/// A CALL to an inner level: the stack comes from the TSS (SDM 3A 5.8.5, 5.8.5.1).
Outcome FarBranch::call_inner(const Descriptor& gate) {
  u8 cpl = code_.dpl();
  Width width = gate_width(gate, long_active());
  SegmentRegister ss = null_segment(cpl);
  u64 pointer = 0;
  Width pointer_width = Width::W64;
  if (long_active()) {
    TRY_ASSIGN(pointer, read_long_stack(ctx_, cpl, 0));
  } else {
    TRY_ASSIGN(StackPointer inner, read_inner_stack(ctx_, cpl));
    TRY_ASSIGN(ss, check_stack_segment(ctx_, inner.selector, cpl, Vector::Ts));
    TRY(mark_accessed(ctx_, ss));
    pointer = inner.pointer;
    pointer_width = ss.has(SegmentRegister::kBig) ? Width::W32 : Width::W16;
  }
  Stack stack(ctx_, ss, pointer, pointer_width, Privilege::Implicit);
  stack.push(state_.seg(Segment::Ss).selector, width);
  stack.push(state_.reg(Reg::Rsp), width);
  if (!long_active()) TRY(copy_parameters(stack, gate, width));
  push_return(stack, width);
  TRY_ASSIGN(Next next, finish(stack, cpl, width));
  state_.seg(Segment::Ss) = ss;
  return next;
}

}  // namespace

Outcome jmp_far(CpuContext& ctx, const Operands& ops) {
  return FarBranch(ctx, ops, Transfer::Jump).run();
}

Outcome call_far(CpuContext& ctx, const Operands& ops) {
  return FarBranch(ctx, ops, Transfer::Call).run();
}

}  // namespace penumbra::cpu::ops
