// HLT, caches and translations, and what is always undefined.
#include "cpu/ops.h"
#include "cpu/system/privilege.h"

namespace penumbra::cpu::ops {

Outcome hlt(CpuContext& ctx, const Operands&) {
  TRY(require_cpl0(ctx.state));
  ctx.state.activity = Activity::Halted;
  return Next::Halt;
}

/// Memory is always coherent here, so there is nothing to write back.
Outcome wbinvd(CpuContext& ctx, const Operands&) {
  TRY(require_cpl0(ctx.state));
  return Next::EndBlock;
}

/// The address is not checked: a non-canonical one is ignored (SDM 2 INVLPG).
Outcome invlpg(CpuContext& ctx, const Operands& ops) {
  TRY(require_cpl0(ctx.state));
  const CpuState& state = ctx.state;
  Segment segment = ops.memory.segment;
  bool based = !in_long_mode(state) || segment == Segment::Fs || segment == Segment::Gs;
  u64 base = based && segment != Segment::None ? state.seg(segment).base : 0;
  u64 linear = base + effective_address(state, ops);
  if (!in_long_mode(state)) linear &= 0xffffffffu;
  if (is_canonical(linear)) ctx.environment.invlpg(linear);
  // Entries of at most 1 GiB: what follows is fetched anew where it may be of the page.
  bool may_be_here = (linear ^ (state.rip + segment_base(state, Segment::Cs))) >> 30 == 0;
  return may_be_here ? Next::EndBlock : Next::Continue;
}

Outcome invpcid(CpuContext& ctx, const Operands& ops) {
  constexpr u64 kAddress = 0, kContext = 1, kLast = 3;
  TRY(require_cpl0(ctx.state));
  u64 type = ctx.state.gpr[ops.at[0].reg & 15];
  if (!in_long_mode(ctx.state)) type &= 0xffffffffu;
  u64 descriptor[2];
  TRY(read_bytes(ctx, ops, descriptor, sizeof descriptor));
  u64 pcid = descriptor[0], linear = descriptor[1];
  bool uses_pcid = type == kAddress || type == kContext;
  bool refused = type > kLast || (uses_pcid && (pcid >> 12)) ||
                 (uses_pcid && pcid != 0 && !(ctx.state.cr4 & Cr4::kPcide)) ||
                 (type == kAddress && !is_canonical(linear));
  if (refused) return general_protection();
  ctx.environment.invpcid(type, static_cast<u16>(pcid & 0xfff), linear);
  return Next::EndBlock;
}

/// Checked as a load of one byte.
Outcome clflush(CpuContext& ctx, const Operands& ops) {
  TRY_ASSIGN(u64 linear, operand_linear(ctx, ops, 1, Access::Read));
  TRY(ctx.memory.probe(linear, 1, Access::Read, Privilege::Current));
  return Next::Continue;
}

Outcome undefined_opcode(CpuContext&, const Operands&) { return undefined(); }

}  // namespace penumbra::cpu::ops
