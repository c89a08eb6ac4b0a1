// FXSAVE and FXRSTOR (SDM 2, SDM 1 10.5). Without CR4.OSFXSR the XMM registers are left alone.
#include "cpu/ops.h"
#include "cpu/x87/legacy_region.h"
#include "cpu/x87/unit.h"

namespace penumbra::cpu::ops {

using namespace x87;

namespace {

bool has_xmm(const CpuState& state) { return state.cr4 & Cr4::kOsfxsr; }

Expected<u64> image_address(const CpuContext& ctx, const Operands& ops, Access access) {
  TRY(check_available(ctx));
  return aligned_operand_linear(ctx, ops, LegacyRegion::kSize, 16, access);
}

/// The reference CPU tries the image's last byte first, so that a #PF names it.
Expected<> probe_image(CpuContext& ctx, u64 linear, Access access) {
  u32 size = LegacyRegion::kSize;
  TRY(ctx.memory.probe(linear + size - 1, 1, access, Privilege::Current));
  return ctx.memory.probe(linear, size, access, Privilege::Current);
}

/// Without XMM registers the image ends in front of them; the reserved end is never written.
Outcome save(CpuContext& ctx, const Operands& ops, PointerFormat format) {
  TRY_ASSIGN(u64 linear, image_address(ctx, ops, Access::Write));
  bool xmm = has_xmm(ctx.state);
  u32 size = xmm ? LegacyRegion::kUsed : LegacyRegion::kXmm;
  LegacyRegion region;
  TRY(probe_image(ctx, linear, Access::Write));
  if (xmm && xmm_count(ctx.state) < 16)
    TRY(ctx.memory.read(linear, region.data(), size, Privilege::Current));
  region.put_x87(ctx, format);
  region.put_mxcsr(ctx);
  if (xmm) region.put_xmm(ctx);
  TRY(ctx.memory.write(linear, region.data(), size, Privilege::Current));
  return Next::Continue;
}

Outcome restore(CpuContext& ctx, const Operands& ops, PointerFormat format) {
  TRY_ASSIGN(u64 linear, image_address(ctx, ops, Access::Read));
  LegacyRegion region;
  TRY(probe_image(ctx, linear, Access::Read));
  TRY(ctx.memory.read(linear, region.data(), LegacyRegion::kSize, Privilege::Current));
  if (!region.mxcsr_is_valid()) return std::unexpected(Fault::gp());
  region.load_x87(ctx.state, format);
  ctx.state.mxcsr = region.mxcsr();
  if (has_xmm(ctx.state)) region.load_xmm(ctx.state);
  return Next::EndBlock;
}

}  // namespace

Outcome fxsave(CpuContext& ctx, const Operands& ops) {
  return save(ctx, ops, PointerFormat::Selectors);
}
Outcome fxsave64(CpuContext& ctx, const Operands& ops) {
  return save(ctx, ops, PointerFormat::Offsets64);
}
Outcome fxrstor(CpuContext& ctx, const Operands& ops) {
  return restore(ctx, ops, PointerFormat::Selectors);
}
Outcome fxrstor64(CpuContext& ctx, const Operands& ops) {
  return restore(ctx, ops, PointerFormat::Offsets64);
}

}  // namespace penumbra::cpu::ops
