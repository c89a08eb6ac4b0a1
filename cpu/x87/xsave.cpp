// XSAVE and its relatives (SDM 1, 13.7 to 13.12). AVX state is the only component behind the legacy
// region, so it has the same place in the standard and in the compacted format.
//
// A component is in its initial configuration when its registers say so, not by history, so that a
// saved image depends on the state alone. XSAVEOPT and XSAVES use the init optimization only.
#include "cpu/ops.h"
#include "cpu/semantics/fp_environment.h"
#include "cpu/system/privilege.h"
#include "cpu/x87/legacy_region.h"
#include "cpu/x87/unit.h"
#include "cpu/x87/xsave_state.h"

namespace penumbra::cpu::ops {

using namespace x87;

namespace {

constexpr u64 kX87 = 1, kSse = 2, kAvx = 4, kCompacted = bit(63);
constexpr u32 kHeader = 512, kHeaderSize = 64, kAvxOffset = 576, kAvxSize = 256;

/// An XSAVE area that has been checked: where it is and which components the instruction works on.
struct Area {
  u64 linear = 0;
  u64 requested = 0;  ///< RFBM

  bool wants(u64 components) const { return requested & components; }
};

Expected<Area> open_area(const CpuContext& ctx, const Operands& ops, Access access) {
  const CpuState& state = ctx.state;
  if (!(state.cr4 & Cr4::kOsxsave)) return std::unexpected(Fault::ud());
  if (state.cr0 & Cr0::kTs) return std::unexpected(Fault::of(Vector::Nm));
  u64 mask = static_cast<u32>(state.reg(Reg::Rdx));
  mask = mask << 32 | static_cast<u32>(state.reg(Reg::Rax));
  Area area{0, mask & state.xcr0};
  u32 size = area.wants(kAvx) ? kAvxOffset + kAvxSize : kHeader + kHeaderSize;
  TRY_ASSIGN(area.linear, aligned_operand_linear(ctx, ops, size, 64, access));
  return area;
}

/// XSTATE_BV of compacted images also counts MXCSR as SSE state (SDM 1, 13.10).
u64 in_use_compacted(const CpuState& state) {
  return xsave_in_use(state) | (state.mxcsr != Mxcsr::kDefault ? kSse : 0);
}

/// One contiguous piece of the area.
struct Piece {
  u32 offset, size;
};

Expected<> write_piece(CpuContext& ctx, const Area& area, LegacyRegion& region, Piece piece) {
  return ctx.memory.write(area.linear + piece.offset, region.data() + piece.offset, piece.size,
                          Privilege::Current);
}

/// `control` tells of MXCSR, which has a rule of its own in each format.
Expected<> write_legacy(CpuContext& ctx, const Area& area, u64 written, bool control,
                        PointerFormat format) {
  LegacyRegion region;
  region.put_x87(ctx, format);
  region.put_mxcsr(ctx);
  region.put_xmm(ctx);
  if (written & kX87) {
    TRY(write_piece(ctx, area, region, {0, LegacyRegion::kMxcsr}));
    TRY(write_piece(ctx, area, region, {LegacyRegion::kRegisters, 128}));
  }
  if (control) TRY(write_piece(ctx, area, region, {LegacyRegion::kMxcsr, 8}));
  if (written & kSse) {
    TRY(write_piece(ctx, area, region, {LegacyRegion::kXmm, 16 * xmm_count(ctx.state)}));
  }
  return {};
}

Expected<> write_avx(CpuContext& ctx, const Area& area) {
  u8 upper[kAvxSize];
  unsigned count = xmm_count(ctx.state);
  for (unsigned i = 0; i < count; ++i)
    std::memcpy(upper + 16 * i, ctx.state.vector[i].lanes + 2, 16);
  return ctx.memory.write(area.linear + kAvxOffset, upper, 16 * count, Privilege::Current);
}

enum class InitOptimization : bool { No, Yes };

u32 area_size(const Area& area) {
  return area.wants(kAvx) ? kAvxOffset + kAvxSize : kHeader + kHeaderSize;
}

Outcome save(CpuContext& ctx, const Operands& ops, PointerFormat format,
             InitOptimization optimization) {
  TRY_ASSIGN(Area area, open_area(ctx, ops, Access::Write));
  TRY(ctx.memory.probe(area.linear, area_size(area), Access::Write, Privilege::Current));
  TRY_ASSIGN(u64 present, ctx.memory.load<u64>(area.linear + kHeader));
  u64 used = xsave_in_use(ctx.state);
  u64 written = optimization == InitOptimization::Yes ? area.requested & used : area.requested;
  TRY(write_legacy(ctx, area, written, area.wants(kSse | kAvx), format));
  if (written & kAvx) TRY(write_avx(ctx, area));
  present = (present & ~area.requested) | (used & area.requested);
  TRY(ctx.memory.store<u64>(area.linear + kHeader, present));
  return Next::Continue;
}

/// XSAVEC and XSAVES.
Outcome save_compacted(CpuContext& ctx, const Operands& ops, PointerFormat format) {
  TRY_ASSIGN(Area area, open_area(ctx, ops, Access::Write));
  TRY(ctx.memory.probe(area.linear, area_size(area), Access::Write, Privilege::Current));
  u64 written = area.requested & in_use_compacted(ctx.state);
  TRY(write_legacy(ctx, area, written, written & kSse, format));
  if (written & kAvx) TRY(write_avx(ctx, area));
  TRY(ctx.memory.store<u64>(area.linear + kHeader, written));
  TRY(ctx.memory.store<u64>(area.linear + kHeader + 8, kCompacted | area.requested));
  return Next::Continue;
}

/// XSTATE_BV and whether the image is compacted.
struct Header {
  u64 present = 0;
  bool compacted = false;
};

/// SDM 1, 13.8: what makes a header invalid.
Expected<Header> check_header(CpuContext& ctx, const Area& area) {
  u64 words[kHeaderSize / 8];
  TRY(ctx.memory.read(area.linear + kHeader, words, kHeaderSize, Privilege::Current));
  bool compacted = (words[1] & kCompacted) && ctx.model.has(Feature::Xsavec);
  u64 allowed = ctx.state.xcr0, reserved = words[1];
  if (compacted) {
    reserved = words[1] & ~(kCompacted | ctx.state.xcr0);
    allowed &= words[1];
    for (unsigned i = 3; i < kHeaderSize / 8; ++i) reserved |= words[i];
  }
  if ((words[0] & ~allowed) || reserved || words[2]) return std::unexpected(Fault::gp());
  return Header{words[0], compacted};
}

void restore_x87(CpuState& state, const LegacyRegion& region, bool present, PointerFormat format) {
  if (present) return region.load_x87(state, format);
  initialize(state.x87);
  for (X87Register& reg : state.x87.registers) reg = {};
}

void restore_xmm(CpuState& state, const LegacyRegion& region, bool present) {
  if (present) return region.load_xmm(state);
  for (unsigned i = 0; i < xmm_count(state); ++i)
    state.vector[i].lanes[0] = state.vector[i].lanes[1] = 0;
}

void restore_avx(CpuState& state, const u8* upper, bool present) {
  for (unsigned i = 0; i < xmm_count(state); ++i) {
    if (present)
      std::memcpy(state.vector[i].lanes + 2, upper + 16 * i, 16);
    else
      state.vector[i].lanes[2] = state.vector[i].lanes[3] = 0;
  }
}

/// Which MXCSR an image gives: standard ones always have it, compacted ones with SSE state.
Expected<> restore_mxcsr(CpuState& state, const Area& area, const Header& header,
                         const LegacyRegion& region) {
  if (!area.wants(header.compacted ? kSse : kSse | kAvx)) return {};
  bool initial = header.compacted && !(header.present & kSse);
  if (!initial && !region.mxcsr_is_valid()) return std::unexpected(Fault::gp());
  state.mxcsr = initial ? Mxcsr::kDefault : region.mxcsr();
  return {};
}

Outcome restore_image(CpuContext& ctx, const Area& area, const Header& header,
                      PointerFormat format) {
  LegacyRegion region;
  TRY(ctx.memory.read(area.linear, region.data(), LegacyRegion::kSize, Privilege::Current));
  u8 upper[kAvxSize] = {};
  u64 present = header.present;
  if (area.requested & present & kAvx)
    TRY(ctx.memory.read(area.linear + kAvxOffset, upper, kAvxSize, Privilege::Current));
  TRY(restore_mxcsr(ctx.state, area, header, region));
  if (area.wants(kX87)) restore_x87(ctx.state, region, present & kX87, format);
  if (area.wants(kSse)) restore_xmm(ctx.state, region, present & kSse);
  if (area.wants(kAvx)) restore_avx(ctx.state, upper, present & kAvx);
  return Next::EndBlock;
}

Outcome restore(CpuContext& ctx, const Operands& ops, PointerFormat format) {
  TRY_ASSIGN(Area area, open_area(ctx, ops, Access::Read));
  TRY_ASSIGN(Header header, check_header(ctx, area));
  return restore_image(ctx, area, header, format);
}

/// XRSTORS takes compacted images only.
Outcome restore_supervisor(CpuContext& ctx, const Operands& ops, PointerFormat format) {
  TRY(require_cpl0(ctx.state));
  TRY_ASSIGN(Area area, open_area(ctx, ops, Access::Read));
  TRY_ASSIGN(Header header, check_header(ctx, area));
  if (!header.compacted) return std::unexpected(Fault::gp());
  return restore_image(ctx, area, header, format);
}

/// XSAVES: IA32_XSS is 0, so there are no other components than XSAVEC's.
Outcome save_supervisor(CpuContext& ctx, const Operands& ops, PointerFormat format) {
  TRY(require_cpl0(ctx.state));
  return save_compacted(ctx, ops, format);
}

}  // namespace

Outcome xsave(CpuContext& ctx, const Operands& ops) {
  return save(ctx, ops, PointerFormat::Selectors, InitOptimization::No);
}
Outcome xsave64(CpuContext& ctx, const Operands& ops) {
  return save(ctx, ops, PointerFormat::Offsets64, InitOptimization::No);
}
Outcome xsaveopt(CpuContext& ctx, const Operands& ops) {
  return save(ctx, ops, PointerFormat::Selectors, InitOptimization::Yes);
}
Outcome xsaveopt64(CpuContext& ctx, const Operands& ops) {
  return save(ctx, ops, PointerFormat::Offsets64, InitOptimization::Yes);
}
Outcome xrstor(CpuContext& ctx, const Operands& ops) {
  return restore(ctx, ops, PointerFormat::Selectors);
}
Outcome xrstor64(CpuContext& ctx, const Operands& ops) {
  return restore(ctx, ops, PointerFormat::Offsets64);
}

Outcome xsavec(CpuContext& ctx, const Operands& ops) {
  return save_compacted(ctx, ops, PointerFormat::Selectors);
}
Outcome xsavec64(CpuContext& ctx, const Operands& ops) {
  return save_compacted(ctx, ops, PointerFormat::Offsets64);
}
Outcome xsaves(CpuContext& ctx, const Operands& ops) {
  return save_supervisor(ctx, ops, PointerFormat::Selectors);
}
Outcome xsaves64(CpuContext& ctx, const Operands& ops) {
  return save_supervisor(ctx, ops, PointerFormat::Offsets64);
}
Outcome xrstors(CpuContext& ctx, const Operands& ops) {
  return restore_supervisor(ctx, ops, PointerFormat::Selectors);
}
Outcome xrstors64(CpuContext& ctx, const Operands& ops) {
  return restore_supervisor(ctx, ops, PointerFormat::Offsets64);
}

}  // namespace penumbra::cpu::ops
