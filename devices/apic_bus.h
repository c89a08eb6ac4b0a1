// The interrupt messages between IO APICs, MSI and local APICs, and who receives them.
//
// Physical, logical flat and logical cluster destinations (SDM 3A 11.6.2), fixed, lowest priority,
// SMI, NMI, INIT, start-up and ExtINT messages. Lowest priority goes to the accepting local APIC
// with the lowest processor priority, the first attached among equals. Destinations are 8 bits.
#pragma once

#include <vector>

#include "common/types.h"

namespace penumbra::devices {

class IoApic;
class LocalApic;

enum class DeliveryMode : u8 { Fixed, LowestPriority, Smi, Reserved, Nmi, Init, Startup, ExtInt };
enum class DestinationMode : u8 { Physical, Logical };
enum class TriggerMode : u8 { Edge, Level };

struct InterruptMessage {
  u8 vector = 0;
  DeliveryMode delivery = DeliveryMode::Fixed;
  DestinationMode destination_mode = DestinationMode::Physical;
  u8 destination = 0;
  TriggerMode trigger = TriggerMode::Edge;
  bool assert = true;  ///< false: INIT level de-assert

  /// Address and data of a message signalled interrupt (SDM 3A 11.11).
  static InterruptMessage from_msi(u64 address, u32 data);
};

class ApicBus {
 public:
  void attach(LocalApic& apic) { local_.push_back(&apic); }
  void attach(IoApic& apic) { io_.push_back(&apic); }

  /// Sends to whom the destination names; false if nobody accepted.
  bool deliver(const InterruptMessage& message);
  /// Sends to all local APICs, or to all but `excluded` (shorthands of the ICR).
  void deliver_to_all(const InterruptMessage& message, const LocalApic* excluded);
  void broadcast_eoi(u8 vector);

 private:
  bool deliver_lowest(const InterruptMessage& message);

  std::vector<LocalApic*> local_;
  std::vector<IoApic*> io_;
};

}  // namespace penumbra::devices
