// The PC's pair of 8259A interrupt controllers (Intel 8259A datasheet) with the ELCR registers of
// the ISA bridge (Intel 82371SB datasheet, 2.5.3: 4D0h, 4D1h).
//
// Complete in 8086 mode: ICW1-4, OCW1-3, edge and level inputs, fixed, rotating and specific
// priority, special mask mode, special fully nested mode, automatic EOI, polling, spurious IRQ 7
// and 15. MCS-80/85 mode (ICW4 bit 0 clear) is logged once and treated as 8086 mode; ICW1.LTIM is
// kept, but level triggering follows the ELCR alone, as in the ISA bridge.
#pragma once

#include <array>

#include "common/log.h"
#include "devices/register_block.h"

namespace penumbra::devices {

class I8259Pair {
 public:
  /// `intr`: the master's INT output.
  explicit I8259Pair(IrqLine& intr);

  /// ISA interrupts 0..15; 2 is the cascade and does nothing.
  IrqLine& input(u8 irq) { return *inputs_[irq & 15]; }

  bool intr() const { return state_.intr; }
  /// The INTA cycles of the CPU: the vector.
  u8 acknowledge();
  void reset();

  BusDevice& master_ports() { return master_ports_; }  ///< 20h, 21h
  BusDevice& slave_ports() { return slave_ports_; }    ///< A0h, A1h
  BusDevice& elcr_ports() { return elcr_ports_; }      ///< 4D0h, 4D1h

  template <class A>
  void serialize(A& archive) {
    archive(state_);
    if (archive.loading()) restored();
  }

 private:
  enum class Expecting : u8 { Nothing, Icw2, Icw3, Icw4 };

  struct Chip {
    u8 lines = 0;  ///< input levels
    u8 irr = 0, isr = 0, imr = 0;
    u8 elcr = 0;
    u8 vector_base = 0;
    u8 lowest = 7;  ///< the input with the lowest priority
    u8 icw1 = 0, icw4 = 0;
    Expecting expecting = Expecting::Nothing;
    bool read_isr = false, poll = false, special_mask = false, rotate_on_auto_eoi = false;

    template <class A>
    void serialize(A& archive) {
      archive(lines, irr, isr, imr, elcr, vector_base, lowest, icw1, icw4, expecting, read_isr,
              poll, special_mask, rotate_on_auto_eoi);
    }
  };
  struct State {
    std::array<Chip, 2> chips;
    bool intr = false;
    template <class A>
    void serialize(A& archive) {
      archive(chips, intr);
    }
  };

  static constexpr u8 kMaster = 0, kSlave = 1, kCascade = 2, kNone = 8;

  void set_input(u8 irq, bool level);
  void set_line(Chip& chip, u8 line, bool level);
  u8 requested(u8 index) const;
  u8 acknowledge_chip(Chip& chip, u8 line);
  u8 poll_chip(u8 index);
  void write_command(u8 index, u8 value);
  void write_data(u8 index, u8 value);
  void write_icw1(Chip& chip, u8 value);
  void write_ocw2(Chip& chip, u8 value);
  void write_ocw3(Chip& chip, u8 value);
  void end_of_interrupt(Chip& chip, u8 line, bool rotate);
  u64 read_chip(u8 index, u64 offset);
  void write_chip(u8 index, u64 offset, u8 value);
  u64 read_master(u64 offset, u32 size);
  u64 read_slave(u64 offset, u32 size);
  u64 read_elcr(u64 offset, u32 size);
  void write_master(u64 offset, u32 size, u64 value);
  void write_slave(u64 offset, u32 size, u64 value);
  void write_elcr(u64 offset, u32 size, u64 value);
  void update();
  void restored();

  IrqLine& intr_;
  LogOnce log_once_;
  State state_;
  std::array<std::unique_ptr<InputPin<I8259Pair>>, 16> inputs_;
  RegisterBlock<I8259Pair> master_ports_, slave_ports_, elcr_ports_;
};

}  // namespace penumbra::devices
