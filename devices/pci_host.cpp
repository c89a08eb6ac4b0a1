#include "devices/pci_host.h"

namespace penumbra::devices {

namespace {

constexpr u8 kResetCpu = 1 << 2, kResetControlBits = 0x0e;
constexpr u64 kResetControlOffset = 1;  // CF9h

}  // namespace

// 440FX (290549), section 3.2; PAM and SMRAM at their addresses, the DRAM registers as storage.
I440fx::I440fx() : PciDevice(0x8086, 0x1237, 0x060000, 0x02) {
  set_config(kCommand, 2, 0x0006, 0x0100);
  set_config(kStatus, 2, 0x0280);
  for (u16 at = 0x50; at < 0x58; ++at) set_config(at, 1, 0, 0xff);
  for (u16 at = kPam0; at < kPam0 + 7; ++at) set_config(at, 1, 0, at == kPam0 ? 0xf0 : 0xff);
  for (u16 at = 0x60; at < 0x68; ++at) set_config(at, 1, 1, 0xff);
  set_config(kSmram, 1, 0x02, 0x7f);
}

void I440fx::config_written(u8 offset, u32 size) {
  auto touches = [&](u8 first, u8 count) {
    return offset < first + count && offset + size > first;
  };
  bool attributes = touches(kPam0, 7) || touches(kSmram, 1);
  if (attributes && on_memory_attributes) on_memory_attributes();
}

PciHost::PciHost(std::function<void()> on_reset)
    : on_reset_(std::move(on_reset)),
      address_port_(*this, &PciHost::read_address, &PciHost::write_address),
      data_port_(*this, &PciHost::read_data, &PciHost::write_data) {
  functions_[0] = &bridge_;
}

bool PciHost::attach(u8 device, u8 function, PciDevice& function_device) {
  if (device >= 32 || function >= 8) return false;
  PciDevice*& place = functions_[device * 8u + function];
  if (place) return false;
  place = &function_device;
  return true;
}

void PciHost::reset() {
  address_ = 0;
  reset_control_ = 0;
  for (PciDevice* device : functions_)
    if (device) device->reset();
}

/// The function that CONFADD names; nullptr if there is none.
PciDevice* PciHost::selected() const {
  bool bus0 = Bits<23, 16>::get(address_) == 0;
  if (!(address_ & kConfigEnable) || !bus0) return nullptr;
  return functions_[Bits<15, 8>::get(address_)];
}

u64 PciHost::read_address(u64 offset, u32 size) {
  if (size == 4) return address_;
  return offset == kResetControlOffset && size == 1 ? reset_control_ : ~0ull;
}

void PciHost::write_address(u64 offset, u32 size, u64 value) {
  if (size == 4) address_ = static_cast<u32>(value) & kAddressBits;
  if (offset == kResetControlOffset && size == 1) write_reset_control(static_cast<u8>(value));
}

void PciHost::write_reset_control(u8 value) {
  bool rises = (value & kResetCpu) && !(reset_control_ & kResetCpu);
  reset_control_ = value & kResetControlBits;
  if (rises && on_reset_) on_reset_();
}

u64 PciHost::read_data(u64 offset, u32 size) {
  PciDevice* device = selected();
  if (!device) return ~0ull;
  return device->config_read(static_cast<u8>((address_ & 0xfc) + offset), size);
}

void PciHost::write_data(u64 offset, u32 size, u64 value) {
  PciDevice* device = selected();
  if (!device) return;
  device->config_write(static_cast<u8>((address_ & 0xfc) + offset), size, static_cast<u32>(value));
}

}  // namespace penumbra::devices
