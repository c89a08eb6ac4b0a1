// RDTSC, RDTSCP, RDPID, RDPMC, XGETBV, XSETBV.
#include "cpu/ops.h"
#include "cpu/system/privilege.h"

namespace penumbra::cpu::ops {
namespace {

u64 time_stamp(CpuContext& ctx) { return ctx.environment.clock_tsc() + ctx.state.tsc_offset; }

bool tsc_refused(const CpuState& state) { return state.cpl != 0 && (state.cr4 & Cr4::kTsd); }

constexpr u64 kXcr0X87 = 1, kXcr0Sse = 2;

}  // namespace

Outcome rdtsc(CpuContext& ctx, const Operands&) {
  if (tsc_refused(ctx.state)) return general_protection();
  set_edx_eax(ctx.state, time_stamp(ctx));
  return Next::Continue;
}

Outcome rdtscp(CpuContext& ctx, const Operands&) {
  if (tsc_refused(ctx.state)) return general_protection();
  set_edx_eax(ctx.state, time_stamp(ctx));
  ctx.state.reg(Reg::Rcx) = ctx.state.tsc_aux & 0xffffffffu;
  return Next::Continue;
}

Outcome rdpid(CpuContext& ctx, const Operands& ops) {
  Width width = in_long_mode(ctx.state) ? Width::W64 : Width::W32;
  write_gpr(ctx.state, ops.at[0].reg, width, ctx.state.tsc_aux & 0xffffffffu);
  return Next::Continue;
}

/// No performance counters: every index is one that is not implemented.
Outcome rdpmc(CpuContext&, const Operands&) { return general_protection(); }

Outcome xgetbv(CpuContext& ctx, const Operands&) {
  if (!(ctx.state.cr4 & Cr4::kOsxsave)) return undefined();
  if (static_cast<u32>(ctx.state.reg(Reg::Rcx)) != 0) return general_protection();
  set_edx_eax(ctx.state, ctx.state.xcr0);
  return Next::Continue;
}

/// XCR0: x87 always, SSE at will; the other components do not exist (SDM 1, 13.3).
Outcome xsetbv(CpuContext& ctx, const Operands&) {
  if (!(ctx.state.cr4 & Cr4::kOsxsave)) return undefined();
  TRY(require_cpl0(ctx.state));
  u64 value = edx_eax(ctx.state);
  bool refused = static_cast<u32>(ctx.state.reg(Reg::Rcx)) != 0 || !(value & kXcr0X87) ||
                 (value & ~(kXcr0X87 | kXcr0Sse));
  if (refused) return general_protection();
  ctx.state.xcr0 = value;
  return Next::EndBlock;
}

}  // namespace penumbra::cpu::ops
