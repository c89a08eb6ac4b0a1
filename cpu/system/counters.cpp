// RDTSC, RDTSCP, RDPID, RDPMC, XGETBV, XSETBV.
#include "cpu/ops.h"
#include "cpu/system/privilege.h"
#include "cpu/x87/xsave_state.h"

namespace penumbra::cpu::ops {
namespace {

u64 time_stamp(CpuContext& ctx) { return ctx.environment.clock_tsc() + ctx.state.tsc_offset; }

bool tsc_refused(const CpuState& state) { return state.cpl != 0 && (state.cr4 & Cr4::kTsd); }

constexpr u64 kXcr0X87 = 1, kXcr0Sse = 2, kXcr0Avx = 4;

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
  u32 index = static_cast<u32>(ctx.state.reg(Reg::Rcx));
  u32 largest = ctx.model.has(Feature::Xgetbv1) ? 1 : 0;
  if (index > largest) return general_protection();
  u64 used = index == 0 ? ~0ull : xsave_in_use(ctx.state);
  set_edx_eax(ctx.state, ctx.state.xcr0 & used);
  return Next::Continue;
}

/// XCR0: x87 always, SSE at will, AVX with SSE; others do not exist (SDM 1, 13.3).
Outcome xsetbv(CpuContext& ctx, const Operands&) {
  if (!(ctx.state.cr4 & Cr4::kOsxsave)) return undefined();
  TRY(require_cpl0(ctx.state));
  u64 value = edx_eax(ctx.state);
  u64 known = kXcr0X87 | kXcr0Sse | (ctx.model.has(Feature::Avx) ? kXcr0Avx : 0);
  bool avx_alone = (value & kXcr0Avx) && !(value & kXcr0Sse);
  bool refused = static_cast<u32>(ctx.state.reg(Reg::Rcx)) != 0 || !(value & kXcr0X87) ||
                 (value & ~known) || avx_alone;
  if (refused) return general_protection();
  ctx.state.xcr0 = value;
  return Next::EndBlock;
}

}  // namespace penumbra::cpu::ops
