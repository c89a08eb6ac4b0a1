// System control port A, 92h: fast A20 (bit 1) and fast reset (bit 0) (IBM PS/2 Hardware Interface
// Technical Reference, System Control Port A).
//
// A 0-to-1 step of bit 0 resets. The other bits (security lock, watchdog, disk lights) are kept and
// do nothing. A20 is also driven by the 8042: the machine masks it only if both ask for that.
#pragma once

#include "devices/interfaces.h"

namespace penumbra::devices {

class Port92 final : public BusDevice {
 public:
  struct Hooks {
    std::function<void()> on_reset;
    std::function<void(bool enabled)> on_a20;
  };

  explicit Port92(Hooks hooks);

  u64 read(u64 offset, u32 size) override;
  void write(u64 offset, u32 size, u64 value) override;
  bool a20() const { return value_ & kA20; }
  void reset() { value_ = 0; }

  template <class A>
  void serialize(A& archive) {
    archive(value_);
  }

 private:
  static constexpr u8 kReset = 1, kA20 = 2;

  Hooks hooks_;
  u8 value_ = 0;
};

}  // namespace penumbra::devices
