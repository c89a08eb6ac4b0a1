#include "cpu/system/io.h"

#include <algorithm>

#include "cpu/breakpoints.h"
#include "cpu/ops.h"
#include "cpu/system/privilege.h"
#include "cpu/system/task_state.h"

namespace penumbra::cpu {
namespace {

constexpr u32 kMapBase = 102;

/// Two bytes of the map, so that an access may cross a byte; both must lie within the limit.
Expected<u16> map_bits(CpuContext& ctx, u16 port) {
  const SegmentRegister& tr = ctx.state.tr;
  if (tr.has(SegmentRegister::kUnusable) || tss_is_16bit(tr) || tr.limit < kMapBase + 1)
    return general_protection();
  TRY_ASSIGN(u64 base_address, tss_address(ctx, kMapBase, 2));
  TRY_ASSIGN(u16 base, ctx.memory.load<u16>(base_address, Privilege::Implicit));
  u32 offset = base + port / 8u;
  if (offset + 1 > tr.limit) return general_protection();
  TRY_ASSIGN(u64 address, tss_address(ctx, offset, 2));
  return ctx.memory.load<u16>(address, Privilege::Implicit);
}

}  // namespace

Expected<> check_port(CpuContext& ctx, u16 port, u32 size) {
  const CpuState& state = ctx.state;
  if (!is_protected(state)) return {};
  if (!in_v86(state) && state.cpl <= iopl(state)) return {};
  TRY_ASSIGN(u16 bits, map_bits(ctx, port));
  u32 wanted = ((1u << size) - 1) << (port & 7);
  if (bits & wanted) return general_protection();
  return {};
}

namespace ops {
namespace {

u16 port_number(const CpuState& state, const Operands& ops, unsigned operand) {
  bool immediate = ops.at[operand].kind == OperandKind::Immediate;
  return immediate ? ops.immediate & 0xff : static_cast<u16>(state.reg(Reg::Rdx));
}

u8 port_size(const Operand& accumulator) { return std::min<u16>(accumulator.size, 4); }

}  // namespace

Outcome in(CpuContext& ctx, const Operands& ops) {
  u16 port = port_number(ctx.state, ops, 1);
  u8 size = port_size(ops.at[0]);
  TRY(check_port(ctx, port, size));
  TRY_ASSIGN(u32 value, ctx.environment.port_read(port, size));
  Width width = size == 4 ? Width::W32 : size == 2 ? Width::W16 : Width::W8;
  write_gpr(ctx.state, 0, width, value);
  ctx.state.pending_debug |= port_breakpoints(ctx.state, port, size);
  return Next::EndBlock;
}

Outcome out(CpuContext& ctx, const Operands& ops) {
  u16 port = port_number(ctx.state, ops, 0);
  u8 size = port_size(ops.at[1]);
  TRY(check_port(ctx, port, size));
  u64 value = ctx.state.reg(Reg::Rax) & ((1ull << (8 * size)) - 1);
  TRY(ctx.environment.port_write(port, size, static_cast<u32>(value)));
  ctx.state.pending_debug |= port_breakpoints(ctx.state, port, size);
  return Next::EndBlock;
}

}  // namespace ops
}  // namespace penumbra::cpu
