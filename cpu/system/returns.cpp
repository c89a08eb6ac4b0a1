// IRET and far RET: to the same level, to an outer level, to virtual-8086 mode, to another task.
#include "cpu/mode.h"
#include "cpu/ops.h"
#include "cpu/segmentation.h"
#include "cpu/system/flags_image.h"
#include "cpu/system/forms.h"
#include "cpu/system/privilege.h"
#include "cpu/system/task_state.h"
#include "cpu/system/task_switch.h"

namespace penumbra::cpu::ops {
namespace {

struct FarPointer {
  u64 offset = 0;
  u16 selector = 0;
};

Expected<FarPointer> pop_pointer(Stack& stack, Width width) {
  TRY_ASSIGN(u64 offset, stack.pop(width));
  TRY_ASSIGN(u64 selector, stack.pop(width));
  return FarPointer{offset, static_cast<u16>(selector)};
}

bool is_long_code(const CpuState& state, const Descriptor& code) {
  return (state.efer & Efer::kLma) && code.has(SegmentRegister::kLong);
}

/// The code segment that a return goes to (SDM 2, RET and IRET, RETURN-TO-...-PRIVILEGE-LEVEL).
Expected<Descriptor> check_return_code(CpuContext& ctx, u16 selector) {
  if (is_null(selector)) return general_protection();
  TRY_ASSIGN(Descriptor code, read_code_descriptor(ctx, selector));
  if (rpl(selector) < ctx.state.cpl) return refuse(Vector::Gp, selector);
  bool fits = code.is_conforming() ? code.dpl() <= rpl(selector) : code.dpl() == rpl(selector);
  if (!fits) return refuse(Vector::Gp, selector);
  if (!code.present()) return refuse(Vector::Np, selector);
  return code;
}

Expected<> check_offset(const CpuState& state, const Descriptor& code, u64 offset) {
  bool reachable = is_long_code(state, code) ? is_canonical(offset) : offset <= code.limit();
  if (!reachable) return general_protection();
  return {};
}

/// SS of the level returned to. 64-bit code inside the kernel may have a null one.
Expected<SegmentRegister> check_return_stack(CpuContext& ctx, u16 selector, u8 cpl,
                                             const Descriptor& code) {
  bool null_allowed = is_long_code(ctx.state, code) && cpl < 3 && rpl(selector) == cpl;
  if (is_null(selector) && null_allowed) return null_segment(selector);
  return check_stack_segment(ctx, selector, cpl, Vector::Gp);
}

/// The state after the return, gathered before anything is committed.
struct Return {
  FarPointer code_pointer;
  Descriptor code;
  SegmentRegister cs, ss;
  u64 rsp = 0;
  bool loads_stack = false;
  u8 cpl = 0;
};

Expected<Return> begin_return(CpuContext& ctx, const FarPointer& pointer) {
  Return target;
  target.code_pointer = pointer;
  TRY_ASSIGN(target.code, check_return_code(ctx, pointer.selector));
  target.cs = segment_register(pointer.selector, target.code);
  target.cpl = rpl(pointer.selector);
  return target;
}

/// Pops RSP and SS of the level returned to.
Expected<> pop_outer_stack(CpuContext& ctx, Stack& stack, Width width, Return& target) {
  TRY_ASSIGN(target.rsp, stack.pop(width));
  TRY_ASSIGN(u64 selector, stack.pop(width));
  TRY_ASSIGN(target.ss,
             check_return_stack(ctx, static_cast<u16>(selector), target.cpl, target.code));
  target.loads_stack = true;
  return {};
}

/// Last faults: the offset, then the accessed bits.
Expected<> finish_checks(CpuContext& ctx, Return& target) {
  TRY(check_offset(ctx.state, target.code, target.code_pointer.offset));
  TRY(mark_accessed(ctx, target.cs));
  if (target.loads_stack) TRY(mark_accessed(ctx, target.ss));
  return {};
}

/// Stack pointer width of the code and stack returned to.
Width returned_stack_width(const CpuState& state, const Return& target) {
  if (is_long_code(state, target.code)) return Width::W64;
  return target.ss.has(SegmentRegister::kBig) ? Width::W32 : Width::W16;
}

/// Commits CS, RIP, and SS:RSP where they were popped; a 16-bit stack keeps RSP's upper part.
void commit_return(CpuContext& ctx, const Return& target, u64 released) {
  CpuState& state = ctx.state;
  bool outer = target.cpl > state.cpl;
  if (target.loads_stack) {
    Width width = returned_stack_width(state, target);
    u64 low = (target.rsp + released) & mask(width);
    u64& rsp = state.reg(Reg::Rsp);
    rsp = width == Width::W16 ? (rsp & ~mask(width)) | low : low;
    state.seg(Segment::Ss) = target.ss;
  }
  state.seg(Segment::Cs) = target.cs;
  state.rip = target.code_pointer.offset;
  set_cpl(ctx, target.cpl);
  if (outer) drop_inner_segments(state);
}

// -- RETF -----------------------------------------------------------------------------------------

Outcome ret_far_real(CpuContext& ctx, const Operands& ops, u64 released) {
  Stack stack(ctx);
  TRY_ASSIGN(FarPointer pointer, pop_pointer(stack, ops.width));
  if (pointer.offset > ctx.state.seg(Segment::Cs).limit) return general_protection();
  stack.release(released);
  TRY(stack.commit());
  TRY(load_segment(ctx, Segment::Cs, pointer.selector));
  ctx.state.rip = pointer.offset;
  return Next::Branch;
}

Outcome ret_far_protected(CpuContext& ctx, const Operands& ops, u64 released) {
  Stack stack(ctx);
  TRY_ASSIGN(FarPointer pointer, pop_pointer(stack, ops.width));
  TRY_ASSIGN(Return target, begin_return(ctx, pointer));
  stack.release(released);
  if (target.cpl > ctx.state.cpl) TRY(pop_outer_stack(ctx, stack, ops.width, target));
  TRY(finish_checks(ctx, target));
  if (!target.loads_stack) ctx.state.reg(Reg::Rsp) = stack.merged_rsp();
  commit_return(ctx, target, released);
  return Next::Branch;
}

// -- IRET -----------------------------------------------------------------------------------------

/// Real and virtual-8086 mode (there IOPL must be 3, and IOPL itself stays).
Outcome iret_real(CpuContext& ctx, const Operands& ops) {
  if (in_v86(ctx.state) && iopl(ctx.state) != 3) return general_protection();
  Stack stack(ctx);
  TRY_ASSIGN(FarPointer pointer, pop_pointer(stack, ops.width));
  TRY_ASSIGN(u64 image, stack.pop(ops.width));
  if (pointer.offset > ctx.state.seg(Segment::Cs).limit) return general_protection();
  TRY(stack.commit());
  TRY(load_segment(ctx, Segment::Cs, pointer.selector));
  ctx.state.rip = pointer.offset;
  set_flags(ctx, returned_flags(ctx.state, image, ops.width));
  return Next::Branch;
}

/// SDM 3A 20.2.2: from CPL 0 with VM set in the image.
Outcome iret_to_v86(CpuContext& ctx, Stack& stack, const FarPointer& pointer, u64 image) {
  constexpr Segment kOrder[] = {Segment::Ss, Segment::Es, Segment::Ds, Segment::Fs, Segment::Gs};
  TRY_ASSIGN(u64 esp, stack.pop(Width::W32));
  u64 selectors[5];
  for (u64& selector : selectors) {
    TRY_ASSIGN(selector, stack.pop(Width::W32));
  }
  if (pointer.offset > 0xffff) return general_protection();
  CpuState& state = ctx.state;
  u64 flags = returned_flags(state, image, Width::W32) | Flag::kVm;
  u64 virtual_if = Flag::kVif | Flag::kVip;
  set_flags(ctx, (flags & ~virtual_if) | (image & virtual_if));
  state.reg(Reg::Rsp) = esp;
  load_v86_segment(state, Segment::Cs, pointer.selector);
  for (unsigned i = 0; i < 5; ++i)
    load_v86_segment(state, kOrder[i], static_cast<u16>(selectors[i]));
  state.rip = pointer.offset;
  set_cpl(ctx, 3);
  return Next::Branch;
}

Outcome iret_protected(CpuContext& ctx, const Operands& ops) {
  CpuState& state = ctx.state;
  bool long_active = state.efer & Efer::kLma;
  Stack stack(ctx);
  TRY_ASSIGN(FarPointer pointer, pop_pointer(stack, ops.width));
  TRY_ASSIGN(u64 image, stack.pop(ops.width));
  bool to_v86 = (image & Flag::kVm) && state.cpl == 0 && !long_active && ops.width == Width::W32;
  if (to_v86) return iret_to_v86(ctx, stack, pointer, image);
  TRY_ASSIGN(Return target, begin_return(ctx, pointer));
  if (target.cpl > state.cpl || in_long_mode(state))
    TRY(pop_outer_stack(ctx, stack, ops.width, target));
  TRY(finish_checks(ctx, target));
  set_flags(ctx, returned_flags(state, image, ops.width));  // at the old CPL
  if (!target.loads_stack) state.reg(Reg::Rsp) = stack.merged_rsp();
  commit_return(ctx, target, 0);
  return Next::Branch;
}

/// NT: the task that this one interrupted stands in its TSS as the back link.
Outcome iret_to_task(CpuContext& ctx, const Operands& ops) {
  CpuState& state = ctx.state;
  if (state.efer & Efer::kLma) return general_protection();
  TRY_ASSIGN(u64 address, tss_address(ctx, 0, 2));
  TRY_ASSIGN(u16 link, ctx.memory.load<u16>(address, Privilege::Implicit));
  u64 resume = (state.rip + ops.length) & rip_mask(code_size(state));
  TRY(switch_task(ctx, {link, TaskReason::Return, resume, 0}));
  return Next::Branch;
}

}  // namespace

Outcome ret_far(CpuContext& ctx, const Operands& ops) {
  u64 released = ops.immediate & 0xffff;
  return in_real_or_v86(ctx.state) ? ret_far_real(ctx, ops, released)
                                   : ret_far_protected(ctx, ops, released);
}

/// NMIs are unblocked even when the return faults (SDM 3A 6.7.1).
Outcome iret(CpuContext& ctx, const Operands& ops) {
  ctx.state.nmi_blocked = false;
  if (in_real_or_v86(ctx.state)) return iret_real(ctx, ops);
  if (ctx.state.flag(Flag::kNt)) return iret_to_task(ctx, ops);
  return iret_protected(ctx, ops);
}

}  // namespace penumbra::cpu::ops
