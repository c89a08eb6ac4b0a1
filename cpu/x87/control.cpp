// x87 control instructions (SDM 1, 8.3.11). The first group does not change the instruction
// pointers.
#include "cpu/ops.h"
#include "cpu/x87/unit.h"

namespace penumbra::cpu::ops {

using namespace x87;

Outcome fninit(CpuContext& ctx, const Operands&) {
  TRY(check_available(ctx));
  initialize(ctx.state.x87);
  return Next::Continue;
}

Outcome fnclex(CpuContext& ctx, const Operands&) {
  TRY(check_available(ctx));
  constexpr u16 kCleared = Status::kSticky | Status::kEs | Status::kBusy;
  ctx.state.x87.status &= static_cast<u16>(~kCleared);
  return Next::Continue;
}

Outcome fnstcw(CpuContext& ctx, const Operands& ops) {
  TRY(check_available(ctx));
  TRY(write_bytes(ctx, ops, &ctx.state.x87.control, 2));
  return Next::Continue;
}

Outcome fnstsw(CpuContext& ctx, const Operands& ops) {
  TRY(check_available(ctx));
  TRY(write_operand(ctx, ops, 0, ctx.state.x87.status));
  return Next::Continue;
}

Outcome fldcw(CpuContext& ctx, const Operands& ops) {
  TRY(check_waiting(ctx));
  u16 control = 0;
  TRY(read_bytes(ctx, ops, &control, sizeof control));
  set_control(ctx.state.x87, control);
  return Next::Continue;
}

/// FWAIT obeys TS only together with MP, and never EM (SDM 3A 2.5).
Outcome fwait(CpuContext& ctx, const Operands&) {
  constexpr u64 kTrapped = Cr0::kMp | Cr0::kTs;
  if ((ctx.state.cr0 & kTrapped) == kTrapped) return std::unexpected(Fault::of(Vector::Nm));
  TRY(check_pending(ctx));
  return Next::Continue;
}

/// FENI, FDISI and FSETPM of earlier coprocessors do nothing.
Outcome x87_no_operation(CpuContext& ctx, const Operands&) {
  TRY(check_available(ctx));
  return Next::Continue;
}

Outcome fnop(CpuContext& ctx, const Operands& ops) {
  TRY(check_waiting(ctx));
  track(ctx, ops);
  return Next::Continue;
}

Outcome fincstp(CpuContext& ctx, const Operands& ops) {
  TRY(check_waiting(ctx));
  track(ctx, ops);
  move_top(ctx.state.x87, 1);
  merge_status(ctx.state.x87, 0, Status::kC1);
  return Next::Continue;
}

Outcome fdecstp(CpuContext& ctx, const Operands& ops) {
  TRY(check_waiting(ctx));
  track(ctx, ops);
  move_top(ctx.state.x87, -1);
  merge_status(ctx.state.x87, 0, Status::kC1);
  return Next::Continue;
}

Outcome ffree(CpuContext& ctx, const Operands& ops) {
  TRY(check_waiting(ctx));
  track(ctx, ops);
  set_empty(ctx.state.x87, ops.at[0].reg & 7);
  merge_status(ctx.state.x87, 0, Status::kC1);
  return Next::Continue;
}

Outcome ffreep(CpuContext& ctx, const Operands& ops) {
  TRY(ffree(ctx, ops));
  pop(ctx.state.x87);
  return Next::Continue;
}

}  // namespace penumbra::cpu::ops
