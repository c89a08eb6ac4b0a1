// LAR, LSL, VERR, VERW, ARPL: what a selector would allow (SDM 2).
#include <algorithm>
#include <optional>

#include "cpu/ops.h"
#include "cpu/segmentation.h"
#include "cpu/system/privilege.h"

namespace penumbra::cpu::ops {
namespace {

void set_zf(CpuState& state, bool value) {
  u32 flags = state.arithmetic_flags();
  state.set_arithmetic_flags(value ? flags | Flag::kZf : flags & ~Flag::kZf);
}

u32 type_bit(SystemType type) { return 1u << static_cast<u8>(type); }

/// System types that LAR and LSL accept, as a bit set.
u32 accepted_types(const CpuState& state, bool gates) {
  u32 types = type_bit(SystemType::Ldt) | type_bit(SystemType::Tss) | type_bit(SystemType::BusyTss);
  if (gates) types |= type_bit(SystemType::CallGate);
  if (state.efer & Efer::kLma) return types;
  types |= type_bit(SystemType::Tss16) | type_bit(SystemType::BusyTss16);
  if (gates) types |= type_bit(SystemType::CallGate16) | type_bit(SystemType::TaskGate);
  return types;
}

/// An empty optional where the selector names no descriptor; page faults stay faults.
Expected<std::optional<Descriptor>> find(CpuContext& ctx, u16 selector, bool wide) {
  if (is_null(selector)) return std::nullopt;
  auto descriptor = wide ? read_system_descriptor(ctx, selector) : read_descriptor(ctx, selector);
  if (descriptor) return *descriptor;
  const Fault& fault = descriptor.error();
  if (fault.kind == Fault::Kind::Exception && fault.vector == Vector::Gp) return std::nullopt;
  return std::unexpected(fault);
}

bool visible(const CpuState& state, u16 selector, const Descriptor& descriptor) {
  return descriptor.is_conforming() || descriptor.dpl() >= std::max<u8>(state.cpl, rpl(selector));
}

/// The descriptor that LAR (gates too) or LSL may look at, if any.
Expected<std::optional<Descriptor>> query(CpuContext& ctx, u16 selector, bool gates) {
  TRY_ASSIGN(std::optional<Descriptor> descriptor, find(ctx, selector, false));
  if (!descriptor || !visible(ctx.state, selector, *descriptor)) return std::nullopt;
  if (!descriptor->is_system()) return descriptor;
  if (!(accepted_types(ctx.state, gates) >> descriptor->type() & 1)) return std::nullopt;
  return find(ctx, selector, true);
}

Expected<u16> read_selector(CpuContext& ctx, const Operands& ops, unsigned i) {
  if (!ops.at[i].is_memory()) return static_cast<u16>(read_gpr(ctx.state, ops.at[i]));
  u16 selector = 0;
  TRY(read_bytes(ctx, ops, &selector, sizeof selector));
  return selector;
}

Outcome answer(CpuContext& ctx, const Operands& ops, const std::optional<u32>& value) {
  if (value) write_gpr(ctx.state, ops.at[0].reg, ops.width, *value);
  set_zf(ctx.state, value.has_value());
  return Next::Continue;
}

Outcome verify(CpuContext& ctx, const Operands& ops, bool (*allows)(const Descriptor&)) {
  TRY(require_protected(ctx.state));
  TRY_ASSIGN(u16 selector, read_selector(ctx, ops, 0));
  TRY_ASSIGN(std::optional<Descriptor> descriptor, find(ctx, selector, false));
  set_zf(ctx.state, descriptor && visible(ctx.state, selector, *descriptor) && allows(*descriptor));
  return Next::Continue;
}

}  // namespace

Outcome lar(CpuContext& ctx, const Operands& ops) {
  constexpr u32 kShown = 0x00ffff00;  // AMD; Intel leaves bits 19..16 undefined
  TRY(require_protected(ctx.state));
  TRY_ASSIGN(u16 selector, read_selector(ctx, ops, 1));
  TRY_ASSIGN(std::optional<Descriptor> descriptor, query(ctx, selector, true));
  if (!descriptor) return answer(ctx, ops, std::nullopt);
  return answer(ctx, ops, static_cast<u32>(descriptor->low >> 32) & kShown);
}

Outcome lsl(CpuContext& ctx, const Operands& ops) {
  TRY(require_protected(ctx.state));
  TRY_ASSIGN(u16 selector, read_selector(ctx, ops, 1));
  TRY_ASSIGN(std::optional<Descriptor> descriptor, query(ctx, selector, false));
  if (!descriptor) return answer(ctx, ops, std::nullopt);
  return answer(ctx, ops, descriptor->limit());
}

Outcome verr(CpuContext& ctx, const Operands& ops) {
  return verify(ctx, ops, [](const Descriptor& d) { return d.is_readable(); });
}

Outcome verw(CpuContext& ctx, const Operands& ops) {
  return verify(ctx, ops, [](const Descriptor& d) { return d.is_writable(); });
}

/// Raises the destination's RPL to the source's.
Outcome arpl(CpuContext& ctx, const Operands& ops) {
  TRY(require_protected(ctx.state));
  TRY_ASSIGN(u64 target, read_operand(ctx, ops, 0));
  u64 source = ctx.state.gpr[ops.at[1].reg & 15];
  bool raises = (target & 3) < (source & 3);
  if (raises) TRY(write_operand(ctx, ops, 0, (target & ~3ull) | (source & 3)));
  set_zf(ctx.state, raises);
  return Next::Continue;
}

}  // namespace penumbra::cpu::ops
