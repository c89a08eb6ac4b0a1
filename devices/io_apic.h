// IO APIC with 24 pins (Intel 82093AA datasheet), version 20h (EOI register).
//
// Edge and level pins, remote IRR, polarity, masks, delivery through the APIC bus, EOI by broadcast
// and by register. Polarity is taken into account as the board wires it: lines are "asserted" or
// not, so the bit is kept and ignored. Arbitration is not modelled; its id register mirrors the id.
// IOREGSEL and IOWIN take bytes, words and dwords.
#pragma once

#include <array>

#include "devices/apic_bus.h"
#include "devices/register_block.h"

namespace penumbra::devices {

class IoApic final : public BusDevice {
 public:
  static constexpr u8 kPins = 24;
  static constexpr u64 kDefaultBase = 0xfec00000;
  static constexpr u64 kPageBytes = 4096;

  /// Attaches itself to `bus`.
  IoApic(u8 id, ApicBus& bus);

  u64 read(u64 offset, u32 size) override;
  void write(u64 offset, u32 size, u64 value) override;

  IrqLine& input(u8 pin) { return *inputs_[pin % kPins]; }
  /// EOI message of a local APIC.
  void end_of_interrupt(u8 vector);
  void reset();

  template <class A>
  void serialize(A& archive) {
    archive(state_);
    if (archive.loading()) restored();
  }

 private:
  struct State {
    u8 id = 0;
    u8 select = 0;
    u32 lines = 0;  ///< levels of the pins
    std::array<u64, kPins> redirection{};

    template <class A>
    void serialize(A& archive) {
      archive(id, select, lines, redirection);
    }
  };

  void set_input(u8 pin, bool level);
  void service(u8 pin);
  u32 read_register(u8 index) const;
  void write_register(u8 index, u32 value);
  void write_redirection(u8 pin, u64 value);
  void restored();

  ApicBus& bus_;
  u8 reset_id_;
  State state_;
  std::array<std::unique_ptr<InputPin<IoApic>>, kPins> inputs_;
};

}  // namespace penumbra::devices
