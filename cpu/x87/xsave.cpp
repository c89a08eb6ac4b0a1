// XSAVE, XSAVEOPT and XRSTOR in the standard format (SDM 1, 13.7, 13.8, 13.9).
//
// A component is in its initial configuration when its registers say so, not by history, so that a
// saved image depends on the state alone. XSAVEOPT uses the init optimization only.
#include "cpu/ops.h"
#include "cpu/x87/legacy_region.h"
#include "cpu/x87/unit.h"

namespace penumbra::cpu::ops {

using namespace x87;

namespace {

constexpr u64 kX87 = 1, kSse = 2, kAvx = 4;
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

bool x87_in_use(const X87State& x87) {
  bool initial = x87.control == Control::kInitial && x87.status == 0 && x87.tags == 0 &&
                 x87.opcode == 0 && x87.ip == 0 && x87.dp == 0 && x87.cs == 0 && x87.ds == 0;
  for (const X87Register& reg : x87.registers) initial &= reg.mantissa == 0 && reg.exponent == 0;
  return !initial;
}

bool lanes_in_use(const CpuState& state, unsigned first_lane) {
  u64 any = 0;
  for (unsigned i = 0; i < xmm_count(state); ++i)
    any |= state.vector[i].lanes[first_lane] | state.vector[i].lanes[first_lane + 1];
  return any != 0;
}

/// XINUSE.
u64 in_use(const CpuState& state) {
  return (x87_in_use(state.x87) ? kX87 : 0) | (lanes_in_use(state, 0) ? kSse : 0) |
         (lanes_in_use(state, 2) ? kAvx : 0);
}

/// One contiguous piece of the area.
struct Piece {
  u32 offset, size;
};

Expected<> write_piece(CpuContext& ctx, const Area& area, LegacyRegion& region, Piece piece) {
  return ctx.memory.write(area.linear + piece.offset, region.data() + piece.offset, piece.size,
                          Privilege::Current);
}

Expected<> write_legacy(CpuContext& ctx, const Area& area, u64 written, PointerFormat format) {
  LegacyRegion region;
  region.put_x87(ctx, format);
  region.put_mxcsr(ctx);
  region.put_xmm(ctx);
  if (written & kX87) {
    TRY(write_piece(ctx, area, region, {0, LegacyRegion::kMxcsr}));
    TRY(write_piece(ctx, area, region, {LegacyRegion::kRegisters, 128}));
  }
  if (area.wants(kSse | kAvx)) TRY(write_piece(ctx, area, region, {LegacyRegion::kMxcsr, 8}));
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

Outcome save(CpuContext& ctx, const Operands& ops, PointerFormat format,
             InitOptimization optimization) {
  TRY_ASSIGN(Area area, open_area(ctx, ops, Access::Write));
  u32 size = area.wants(kAvx) ? kAvxOffset + kAvxSize : kHeader + kHeaderSize;
  TRY(ctx.memory.probe(area.linear, size, Access::Write, Privilege::Current));
  TRY_ASSIGN(u64 present, ctx.memory.load<u64>(area.linear + kHeader));
  u64 used = in_use(ctx.state);
  u64 written = optimization == InitOptimization::Yes ? area.requested & used : area.requested;
  TRY(write_legacy(ctx, area, written, format));
  if (written & kAvx) TRY(write_avx(ctx, area));
  present = (present & ~area.requested) | (used & area.requested);
  TRY(ctx.memory.store<u64>(area.linear + kHeader, present));
  return Next::Continue;
}

/// XSTATE_BV names enabled components only; the rest of a standard header is 0.
Expected<u64> check_header(CpuContext& ctx, const Area& area) {
  u64 header[kHeaderSize / 8];
  TRY(ctx.memory.read(area.linear + kHeader, header, kHeaderSize, Privilege::Current));
  if ((header[0] & ~ctx.state.xcr0) || header[1] || header[2]) return std::unexpected(Fault::gp());
  return header[0];
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

Outcome restore(CpuContext& ctx, const Operands& ops, PointerFormat format) {
  TRY_ASSIGN(Area area, open_area(ctx, ops, Access::Read));
  TRY_ASSIGN(u64 present, check_header(ctx, area));
  LegacyRegion region;
  TRY(ctx.memory.read(area.linear, region.data(), LegacyRegion::kSize, Privilege::Current));
  u8 upper[kAvxSize] = {};
  if (area.requested & present & kAvx)
    TRY(ctx.memory.read(area.linear + kAvxOffset, upper, kAvxSize, Privilege::Current));
  bool loads_mxcsr = area.wants(kSse | kAvx);
  if (loads_mxcsr && !region.mxcsr_is_valid()) return std::unexpected(Fault::gp());
  if (loads_mxcsr) ctx.state.mxcsr = region.mxcsr();
  if (area.wants(kX87)) restore_x87(ctx.state, region, present & kX87, format);
  if (area.wants(kSse)) restore_xmm(ctx.state, region, present & kSse);
  if (area.wants(kAvx)) restore_avx(ctx.state, upper, present & kAvx);
  return Next::EndBlock;
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

}  // namespace penumbra::cpu::ops
