// One x87 instruction on the host itself, from a whole state to a whole state.
//
// The host is the reference: FRSTOR loads the state, the raw instruction bytes run with RSI at the
// memory operand, FNSAVE stores what became of it. The image is the manual's (SDM 1, figure 8-9).
#pragma once

#include "common/types.h"

namespace penumbra::cpu::test {

struct [[gnu::packed]] NativeImage {
  u16 control, reserved1;
  u16 status, reserved2;
  u16 tags, reserved3;
  u32 ip;
  u16 cs, opcode;
  u32 dp;
  u16 ds, reserved4;
  struct [[gnu::packed]] {
    u64 mantissa;
    u16 exponent;
  } st[8];
};
static_assert(sizeof(NativeImage) == 108);

/// Executable memory with the harness and a place for one instruction.
class NativeUnit {
 public:
  NativeUnit();
  ~NativeUnit();
  NativeUnit(const NativeUnit&) = delete;
  NativeUnit& operator=(const NativeUnit&) = delete;

  /// Places the instruction; the memory forms must use [rsi].
  void place(const u8* bytes, unsigned size);
  /// Address of the instruction.
  u64 address() const;
  /// Runs it; returns EFLAGS. `state` is replaced.
  u64 run(NativeImage& state, void* memory, u64 flags) const;

 private:
  u8* code_;
};

}  // namespace penumbra::cpu::test
