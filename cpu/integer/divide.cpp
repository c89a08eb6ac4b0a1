// DIV and IDIV (SDM 2). Undefined flags as the reference vendor leaves them: CF and OF stay, AF is
// set, SF, ZF and PF are cleared.
#include "cpu/operand_access.h"
#include "cpu/ops.h"

namespace penumbra::cpu::ops {
namespace {

struct Quotient {
  u64 quotient = 0, remainder = 0;
};

template <class Wide>
constexpr bool fits(Wide quotient, Width width) {
  if constexpr (Wide(-1) > Wide(0)) return quotient <= mask(width);
  i128 limit = static_cast<i128>(mask(width) >> 1);
  return static_cast<i128>(quotient) >= -limit - 1 && static_cast<i128>(quotient) <= limit;
}

/// The double-width dividend of a width: AX or rDX:rAX.
u128 dividend(const CpuState& state, Width width) {
  u64 rax = state.reg(Reg::Rax), rdx = state.reg(Reg::Rdx);
  if (width == Width::W8) return rax & 0xffff;
  return static_cast<u128>(rdx & mask(width)) << bits(width) | (rax & mask(width));
}

/// Quotient and remainder, in the host's own division where that can hold them.
template <class Narrow, class Wide>
Expected<Quotient> checked(Wide value, Narrow divisor, Width width) {
  bool narrow =
      static_cast<Wide>(static_cast<Narrow>(value)) == value && divisor != static_cast<Narrow>(-1);
  Wide quotient = narrow ? static_cast<Narrow>(value) / divisor : value / divisor;
  Wide remainder = narrow ? static_cast<Narrow>(value) % divisor : value % divisor;
  if (!fits(quotient, width)) return std::unexpected(Fault::of(Vector::De));
  return Quotient{static_cast<u64>(quotient), static_cast<u64>(remainder)};
}

Expected<Quotient> divide_unsigned(u128 value, u64 divisor, Width width) {
  if (value >> 64 >= divisor) return std::unexpected(Fault::of(Vector::De));
  return checked<u64, u128>(value, divisor, width);
}

Expected<Quotient> divide_signed(u128 value, u64 divisor, Width width) {
  unsigned unused = 128 - 2 * bits(width);
  i128 a = static_cast<i128>(value << unused) >> unused;
  i64 b = static_cast<i64>(sign_extend(divisor, width));
  i128 lowest = static_cast<i128>(u128{1} << 127) >> unused;
  if (b == 0 || (b == -1 && a == lowest)) return std::unexpected(Fault::of(Vector::De));
  return checked<i64, i128>(a, b, width);
}

void commit(CpuState& state, Width width, Quotient result) {
  if (width == Width::W8) {
    write_gpr(state, 0, Width::W16, (result.remainder & 0xff) << 8 | (result.quotient & 0xff));
  } else {
    write_gpr(state, static_cast<u8>(Reg::Rax), width, result.quotient);
    write_gpr(state, static_cast<u8>(Reg::Rdx), width, result.remainder);
  }
  u32 kept = state.arithmetic_flags() & (Flag::kCf | Flag::kOf);
  state.set_arithmetic_flags(kept | Flag::kAf);
}

using Divide = Expected<Quotient> (*)(u128, u64, Width);

template <Divide D>
Outcome divide(CpuContext& ctx, const Operands& ops) {
  Width width = ops.at[0].width();
  TRY_ASSIGN(u64 divisor, read_operand(ctx, ops, 0));
  TRY_ASSIGN(Quotient result, D(dividend(ctx.state, width), divisor, width));
  commit(ctx.state, width, result);
  return Next::Continue;
}

}  // namespace

Outcome div(CpuContext& ctx, const Operands& ops) { return divide<divide_unsigned>(ctx, ops); }
Outcome idiv(CpuContext& ctx, const Operands& ops) { return divide<divide_signed>(ctx, ops); }

}  // namespace penumbra::cpu::ops
