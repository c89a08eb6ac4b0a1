// The 512-byte image of FXSAVE, which is also the legacy region of an XSAVE area (SDM 1, 10.5.1).
//
// Reads and writes only the fields that a component owns. The reference vendor saves FIP, FDP, FOP
// and the selectors only while an exception is pending, else zeros (APM 2, 11.4.4).
#pragma once

#include "cpu/context.h"

namespace penumbra::cpu::x87 {

/// FXSAVE with and without REX.W: 64-bit pointers, or 32-bit ones with selectors.
enum class PointerFormat : u8 { Selectors, Offsets64 };

class LegacyRegion {
 public:
  static constexpr u32 kSize = 512, kUsed = 416;
  static constexpr u32 kMxcsr = 24, kRegisters = 32, kXmm = 160;

  u8* data() { return bytes_; }

  void put_x87(const CpuContext& ctx, PointerFormat format);
  void put_mxcsr(const CpuContext& ctx);
  void put_xmm(const CpuContext& ctx);

  void load_x87(CpuState& state, PointerFormat format) const;
  void load_xmm(CpuState& state) const;
  u32 mxcsr() const { return load_from<u32>(bytes_ + kMxcsr); }
  /// Reserved bits of the image's MXCSR are #GP(0).
  bool mxcsr_is_valid() const;

 private:
  void put_pointers(const X87State& x87, PointerFormat format);
  void load_pointers(X87State& x87, PointerFormat format) const;

  u8 bytes_[kSize] = {};
};

/// 16 in 64-bit mode, else 8.
unsigned xmm_count(const CpuState& state);

}  // namespace penumbra::cpu::x87
