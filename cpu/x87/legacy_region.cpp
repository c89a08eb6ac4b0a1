#include "cpu/x87/legacy_region.h"

#include "cpu/semantics/fp_environment.h"
#include "cpu/x87/unit.h"

namespace penumbra::cpu::x87 {

namespace {

/// The reference unit holds pointers of 57 bits, sign-extended.
u64 canonical(u64 pointer) { return static_cast<u64>(static_cast<i64>(pointer << 7) >> 7); }

}  // namespace

unsigned xmm_count(const CpuState& state) { return in_long_mode(state) ? 16 : 8; }

void LegacyRegion::put_x87(const CpuContext& ctx, PointerFormat format) {
  const X87State& x87 = ctx.state.x87;
  std::memset(bytes_, 0, kMxcsr);
  store_to<u16>(bytes_, x87.control);
  store_to<u16>(bytes_ + 2, x87.status);
  bytes_[4] = x87.tags;
  bool pending = x87.status & Status::kEs;
  if (pending || ctx.model.vendor() != Vendor::Amd) put_pointers(x87, format);
  for (unsigned i = 0; i < 8; ++i) {
    u8* slot = bytes_ + kRegisters + 16 * i;
    std::memset(slot, 0, 16);
    store_to<u64>(slot, st(x87, i).mantissa);
    store_to<u16>(slot + 8, st(x87, i).exponent);
  }
}

void LegacyRegion::put_pointers(const X87State& x87, PointerFormat format) {
  store_to<u16>(bytes_ + 6, x87.opcode);
  if (format == PointerFormat::Offsets64) {
    store_to<u64>(bytes_ + 8, x87.ip);
    store_to<u64>(bytes_ + 16, x87.dp);
    return;
  }
  store_to<u32>(bytes_ + 8, static_cast<u32>(x87.ip));
  store_to<u16>(bytes_ + 12, x87.cs);
  store_to<u32>(bytes_ + 16, static_cast<u32>(x87.dp));
  store_to<u16>(bytes_ + 20, x87.ds);
}

void LegacyRegion::put_mxcsr(const CpuContext& ctx) {
  store_to<u32>(bytes_ + kMxcsr, ctx.state.mxcsr);
  store_to<u32>(bytes_ + kMxcsr + 4, Mxcsr::kDefined);
}

void LegacyRegion::put_xmm(const CpuContext& ctx) {
  for (unsigned i = 0; i < xmm_count(ctx.state); ++i)
    std::memcpy(bytes_ + kXmm + 16 * i, ctx.state.vector[i].lanes, 16);
}

void LegacyRegion::load_x87(CpuState& state, PointerFormat format) const {
  X87State& x87 = state.x87;
  x87.status = load_from<u16>(bytes_ + 2);
  x87.tags = bytes_[4];
  set_control(x87, load_from<u16>(bytes_));
  load_pointers(x87, format);
  for (unsigned i = 0; i < 8; ++i) {
    const u8* slot = bytes_ + kRegisters + 16 * i;
    st(x87, i) = {load_from<u64>(slot), load_from<u16>(slot + 8)};
  }
}

void LegacyRegion::load_pointers(X87State& x87, PointerFormat format) const {
  x87.opcode = load_from<u16>(bytes_ + 6) & 0x7ff;
  bool wide = format == PointerFormat::Offsets64;
  x87.ip = wide ? canonical(load_from<u64>(bytes_ + 8)) : load_from<u32>(bytes_ + 8);
  x87.dp = wide ? canonical(load_from<u64>(bytes_ + 16)) : load_from<u32>(bytes_ + 16);
  x87.cs = wide ? 0 : load_from<u16>(bytes_ + 12);
  x87.ds = wide ? 0 : load_from<u16>(bytes_ + 20);
}

bool LegacyRegion::mxcsr_is_valid() const { return (mxcsr() & ~Mxcsr::kDefined) == 0; }

void LegacyRegion::load_xmm(CpuState& state) const {
  for (unsigned i = 0; i < xmm_count(state); ++i)
    std::memcpy(state.vector[i].lanes, bytes_ + kXmm + 16 * i, 16);
}

}  // namespace penumbra::cpu::x87
