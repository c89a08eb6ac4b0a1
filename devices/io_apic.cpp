#include "devices/io_apic.h"

namespace penumbra::devices {

namespace {

constexpr u64 kSelect = 0x00, kWindow = 0x10, kEoi = 0x40;
constexpr u8 kIdRegister = 0, kVersionRegister = 1, kArbitrationRegister = 2, kTable = 0x10;
constexpr u32 kVersion = 0x20 | (IoApic::kPins - 1) << 16;

// Redirection table entry (82093AA, 3.2.4).
constexpr u64 kDeliveryStatus = bit(12), kRemoteIrr = bit(14), kLevel = bit(15), kMask = bit(16);
constexpr u64 kWritable =
    (Bits<16, 0>::kMask | Bits<63, 56>::kMask) & ~kDeliveryStatus & ~kRemoteIrr;

}  // namespace

IoApic::IoApic(u8 id, ApicBus& bus) : bus_(bus), reset_id_(id & 15) {
  for (u8 pin = 0; pin < kPins; ++pin)
    inputs_[pin] = std::make_unique<InputPin<IoApic>>(*this, &IoApic::set_input, pin);
  bus.attach(*this);
  reset();
}

void IoApic::reset() {
  state_.id = reset_id_;
  state_.select = 0;
  state_.redirection.fill(kMask);
}

u64 IoApic::read(u64 offset, u32) {
  if (offset == kSelect) return state_.select;
  if ((offset & ~3ull) == kWindow) return u64{read_register(state_.select)} >> (8 * (offset & 3));
  return 0;
}

void IoApic::write(u64 offset, u32, u64 value) {
  if (offset == kSelect) state_.select = static_cast<u8>(value);
  if (offset == kWindow) write_register(state_.select, static_cast<u32>(value));
  if (offset == kEoi) end_of_interrupt(static_cast<u8>(value));
}

u32 IoApic::read_register(u8 index) const {
  if (index == kIdRegister || index == kArbitrationRegister) return u32{state_.id} << 24;
  if (index == kVersionRegister) return kVersion;
  if (index < kTable || index >= kTable + 2 * kPins) return 0;
  u64 entry = state_.redirection[(index - kTable) / 2];
  return static_cast<u32>(index & 1 ? entry >> 32 : entry);
}

void IoApic::write_register(u8 index, u32 value) {
  if (index == kIdRegister) state_.id = value >> 24 & 15;
  if (index < kTable || index >= kTable + 2 * kPins) return;
  u8 pin = (index - kTable) / 2;
  u64 entry = state_.redirection[pin];
  if (index & 1) {
    write_redirection(pin, (entry & 0xffffffff) | u64{value} << 32);
  } else {
    write_redirection(pin, (entry & ~0xffffffffull) | value);
  }
}

void IoApic::write_redirection(u8 pin, u64 value) {
  u64& entry = state_.redirection[pin];
  // Remote IRR means nothing for an edge: making the pin one clears it.
  u64 remote_irr = value & kLevel ? entry & kRemoteIrr : 0;
  entry = (value & kWritable) | remote_irr;
  if (entry & kLevel) service(pin);
}

void IoApic::set_input(u8 pin, bool level) {
  u32 mask = 1u << pin;
  bool rises = level && !(state_.lines & mask);
  state_.lines = level ? state_.lines | mask : state_.lines & ~mask;
  bool is_level = state_.redirection[pin] & kLevel;
  if (is_level || rises) service(pin);
}

/// Sends the pin's message if it may: an edge on a masked pin is lost (82093AA, 3.2.4, bit 16).
void IoApic::service(u8 pin) {
  u64& entry = state_.redirection[pin];
  if ((entry & (kMask | kRemoteIrr)) || !(state_.lines >> pin & 1)) return;
  InterruptMessage message;
  message.vector = static_cast<u8>(entry);
  message.delivery = static_cast<DeliveryMode>(Bits<10, 8>::get(entry));
  message.destination_mode = static_cast<DestinationMode>(Bits<11>::get(entry));
  message.destination = static_cast<u8>(entry >> 56);
  bool vectored =
      message.delivery == DeliveryMode::Fixed || message.delivery == DeliveryMode::LowestPriority;
  bool level = (entry & kLevel) && vectored;
  message.trigger = level ? TriggerMode::Level : TriggerMode::Edge;
  if (level) entry |= kRemoteIrr;
  if (!bus_.deliver(message)) entry &= ~kRemoteIrr;
}

void IoApic::end_of_interrupt(u8 vector) {
  for (u8 pin = 0; pin < kPins; ++pin) {
    u64& entry = state_.redirection[pin];
    if (!(entry & kRemoteIrr) || static_cast<u8>(entry) != vector) continue;
    entry &= ~kRemoteIrr;
    service(pin);
  }
}

void IoApic::restored() {
  state_.id &= 15;
  state_.lines &= (1u << kPins) - 1;
  for (u64& entry : state_.redirection) entry &= kWritable | kRemoteIrr;
}

}  // namespace penumbra::devices
