// The PCI host bridge: configuration mechanism 1 (ports CF8h and CFCh; PCI Local Bus Specification
// 3.0, 3.2.2.3.2) and the 82441FX function 00:00.0 (Intel 440FX datasheet, 290549).
//
// Bus 0 only, 32 devices with 8 functions; absent functions read as all ones. Memory attribute
// (PAM), SMRAM and DRAM registers of the bridge are kept as the guest writes them and told to a
// hook, because shadowing belongs to the machine. The reset control register CF9h is here too.
#pragma once

#include "devices/pci_device.h"
#include "devices/register_block.h"

namespace penumbra::devices {

/// 8086:1237 at 00:00.0.
class I440fx final : public PciDevice {
 public:
  static constexpr u8 kPam0 = 0x59, kSmram = 0x72;

  I440fx();
  /// PAM0..PAM6 or SMRAM was written.
  std::function<void()> on_memory_attributes;
  /// Register PAM0 + index.
  u8 pam(u8 index) const { return static_cast<u8>(config(kPam0 + index, 1)); }
  u8 smram() const { return static_cast<u8>(config(kSmram, 1)); }

 protected:
  void config_written(u8 offset, u32 size) override;
};

class PciHost {
 public:
  explicit PciHost(std::function<void()> on_reset = {});

  /// Plugs a function in; false if the place is taken or does not exist. The bridge is at 0, 0.
  [[nodiscard]] bool attach(u8 device, u8 function, PciDevice& function_device);
  I440fx& bridge() { return bridge_; }

  /// CF8h..CFBh with CF9h inside, and CFCh..CFFh: bytes, words and dwords.
  BusDevice& address_port() { return address_port_; }
  BusDevice& data_port() { return data_port_; }
  void reset();

  template <class A>
  void serialize(A& archive) {
    archive(address_, reset_control_, bridge_);
    if (archive.loading()) address_ &= kAddressBits;
  }

 private:
  static constexpr u32 kConfigEnable = 1u << 31;
  static constexpr u32 kAddressBits = kConfigEnable | 0x00fffffc;

  PciDevice* selected() const;
  u64 read_address(u64 offset, u32 size);
  void write_address(u64 offset, u32 size, u64 value);
  u64 read_data(u64 offset, u32 size);
  void write_data(u64 offset, u32 size, u64 value);
  void write_reset_control(u8 value);

  std::function<void()> on_reset_;
  u32 address_ = 0;  ///< CONFADD
  u8 reset_control_ = 0;
  I440fx bridge_;
  std::array<PciDevice*, 256> functions_{};  ///< device * 8 + function
  RegisterBlock<PciHost> address_port_, data_port_;
};

}  // namespace penumbra::devices
