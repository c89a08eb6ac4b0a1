#include "devices/pci_device.h"

#include <bit>

namespace penumbra::devices {

namespace {

constexpr u32 kBarIo = 1;
constexpr u8 kBars = 6;

}  // namespace

PciDevice::PciDevice(u16 vendor, u16 device, u32 class_code, u8 revision) {
  set_config(kVendorId, 2, vendor);
  set_config(kDeviceId, 2, device);
  set_config(kRevisionId, 1, revision);
  set_config(kClassCode, 3, class_code);
  set_config(kInterruptLine, 1, 0, 0xff);
}

void PciDevice::set_config(u16 offset, u32 size, u32 value, u32 writable) {
  for (u32 i = 0; i < size; ++i) {
    u8 at = static_cast<u8>(offset + i);
    config_[at] = initial_[at] = static_cast<u8>(value >> (8 * i));
    writable_[at] = static_cast<u8>(writable >> (8 * i));
  }
}

u32 PciDevice::config(u16 offset, u32 size) const {
  u32 value = 0;
  for (u32 i = 0; i < size; ++i) value |= u32{config_[static_cast<u8>(offset + i)]} << (8 * i);
  return value;
}

void PciDevice::add_bar(u8 index, u32 size, Bus& bus, Bus::Space space, BusDevice& registers,
                        AccessSizes sizes) {
  PENUMBRA_ASSERT(index < kBars && std::has_single_bit(size));
  bars_[index] = {size, &bus, space, &registers, sizes};
  u16 enable = space == Bus::Space::Port ? kCommandIo : kCommandMemory;
  u32 writable = writable_[kCommand] | writable_[kCommand + 1] << 8 | enable;
  set_config(kCommand, 2, config(kCommand, 2), writable);
  u32 kind = space == Bus::Space::Port ? kBarIo : 0;
  set_config(static_cast<u16>(kBar0 + 4 * index), 4, kind, ~(size - 1));
}

u32 PciDevice::config_read(u8 offset, u32 size) { return config(offset, size); }

void PciDevice::config_write(u8 offset, u32 size, u32 value) {
  for (u32 i = 0; i < size; ++i) {
    u8 at = static_cast<u8>(offset + i);
    u8 byte = static_cast<u8>(value >> (8 * i));
    config_[at] = static_cast<u8>((config_[at] & ~writable_[at]) | (byte & writable_[at]));
  }
  bool command = offset < kCommand + 2 && offset + size > kCommand;
  bool bars = offset < kBar0 + 4 * kBars && offset + size > kBar0;
  if (command || bars) place_bars();
  config_written(offset, size);
}

void PciDevice::config_written(u8, u32) {}

void PciDevice::reset() {
  config_ = initial_;
  place_bars();
}

void PciDevice::place_bars() {
  for (u8 index = 0; index < kBars; ++index)
    if (bars_[index].size != 0) place(index, bars_[index]);
}

void PciDevice::place(u8 index, Bar& bar) {
  bool ports = bar.space == Bus::Space::Port;
  bool enabled = config(kCommand, 2) & (ports ? kCommandIo : kCommandMemory);
  u64 base = config(static_cast<u16>(kBar0 + 4 * index), 4) & ~(bar.size - 1);
  if (bar.mapped && enabled && bar.mapped_at == base) return;
  if (bar.mapped) bar.bus->unmap(bar.mapped_at);
  // Address 0 and what overlaps another range (as during sizing) is not decoded.
  bar.mapped = enabled && base != 0 && bar.bus->map(base, bar.size, *bar.registers, bar.sizes);
  bar.mapped_at = base;
}

/// The read-only bits are ours, whatever was loaded.
void PciDevice::restored() {
  for (size_t at = 0; at < config_.size(); ++at)
    config_[at] = static_cast<u8>((initial_[at] & ~writable_[at]) | (config_[at] & writable_[at]));
  place_bars();
}

}  // namespace penumbra::devices
