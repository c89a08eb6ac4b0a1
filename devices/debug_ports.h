// Two ports for test programs: debug exit (F4h) and the debug console (E9h).
//
// A write to debug exit hands (value << 1) | 1 to the machine as its exit status; reads are 0. The
// debug console passes each byte on and reads as E9h, by which guests recognise it.
#pragma once

#include "devices/interfaces.h"

namespace penumbra::devices {

class DebugExit final : public BusDevice {
 public:
  explicit DebugExit(std::function<void(u32 status)> on_exit);

  u64 read(u64 offset, u32 size) override;
  void write(u64 offset, u32 size, u64 value) override;

 private:
  std::function<void(u32)> on_exit_;
};

class DebugConsole final : public BusDevice {
 public:
  explicit DebugConsole(CharBackend& sink) : sink_(sink) {}

  u64 read(u64 offset, u32 size) override;
  void write(u64 offset, u32 size, u64 value) override;

 private:
  CharBackend& sink_;
};

}  // namespace penumbra::devices
