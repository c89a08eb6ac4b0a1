// Constants and functions of ST(0) and ST(1): each is the host's instruction of the same encoding
// (SDM 1, 8.3.5 to 8.3.8).
#include "cpu/ops.h"
#include "cpu/x87/host_unit_x86.h"

namespace penumbra::cpu::ops {

using namespace x87;

namespace {

enum class Pushes : bool { No, Yes };

/// Runs on operands already taken, and commits.
template <u8 ModRm>
Outcome finish(CpuContext& ctx, const Operands& ops, const HostOperands& in, u16 conditions) {
  HostResult out = host_execute<0xd9, ModRm>(in);
  track(ctx, ops);
  commit_top(ctx.state.x87, in, out, conditions);
  return Next::Continue;
}

/// Takes `Count` registers from ST(0) on; `conditions` are those that it defines.
template <u8 ModRm, unsigned Count, Pushes P = Pushes::No>
Outcome function(CpuContext& ctx, const Operands& ops, u16 conditions = Status::kC1) {
  TRY(check_waiting(ctx));
  HostOperands in = top_operands(ctx.state.x87, Count, P == Pushes::Yes);
  return finish<ModRm>(ctx, ops, in, conditions);
}

bool is_normal(const X87Register& value) {
  u16 exponent = value.exponent & 0x7fff;
  return exponent != 0 && exponent != 0x7fff && value.mantissa >> 63;
}

/// A result in ST(0)'s place, where there are as many as operands; the plain case goes directly.
template <u8 ModRm, unsigned Count = 1>
Outcome replace_top(CpuContext& ctx, const Operands& ops, u16 conditions = Status::kC1) {
  TRY(check_waiting(ctx));
  X87State& x87 = ctx.state.x87;
  bool empty = is_empty(x87, 0) || (Count == 2 && is_empty(x87, 1));
  if (!all_masked(x87) || empty) [[unlikely]]
    return finish<ModRm>(ctx, ops, top_operands(x87, Count), conditions);
  track(ctx, ops);
  InPlace at{.st0 = &st(x87, 0), .st1 = Count == 2 ? &st(x87, 1) : nullptr, .result = &st(x87, 0)};
  u16 status = host_compute<host_instruction<0xd9, ModRm>, Count>(x87, at);
  merge_status(x87, status, conditions);
  return Next::Continue;
}

/// An invalid operation leaves C0 and C3, the quotient's bits, as they were.
template <u8 ModRm>
Outcome remainder(CpuContext& ctx, const Operands& ops) {
  TRY(check_waiting(ctx));
  HostOperands in = top_operands(ctx.state.x87, 2);
  in.special = !is_normal(*in.st[0]) || !is_normal(*in.st[1]);
  return finish<ModRm>(ctx, ops, in, Status::kConditions);
}

template <u8 ModRm>
Outcome constant(CpuContext& ctx, const Operands& ops) {
  TRY(check_waiting(ctx));
  X87State& x87 = ctx.state.x87;
  if (!all_masked(x87) || !is_empty(x87, 7)) [[unlikely]]
    return finish<ModRm>(ctx, ops, top_operands(x87, 0, true), Status::kC1);
  track(ctx, ops);
  move_top(x87, -1);
  u16 status = host_compute<host_instruction<0xd9, ModRm>, 1>(x87, {.result = &st(x87, 0)});
  set_full(x87, 0);
  merge_status(x87, status, Status::kC1);
  return Next::Continue;
}

/// C2 tells an argument out of range.
constexpr u16 kRange = Status::kC1 | Status::kC2;

}  // namespace

Outcome fld1(CpuContext& ctx, const Operands& ops) { return constant<0xe8>(ctx, ops); }
Outcome fldl2t(CpuContext& ctx, const Operands& ops) { return constant<0xe9>(ctx, ops); }
Outcome fldl2e(CpuContext& ctx, const Operands& ops) { return constant<0xea>(ctx, ops); }
Outcome fldpi(CpuContext& ctx, const Operands& ops) { return constant<0xeb>(ctx, ops); }
Outcome fldlg2(CpuContext& ctx, const Operands& ops) { return constant<0xec>(ctx, ops); }
Outcome fldln2(CpuContext& ctx, const Operands& ops) { return constant<0xed>(ctx, ops); }
Outcome fldz(CpuContext& ctx, const Operands& ops) { return constant<0xee>(ctx, ops); }

Outcome f2xm1(CpuContext& ctx, const Operands& ops) { return replace_top<0xf0>(ctx, ops); }
Outcome fyl2x(CpuContext& ctx, const Operands& ops) { return function<0xf1, 2>(ctx, ops); }
Outcome fptan(CpuContext& ctx, const Operands& ops) {
  return function<0xf2, 1, Pushes::Yes>(ctx, ops, kRange);
}
Outcome fpatan(CpuContext& ctx, const Operands& ops) { return function<0xf3, 2>(ctx, ops); }
Outcome fxtract(CpuContext& ctx, const Operands& ops) {
  return function<0xf4, 1, Pushes::Yes>(ctx, ops);
}
Outcome fprem1(CpuContext& ctx, const Operands& ops) { return remainder<0xf5>(ctx, ops); }
Outcome fprem(CpuContext& ctx, const Operands& ops) { return remainder<0xf8>(ctx, ops); }
Outcome fyl2xp1(CpuContext& ctx, const Operands& ops) { return function<0xf9, 2>(ctx, ops); }
Outcome fsqrt(CpuContext& ctx, const Operands& ops) { return replace_top<0xfa>(ctx, ops); }
Outcome fsincos(CpuContext& ctx, const Operands& ops) {
  return function<0xfb, 1, Pushes::Yes>(ctx, ops, kRange);
}
Outcome frndint(CpuContext& ctx, const Operands& ops) { return replace_top<0xfc>(ctx, ops); }
Outcome fscale(CpuContext& ctx, const Operands& ops) { return replace_top<0xfd, 2>(ctx, ops); }
Outcome fsin(CpuContext& ctx, const Operands& ops) { return replace_top<0xfe>(ctx, ops, kRange); }
Outcome fcos(CpuContext& ctx, const Operands& ops) { return replace_top<0xff>(ctx, ops, kRange); }

}  // namespace penumbra::cpu::ops
