#include "devices/i8259.h"

namespace penumbra::devices {

namespace {

constexpr u8 kIcw1Icw4 = 0x01, kIcw1Single = 0x02, kIcw1Start = 0x10;
constexpr u8 kIcw4Mode8086 = 0x01, kIcw4AutoEoi = 0x02, kIcw4FullyNested = 0x10;
constexpr u8 kSpuriousLine = 7;
// Which inputs can be level-triggered: not 0, 1, 2, 8 and 13 (82371SB, 2.5.3).
constexpr u8 kElcrWritable[] = {0xf8, 0xde};

}  // namespace

I8259Pair::I8259Pair(IrqLine& intr)
    : intr_(intr),
      master_ports_(*this, &I8259Pair::read_master, &I8259Pair::write_master),
      slave_ports_(*this, &I8259Pair::read_slave, &I8259Pair::write_slave),
      elcr_ports_(*this, &I8259Pair::read_elcr, &I8259Pair::write_elcr) {
  for (u8 irq = 0; irq < 16; ++irq)
    inputs_[irq] = std::make_unique<InputPin<I8259Pair>>(*this, &I8259Pair::set_input, irq);
}

void I8259Pair::reset() {
  for (Chip& chip : state_.chips) {
    u8 lines = chip.lines;
    chip = Chip{};
    chip.lines = lines;
  }
  update();
}

void I8259Pair::set_input(u8 irq, bool level) {
  if (irq == kCascade) return;
  set_line(state_.chips[irq / 8], irq % 8, level);
  update();
}

void I8259Pair::set_line(Chip& chip, u8 line, bool level) {
  u8 mask = static_cast<u8>(1u << line);
  bool was = chip.lines & mask;
  chip.lines = level ? chip.lines | mask : chip.lines & ~mask;
  if (chip.elcr & mask) {
    chip.irr = level ? chip.irr | mask : chip.irr & ~mask;
  } else if (level && !was) {
    chip.irr |= mask;
  } else if (!level) {
    // The request must stay high until the first INTA; else the vector is IRQ 7's.
    chip.irr &= ~mask;
  }
}

/// The input that INT of this chip stands for; kNone if INT is low.
u8 I8259Pair::requested(u8 index) const {
  const Chip& chip = state_.chips[index];
  u8 waiting = chip.irr & ~chip.imr;
  // Special mask mode: what is in service holds back only itself.
  if (chip.special_mask) waiting &= ~chip.isr;
  for (u8 step = 1; step <= 8 && waiting; ++step) {
    u8 line = (chip.lowest + step) & 7;
    u8 mask = static_cast<u8>(1u << line);
    bool in_service = chip.isr & mask;
    // Special fully nested mode: the slave in service may interrupt again.
    bool nested = index == kMaster && line == kCascade && (chip.icw4 & kIcw4FullyNested);
    if ((waiting & mask) && (!in_service || nested)) return line;
    if (in_service && !chip.special_mask) return kNone;
  }
  return kNone;
}

void I8259Pair::update() {
  Chip& master = state_.chips[kMaster];
  u8 cascade = 1u << kCascade;
  bool slave_int = requested(kSlave) != kNone;
  master.irr = slave_int ? master.irr | cascade : master.irr & ~cascade;
  state_.intr = requested(kMaster) != kNone;
  intr_.set(state_.intr);
}

/// First INTA: the request moves into service. Returns the vector.
u8 I8259Pair::acknowledge_chip(Chip& chip, u8 line) {
  if (line == kNone) return chip.vector_base | kSpuriousLine;
  u8 mask = static_cast<u8>(1u << line);
  if (!(chip.elcr & mask)) chip.irr &= ~mask;
  if (!(chip.icw4 & kIcw4AutoEoi)) {
    chip.isr |= mask;
  } else if (chip.rotate_on_auto_eoi) {
    chip.lowest = line;
  }
  return chip.vector_base | line;
}

u8 I8259Pair::acknowledge() {
  u8 line = requested(kMaster);
  u8 vector = acknowledge_chip(state_.chips[kMaster], line);
  if (line == kCascade) vector = acknowledge_chip(state_.chips[kSlave], requested(kSlave));
  update();
  return vector;
}

/// A read after OCW3.P acts as INTA (8259A, "Poll Command").
u8 I8259Pair::poll_chip(u8 index) {
  state_.chips[index].poll = false;
  u8 line = requested(index);
  if (line == kNone) return kSpuriousLine;
  acknowledge_chip(state_.chips[index], line);
  update();
  return 0x80 | line;
}

void I8259Pair::write_command(u8 index, u8 value) {
  Chip& chip = state_.chips[index];
  if (value & kIcw1Start) {
    write_icw1(chip, value);
  } else if (value & 0x08) {
    write_ocw3(chip, value);
  } else {
    write_ocw2(chip, value);
  }
  update();
}

void I8259Pair::write_icw1(Chip& chip, u8 value) {
  if (!(value & kIcw1Icw4)) log_once_("8259A: no ICW4, so MCS-80/85 mode; taken as 8086 mode");
  chip.icw1 = value;
  chip.icw4 = 0;
  chip.imr = chip.isr = 0;
  chip.irr = chip.lines & chip.elcr;  // edge sense is reset: a new edge is needed
  chip.lowest = 7;
  chip.read_isr = chip.poll = chip.special_mask = chip.rotate_on_auto_eoi = false;
  chip.expecting = Expecting::Icw2;
}

void I8259Pair::end_of_interrupt(Chip& chip, u8 line, bool rotate) {
  if (line == kNone) return;
  chip.isr &= ~(1u << line);
  if (rotate) chip.lowest = line;
}

void I8259Pair::write_ocw2(Chip& chip, u8 value) {
  bool rotate = value & 0x80, specific = value & 0x40, eoi = value & 0x20;
  u8 line = value & 7;
  if (!eoi) {
    if (specific && rotate) chip.lowest = line;
    if (!specific) chip.rotate_on_auto_eoi = rotate;
    return;
  }
  if (!specific) {
    line = kNone;
    for (u8 step = 1; step <= 8 && line == kNone; ++step) {
      u8 candidate = (chip.lowest + step) & 7;
      // In special mask mode a masked bit is not cleared by a non-specific EOI.
      u8 eligible = chip.special_mask ? chip.isr & ~chip.imr : chip.isr;
      if (eligible & (1u << candidate)) line = candidate;
    }
  }
  end_of_interrupt(chip, line, rotate);
}

void I8259Pair::write_ocw3(Chip& chip, u8 value) {
  if (value & 0x40) chip.special_mask = value & 0x20;
  if (value & 0x02) chip.read_isr = value & 0x01;
  chip.poll = value & 0x04;
}

void I8259Pair::write_data(u8 index, u8 value) {
  Chip& chip = state_.chips[index];
  switch (chip.expecting) {
    case Expecting::Nothing:
      chip.imr = value;
      break;
    case Expecting::Icw2:
      chip.vector_base = value & 0xf8;
      chip.expecting = !(chip.icw1 & kIcw1Single) ? Expecting::Icw3
                       : chip.icw1 & kIcw1Icw4    ? Expecting::Icw4
                                                  : Expecting::Nothing;
      break;
    case Expecting::Icw3:  // the board fixes the cascade: input 2
      chip.expecting = chip.icw1 & kIcw1Icw4 ? Expecting::Icw4 : Expecting::Nothing;
      break;
    case Expecting::Icw4:
      if (!(value & kIcw4Mode8086)) log_once_("8259A: MCS-80/85 mode is taken as 8086 mode");
      chip.icw4 = value & 0x1f;
      chip.expecting = Expecting::Nothing;
      break;
  }
  update();
}

u64 I8259Pair::read_chip(u8 index, u64 offset) {
  Chip& chip = state_.chips[index];
  if (chip.poll) return poll_chip(index);
  if (offset & 1) return chip.imr;
  return chip.read_isr ? chip.isr : chip.irr;
}

void I8259Pair::write_chip(u8 index, u64 offset, u8 value) {
  if (offset & 1) {
    write_data(index, value);
  } else {
    write_command(index, value);
  }
}

u64 I8259Pair::read_master(u64 offset, u32) { return read_chip(kMaster, offset); }
u64 I8259Pair::read_slave(u64 offset, u32) { return read_chip(kSlave, offset); }
u64 I8259Pair::read_elcr(u64 offset, u32) { return state_.chips[offset & 1].elcr; }

void I8259Pair::write_master(u64 offset, u32, u64 value) {
  write_chip(kMaster, offset, static_cast<u8>(value));
}

void I8259Pair::write_slave(u64 offset, u32, u64 value) {
  write_chip(kSlave, offset, static_cast<u8>(value));
}

void I8259Pair::write_elcr(u64 offset, u32, u64 value) {
  Chip& chip = state_.chips[offset & 1];
  chip.elcr = static_cast<u8>(value) & kElcrWritable[offset & 1];
  chip.irr = (chip.irr & ~chip.elcr) | (chip.lines & chip.elcr);
  update();
}

void I8259Pair::restored() {
  for (u8 index : {kMaster, kSlave}) {
    Chip& chip = state_.chips[index];
    chip.lowest &= 7;
    chip.vector_base &= 0xf8;
    chip.elcr &= kElcrWritable[index];
    if (chip.expecting > Expecting::Icw4) chip.expecting = Expecting::Nothing;
  }
  update();
}

}  // namespace penumbra::devices
