// PUSHF, POPF, CLI, STI, STAC, CLAC.
#include "cpu/system/flags_image.h"

#include "cpu/mode.h"
#include "cpu/ops.h"
#include "cpu/system/privilege.h"

namespace penumbra::cpu {
namespace {

constexpr u64 kAlwaysWritable =
    Flag::kArithmetic | Flag::kTf | Flag::kDf | Flag::kNt | Flag::kAc | Flag::kId;
constexpr u64 kBreakpointsEnabled = 0xff;  // DR7.L0..G3

/// The bits that POPF and IRET may change here (SDM 2, POPF table 4-16).
u64 writable_flags(const CpuState& state, Width width) {
  u64 writable = kAlwaysWritable;
  bool privileged = is_protected(state) ? state.cpl == 0 : true;
  if (privileged) writable |= Flag::kIopl;
  if (privileged || state.cpl <= iopl(state)) writable |= Flag::kIf;
  return writable & mask(width);
}

/// CLI and STI: CPL <= IOPL, in virtual-8086 mode (CPL 3) too; VME and PVI are not offered.
bool may_change_if(const CpuState& state) {
  return !is_protected(state) || state.cpl <= iopl(state);
}

/// PUSHF, POPF and IRET trap in virtual-8086 mode below IOPL 3.
bool v86_refused(const CpuState& state) { return in_v86(state) && iopl(state) != 3; }

/// A push in 64-bit mode onto plain memory; false: it is another case, nothing is done.
bool push_directly(CpuContext& ctx, u64 value, Width width) {
  if (width != Width::W64 || !in_long_mode(ctx.state)) return false;
  u64& rsp = ctx.state.reg(Reg::Rsp);
  u8* host = ctx.memory.direct(rsp - sizeof value, sizeof value, Access::Write);
  if (host == nullptr) return false;
  store_to<u64>(host, value);
  rsp -= sizeof value;
  return true;
}

/// Leaves the lazy arithmetic flags alone. The view of memory changes at once.
Outcome change_ac(CpuContext& ctx, bool value) {
  if (ctx.state.cpl != 0) return undefined();
  if (ctx.state.flag(Flag::kAc) == value) return Next::Continue;
  ctx.state.rflags ^= Flag::kAc;
  ctx.environment.privilege_changed();
  return Next::Continue;
}

}  // namespace

u64 returned_flags(const CpuState& state, u64 image, Width width) {
  u64 writable = writable_flags(state, width);
  if (width != Width::W16) writable |= Flag::kRf;
  u64 flags = (state.flags() & ~writable) | (image & writable);
  return state.dr7 & kBreakpointsEnabled ? flags : flags & ~u64{Flag::kRf};
}

namespace ops {

Outcome pushf(CpuContext& ctx, const Operands& ops) {
  if (v86_refused(ctx.state)) return general_protection();
  u64 image = ctx.state.flags() & ~u64{Flag::kVm | Flag::kRf};
  if (push_directly(ctx, image, ops.width)) return Next::Continue;
  Stack stack(ctx);
  stack.push(image, ops.width);
  TRY(stack.commit());
  return Next::Continue;
}

Outcome popf(CpuContext& ctx, const Operands& ops) {
  if (v86_refused(ctx.state)) return general_protection();
  Stack stack(ctx);
  TRY_ASSIGN(u64 image, stack.pop(ops.width));
  TRY(stack.commit());
  u64 writable = writable_flags(ctx.state, ops.width);
  u64 before = ctx.state.flags();
  u64 flags = (before & ~(writable | Flag::kRf)) | (image & writable);
  set_flags(ctx, flags);
  bool look_again = (flags & ~before & Flag::kIf) || ((flags ^ before) & Flag::kTf);
  return look_again ? Next::EndBlock : Next::Continue;
}

Outcome cli(CpuContext& ctx, const Operands&) {
  if (!may_change_if(ctx.state)) return general_protection();
  ctx.state.rflags &= ~u64{Flag::kIf};
  return Next::Continue;
}

/// The instruction behind an STI that enables interrupts still runs without them.
Outcome sti(CpuContext& ctx, const Operands&) {
  if (!may_change_if(ctx.state)) return general_protection();
  if (ctx.state.flag(Flag::kIf)) return Next::Continue;
  ctx.state.interrupt_shadow = 1;
  ctx.state.rflags |= Flag::kIf;
  return ctx.environment.shadow_hides_nothing() ? Next::Continue : Next::EndBlock;
}

Outcome stac(CpuContext& ctx, const Operands&) { return change_ac(ctx, true); }
Outcome clac(CpuContext& ctx, const Operands&) { return change_ac(ctx, false); }

}  // namespace ops
}  // namespace penumbra::cpu
