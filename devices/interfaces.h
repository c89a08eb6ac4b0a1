// What a chip sees of the board: interrupt lines, the clock, the bus, a character backend.
//
// A device never learns its address, knows no CPU and owns its time only through Timer. All times
// are nanoseconds of the machine's virtual clock.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "common/types.h"

namespace penumbra::devices {

/// One interrupt wire. Level as driven by the device; the receiving chip detects edges. After
/// loading, a device drives its level again; the receiver has loaded the levels that it saw.
class IrqLine {
 public:
  virtual ~IrqLine() = default;
  virtual void set(bool level) = 0;
  void pulse() {
    set(true);
    set(false);
  }
};

/// One-shot deadline on the virtual clock; re-armed by its owner. Destroying it cancels.
class Timer {
 public:
  virtual ~Timer() = default;
  virtual void arm(u64 deadline_ns) = 0;
  virtual void cancel() = 0;
};

class Clock {
 public:
  virtual ~Clock() = default;
  /// Virtual nanoseconds since power-on; never goes back.
  virtual u64 now_ns() const = 0;
  /// `expired` runs between instructions when now_ns() >= the deadline.
  virtual std::unique_ptr<Timer> make_timer(std::function<void()> expired) = 0;
};

/// A range of ports or of memory-mapped registers. Offsets count from the range's start.
/// Sizes are 1, 2, 4 (8 for MMIO); a chip that knows only bytes says so and the bus splits.
class BusDevice {
 public:
  virtual ~BusDevice() = default;
  virtual u64 read(u64 offset, u32 size) = 0;
  virtual void write(u64 offset, u32 size, u64 value) = 0;
};

/// Where a serial port's characters go. Input arrives by Uart::receive(), from the input gate.
class CharBackend {
 public:
  virtual ~CharBackend() = default;
  virtual void write(u8 byte) = 0;
};

}  // namespace penumbra::devices
