// Decimal adjustment and SALC (SDM 2). Undefined flags are those of the addition or subtraction
// that the reference CPU adjusts with: 16 bits wide for AAA and AAS, 8 for DAA, DAS and AAD.
#include "cpu/operand_access.h"
#include "cpu/ops.h"

namespace penumbra::cpu::ops {
namespace {

constexpr u32 kCarries = Flag::kCf | Flag::kAf;

struct Adjusted {
  u64 result = 0;
  u32 flags = 0;
};

template <FlagFamily F, class T>
Adjusted adjust(u64 value, u64 correction) {
  T result = static_cast<T>(F == FlagFamily::Add ? value + correction : value - correction);
  return {result, family_flags<F, T>(result, correction)};
}

bool low_digit_overflows(u64 al, u32 flags) { return (al & 15) > 9 || (flags & Flag::kAf); }

u64 accumulator(const CpuState& state, Width width) { return state.reg(Reg::Rax) & mask(width); }

void commit(CpuState& state, Width width, u64 value, u32 flags) {
  write_gpr(state, static_cast<u8>(Reg::Rax), width, value);
  state.set_arithmetic_flags(flags);
}

/// AAA and AAS: unpacked decimal in AX.
template <FlagFamily F>
Outcome ascii_adjust(CpuContext& ctx) {
  u64 ax = accumulator(ctx.state, Width::W16);
  bool adjusts = low_digit_overflows(ax, ctx.state.arithmetic_flags());
  Adjusted adjusted = adjust<F, u16>(ax, adjusts ? 0x106 : 0);
  u32 flags = (adjusted.flags & ~kCarries) | (adjusts ? kCarries : 0);
  commit(ctx.state, Width::W16, adjusted.result & 0xff0f, flags);
  return Next::Continue;
}

/// DAA and DAS: packed decimal in AL.
template <FlagFamily F>
Outcome decimal_adjust(CpuContext& ctx) {
  u64 al = accumulator(ctx.state, Width::W8);
  u32 before = ctx.state.arithmetic_flags();
  bool low = low_digit_overflows(al, before);
  bool high = al > 0x99 || (before & Flag::kCf);
  bool borrow = F == FlagFamily::Sub && low && al < 6;
  Adjusted adjusted = adjust<F, u8>(al, (low ? 6u : 0u) + (high ? 0x60u : 0u));
  u32 carries = (low ? Flag::kAf : 0) | (high || borrow ? Flag::kCf : 0);
  commit(ctx.state, Width::W8, adjusted.result, (adjusted.flags & ~kCarries) | carries);
  return Next::Continue;
}

}  // namespace

Outcome aaa(CpuContext& ctx, const Operands&) { return ascii_adjust<FlagFamily::Add>(ctx); }
Outcome aas(CpuContext& ctx, const Operands&) { return ascii_adjust<FlagFamily::Sub>(ctx); }
Outcome daa(CpuContext& ctx, const Operands&) { return decimal_adjust<FlagFamily::Add>(ctx); }
Outcome das(CpuContext& ctx, const Operands&) { return decimal_adjust<FlagFamily::Sub>(ctx); }

Outcome aam(CpuContext& ctx, const Operands& ops) {
  u64 base = ops.immediate & 0xff;
  if (base == 0) return std::unexpected(Fault::of(Vector::De));
  u64 al = accumulator(ctx.state, Width::W8);
  u32 flags = sign_zero_parity(static_cast<u8>(al % base));
  commit(ctx.state, Width::W16, al / base << 8 | al % base, flags);
  return Next::Continue;
}

Outcome aad(CpuContext& ctx, const Operands& ops) {
  u64 ax = accumulator(ctx.state, Width::W16);
  u8 tens = static_cast<u8>((ax >> 8) * (ops.immediate & 0xff));
  Adjusted sum = adjust<FlagFamily::Add, u8>(ax, tens);
  commit(ctx.state, Width::W16, sum.result, sum.flags);
  return Next::Continue;
}

Outcome salc(CpuContext& ctx, const Operands&) {
  bool carry = ctx.state.arithmetic_flags() & Flag::kCf;
  write_gpr(ctx.state, static_cast<u8>(Reg::Rax), Width::W8, carry ? 0xff : 0);
  return Next::Continue;
}

}  // namespace penumbra::cpu::ops
