// Interrupt wiring of the board: each ISA request reaches the 8259A pair and the IO APIC.
//
// ISA requests are shared by wired-OR (COM1 and COM3 share IRQ 4): a request is high while any of
// its drivers is. IRQ 0 arrives at pin 2 of the IO APIC (the MADT's override), the others at the
// pin of their number.
#pragma once

#include <array>
#include <deque>

#include "devices/interfaces.h"

namespace penumbra::machine {

/// A line that drives several others.
class FanOut final : public devices::IrqLine {
 public:
  void connect(devices::IrqLine& line) { to_.push_back(&line); }
  void set(bool level) override {
    for (devices::IrqLine* line : to_) line->set(level);
  }

 private:
  std::vector<devices::IrqLine*> to_;
};

/// A line that is high while any of its drivers is. Levels are the drivers' state: a driver sets
/// its level again after it was restored.
class WiredOr {
 public:
  explicit WiredOr(devices::IrqLine& to) : to_(to) {}
  WiredOr(const WiredOr&) = delete;
  /// A new driver's end of the wire; lives as long as this.
  devices::IrqLine& driver() { return drivers_.emplace_back(*this); }

 private:
  class Driver final : public devices::IrqLine {
   public:
    explicit Driver(WiredOr& wire) : wire_(wire) {}
    void set(bool level) override {
      if (level == level_) return;
      level_ = level;
      wire_.driver_changed(level);
    }

   private:
    WiredOr& wire_;
    bool level_ = false;
  };

  void driver_changed(bool level) {
    high_ += level ? 1 : -1;
    if (high_ == (level ? 1 : 0)) to_.set(level);
  }

  devices::IrqLine& to_;
  std::deque<Driver> drivers_;
  int high_ = 0;
};

class IsaLines {
 public:
  static constexpr u8 kCount = 16;

  /// Connects request `irq` to an input of an interrupt controller.
  void connect(u8 irq, devices::IrqLine& input) { fans_[irq].connect(input); }
  /// A device's end of request `irq`.
  devices::IrqLine& driver(u8 irq) { return wires_[irq].driver(); }

 private:
  template <size_t... I>
  static std::array<WiredOr, kCount> make(std::array<FanOut, kCount>& fans,
                                          std::index_sequence<I...>) {
    return {WiredOr(fans[I])...};
  }

  std::array<FanOut, kCount> fans_;
  std::array<WiredOr, kCount> wires_ = make(fans_, std::make_index_sequence<kCount>());
};

}  // namespace penumbra::machine
