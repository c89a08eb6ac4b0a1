#include "devices/apic_bus.h"

#include "devices/io_apic.h"
#include "devices/local_apic.h"

namespace penumbra::devices {

InterruptMessage InterruptMessage::from_msi(u64 address, u32 data) {
  InterruptMessage message;
  message.vector = static_cast<u8>(data);
  message.delivery = static_cast<DeliveryMode>(Bits<10, 8>::get(data));
  message.destination = static_cast<u8>(Bits<19, 12>::get(address));
  // Kernels set the destination mode without the redirection hint, and processors heed it.
  message.destination_mode = static_cast<DestinationMode>(Bits<2>::get(address));
  message.trigger = data & bit(15) ? TriggerMode::Level : TriggerMode::Edge;
  return message;
}

bool ApicBus::deliver(const InterruptMessage& message) {
  if (message.delivery == DeliveryMode::LowestPriority) return deliver_lowest(message);
  bool accepted = false;
  for (LocalApic* apic : local_) {
    if (!apic->matches(message.destination_mode, message.destination)) continue;
    accepted |= apic->accept(message);
  }
  return accepted;
}

bool ApicBus::deliver_lowest(const InterruptMessage& message) {
  LocalApic* lowest = nullptr;
  for (LocalApic* apic : local_) {
    if (!apic->matches(message.destination_mode, message.destination)) continue;
    if (!apic->software_enabled()) continue;
    if (!lowest || apic->processor_priority() < lowest->processor_priority()) lowest = apic;
  }
  return lowest && lowest->accept(message);
}

void ApicBus::deliver_to_all(const InterruptMessage& message, const LocalApic* excluded) {
  for (LocalApic* apic : local_)
    if (apic != excluded) apic->accept(message);
}

void ApicBus::broadcast_eoi(u8 vector) {
  for (IoApic* apic : io_) apic->end_of_interrupt(vector);
}

}  // namespace penumbra::devices
