// One block of registers of a chip that has several: a BusDevice made of two member functions.
//
// A chip with more than one range of ports (8259A pair, 8254 and port 61h, ACPI) owns one of these
// per range and hands it to the bus. The chip outlives it.
#pragma once

#include "devices/interfaces.h"

namespace penumbra::devices {

template <class Chip>
class RegisterBlock final : public BusDevice {
 public:
  using Read = u64 (Chip::*)(u64 offset, u32 size);
  using Write = void (Chip::*)(u64 offset, u32 size, u64 value);

  RegisterBlock(Chip& chip, Read read, Write write) : chip_(chip), read_(read), write_(write) {}

  u64 read(u64 offset, u32 size) override { return (chip_.*read_)(offset, size); }
  void write(u64 offset, u32 size, u64 value) override { (chip_.*write_)(offset, size, value); }

 private:
  Chip& chip_;
  Read read_;
  Write write_;
};

/// An interrupt input of a chip: calls `receive(pin, level)` on it.
template <class Chip>
class InputPin final : public IrqLine {
 public:
  using Receive = void (Chip::*)(u8 pin, bool level);

  InputPin(Chip& chip, Receive receive, u8 pin) : chip_(chip), receive_(receive), pin_(pin) {}
  void set(bool level) override { (chip_.*receive_)(pin_, level); }

 private:
  Chip& chip_;
  Receive receive_;
  u8 pin_;
};

}  // namespace penumbra::devices
