#include "devices/port92.h"

namespace penumbra::devices {

Port92::Port92(Hooks hooks) : hooks_(std::move(hooks)) {}

u64 Port92::read(u64, u32) { return value_; }

void Port92::write(u64, u32, u64 value) {
  u8 old = value_;
  value_ = static_cast<u8>(value);
  if (((old ^ value_) & kA20) && hooks_.on_a20) hooks_.on_a20(a20());
  if ((value_ & ~old & kReset) && hooks_.on_reset) hooks_.on_reset();
}

}  // namespace penumbra::devices
