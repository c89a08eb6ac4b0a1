// One function on the PCI bus: 256 bytes of configuration space with write masks, and base address
// registers that place register blocks on the buses (PCI Local Bus Specification 3.0, section 6).
//
// Derived devices fill the header with set_config() and add_bar(), and may observe writes. A range
// is mapped while its COMMAND enable bit is set and its place is free; sizing (writing all ones)
// works because the low bits of a BAR are not writable. 64-bit BARs are not offered.
#pragma once

#include <array>

#include "common/log.h"
#include "devices/bus.h"

namespace penumbra::devices {

class PciDevice {
 public:
  static constexpr u16 kVendorId = 0x00, kDeviceId = 0x02, kCommand = 0x04, kStatus = 0x06,
                       kRevisionId = 0x08, kClassCode = 0x09, kHeaderType = 0x0e, kBar0 = 0x10,
                       kSubsystemVendorId = 0x2c, kSubsystemId = 0x2e, kInterruptLine = 0x3c,
                       kInterruptPin = 0x3d;
  static constexpr u16 kCommandIo = 1, kCommandMemory = 2, kCommandMaster = 4,
                       kCommandInterruptDisable = 1 << 10;

  PciDevice(u16 vendor, u16 device, u32 class_code, u8 revision);
  virtual ~PciDevice() = default;

  /// `offset` is within the function and the access does not cross a dword.
  u32 config_read(u8 offset, u32 size);
  void config_write(u8 offset, u32 size, u32 value);
  /// Power-on contents; ranges leave their buses.
  virtual void reset();

  template <class A>
  void serialize(A& archive) {
    archive(config_);
    if (archive.loading()) restored();
  }

 protected:
  /// Sets power-on contents and which bits the guest may change.
  void set_config(u16 offset, u32 size, u32 value, u32 writable = 0);
  u32 config(u16 offset, u32 size) const;
  /// BAR `index` decodes `size` bytes (a power of two, at least 16 for memory, 4 for ports).
  void add_bar(u8 index, u32 size, Bus& bus, Bus::Space space, BusDevice& registers,
               AccessSizes sizes);
  /// After a write that touched [offset, offset + size).
  virtual void config_written(u8 offset, u32 size);

 private:
  struct Bar {
    u32 size = 0;
    Bus* bus = nullptr;
    Bus::Space space = Bus::Space::Mmio;
    BusDevice* registers = nullptr;
    AccessSizes sizes = AccessSizes::Any;
    u64 mapped_at = 0;
    bool mapped = false;
  };

  void place_bars();
  void place(u8 index, Bar& bar);
  void restored();

  std::array<u8, 256> config_{}, initial_{}, writable_{};
  std::array<Bar, 6> bars_;
};

}  // namespace penumbra::devices
