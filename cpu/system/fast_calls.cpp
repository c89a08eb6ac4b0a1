// SYSCALL, SYSRET, SYSENTER, SYSEXIT as AMD does them (APM 3).
//
// SYSRET leaves SS's hidden part alone and does not check RCX: a non-canonical RIP faults at the
// fetch, at CPL 3. SYSENTER and SYSEXIT are #UD in long mode.
#include "cpu/mode.h"
#include "cpu/ops.h"
#include "cpu/system/privilege.h"

namespace penumbra::cpu::ops {
namespace {

constexpr u32 kFlatData = SegmentRegister::kPresent | SegmentRegister::kNonSystem |
                          SegmentRegister::kWritableOrReadable | SegmentRegister::kAccessed |
                          SegmentRegister::kBig | SegmentRegister::kGranular;
constexpr u32 kFlatCode32 = kFlatData | SegmentRegister::kCode;
constexpr u32 kFlatCode64 = (kFlatCode32 & ~SegmentRegister::kBig) | SegmentRegister::kLong;

u64 next_rip(const CpuState& state, const Operands& ops) {
  return (state.rip + ops.length) & rip_mask(code_size(state));
}

SegmentRegister flat(u16 selector, u32 attributes, u8 dpl) {
  return {0, 0xffffffffu, attributes | u32{dpl} << 5, selector};
}

bool syscall_refused(const CpuState& state) {
  return !(state.efer & Efer::kSce) || in_real_or_v86(state);
}

void enter_kernel(CpuState& state, u16 selector, u32 code) {
  state.seg(Segment::Cs) = flat(selector & 0xfffc, code, 0);
  state.seg(Segment::Ss) = flat(static_cast<u16>((selector & 0xfffc) + 8), kFlatData, 0);
}

void syscall_long(CpuContext& ctx, u64 return_rip) {
  CpuState& state = ctx.state;
  state.reg(Reg::Rcx) = return_rip;
  state.reg(Reg::R11) = state.flags() & ~u64{Flag::kRf};
  state.rip = in_long_mode(state) ? state.lstar : state.cstar;
  enter_kernel(state, static_cast<u16>(state.star >> 32), kFlatCode64);
  set_flags(ctx, state.flags() & ~(state.sfmask | Flag::kRf));
}

void syscall_legacy(CpuContext& ctx, u64 return_rip) {
  CpuState& state = ctx.state;
  write_gpr(state, 1, Width::W32, return_rip);
  state.rip = state.star & 0xffffffffu;
  enter_kernel(state, static_cast<u16>(state.star >> 32), kFlatCode32);
  set_flags(ctx, state.flags() & ~u64{Flag::kVm | Flag::kIf | Flag::kRf});
}

}  // namespace

Outcome syscall(CpuContext& ctx, const Operands& ops) {
  if (syscall_refused(ctx.state)) return undefined();
  u64 return_rip = next_rip(ctx.state, ops);
  ctx.state.efer& Efer::kLma ? syscall_long(ctx, return_rip) : syscall_legacy(ctx, return_rip);
  set_cpl(ctx, 0);
  return Next::Branch;
}

Outcome sysret(CpuContext& ctx, const Operands& ops) {
  constexpr u64 kRestored = 0x3c7fd7;  // everything defined but VM and RF
  CpuState& state = ctx.state;
  if (syscall_refused(state)) return undefined();
  TRY(require_cpl0(state));
  u16 base = static_cast<u16>((state.star >> 48) | 3);
  bool to_long = ops.width == Width::W64;
  state.rip = to_long ? state.reg(Reg::Rcx) : state.reg(Reg::Rcx) & 0xffffffffu;
  state.seg(Segment::Cs) =
      to_long ? flat(static_cast<u16>(base + 16), kFlatCode64, 3) : flat(base, kFlatCode32, 3);
  state.seg(Segment::Ss).selector = static_cast<u16>(base + 8);
  u64 flags = state.efer & Efer::kLma ? state.reg(Reg::R11) & kRestored : state.flags() | Flag::kIf;
  set_flags(ctx, flags);
  set_cpl(ctx, 3);
  return Next::Branch;
}

Outcome sysenter(CpuContext& ctx, const Operands&) {
  CpuState& state = ctx.state;
  if (state.efer & Efer::kLma) return undefined();
  bool refused = !is_protected(state) || (state.sysenter_cs & 0xfffc) == 0;
  if (refused) return general_protection();
  enter_kernel(state, static_cast<u16>(state.sysenter_cs), kFlatCode32);
  state.reg(Reg::Rsp) = state.sysenter_esp & 0xffffffffu;
  state.rip = state.sysenter_eip & 0xffffffffu;
  set_flags(ctx, state.flags() & ~u64{Flag::kVm | Flag::kIf | Flag::kRf});
  set_cpl(ctx, 0);
  return Next::Branch;
}

Outcome sysexit(CpuContext& ctx, const Operands&) {
  CpuState& state = ctx.state;
  if (!is_protected(state) || state.cpl != 0) return general_protection();
  if (state.efer & Efer::kLma) return undefined();
  if ((state.sysenter_cs & 0xfffc) == 0) return general_protection();
  u16 base = static_cast<u16>((state.sysenter_cs & 0xfffc) | 3);
  state.seg(Segment::Cs) = flat(static_cast<u16>(base + 16), kFlatCode32, 3);
  state.seg(Segment::Ss) = flat(static_cast<u16>(base + 24), kFlatData, 3);
  state.reg(Reg::Rsp) = state.reg(Reg::Rcx) & 0xffffffffu;
  state.rip = state.reg(Reg::Rdx) & 0xffffffffu;
  set_cpl(ctx, 3);
  return Next::Branch;
}

}  // namespace penumbra::cpu::ops
