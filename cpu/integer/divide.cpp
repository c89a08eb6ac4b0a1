// DIV and IDIV (SDM 2). Undefined flags as the reference vendor leaves them: CF and OF stay, AF is
// set, SF, ZF and PF are cleared.
#include "cpu/operand_access.h"
#include "cpu/ops.h"

namespace penumbra::cpu::ops {
namespace {

struct Quotient {
  u64 quotient = 0, remainder = 0;
};

std::unexpected<Fault> divide_error() { return std::unexpected(Fault::of(Vector::De)); }

/// Dividends of up to 64 bits: AX, DX:AX or EDX:EAX.
u64 dividend(const CpuState& state, Width width) {
  u64 rax = state.reg(Reg::Rax), rdx = state.reg(Reg::Rdx);
  if (width == Width::W8) return rax & 0xffff;
  return (rdx & mask(width)) << bits(width) | (rax & mask(width));
}

struct Unsigned {
  static Expected<Quotient> narrow(u64 value, u64 divisor, Width width) {
    if (value >> bits(width) >= divisor) return divide_error();  // also by zero
    return Quotient{value / divisor, value % divisor};
  }

  static Expected<Quotient> wide(u64 high, u64 low, u64 divisor) {
    if (high >= divisor) return divide_error();
    if (high == 0) return Quotient{low / divisor, low % divisor};
    u128 value = static_cast<u128>(high) << 64 | low;
    return Quotient{static_cast<u64>(value / divisor), static_cast<u64>(value % divisor)};
  }
};

struct Signed {
  static Expected<Quotient> narrow(u64 value, u64 divisor, Width width) {
    i64 a = static_cast<i64>(sign_extend(value, static_cast<Width>(static_cast<u8>(width) + 1)));
    i64 b = static_cast<i64>(sign_extend(divisor, width));
    if (b == 0 || (b == -1 && a == INT64_MIN)) return divide_error();
    return fitting(a / b, a % b, width);
  }

  static Expected<Quotient> wide(u64 high, u64 low, u64 divisor) {
    i64 a = static_cast<i64>(low), b = static_cast<i64>(divisor);
    if (b == 0) return divide_error();
    bool is_narrow = high == static_cast<u64>(a >> 63) && b != -1;
    if (is_narrow) return Quotient{static_cast<u64>(a / b), static_cast<u64>(a % b)};
    i128 value = static_cast<i128>(static_cast<u128>(high) << 64 | low);
    bool lowest = value == static_cast<i128>(u128{1} << 127);
    if (b == -1 && lowest) return divide_error();
    return fitting(value / b, value % b, Width::W64);
  }

  template <class T>
  static Expected<Quotient> fitting(T quotient, T remainder, Width width) {
    T limit = static_cast<T>(mask(width) >> 1);
    if (quotient < -limit - 1 || quotient > limit) return divide_error();
    return Quotient{static_cast<u64>(quotient), static_cast<u64>(remainder)};
  }
};

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

template <class Form>
Outcome divide(CpuContext& ctx, const Operands& ops) {
  CpuState& state = ctx.state;
  const Operand& operand = ops.at[0];
  Width width = operand.width();
  u64 divisor = state.gpr[operand.reg & 15] & mask(width);
  if (operand.kind != OperandKind::Gpr) {
    TRY_ASSIGN(divisor, read_operand(ctx, ops, 0));
  }
  Expected<Quotient> result = width == Width::W64
                                  ? Form::wide(state.reg(Reg::Rdx), state.reg(Reg::Rax), divisor)
                                  : Form::narrow(dividend(state, width), divisor, width);
  if (!result) [[unlikely]]
    return std::unexpected(result.error());
  commit(state, width, *result);
  return Next::Continue;
}

}  // namespace

Outcome div(CpuContext& ctx, const Operands& ops) { return divide<Unsigned>(ctx, ops); }
Outcome idiv(CpuContext& ctx, const Operands& ops) { return divide<Signed>(ctx, ops); }

}  // namespace penumbra::cpu::ops
