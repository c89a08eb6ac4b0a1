// The PC's 8254 interval timer (Intel 8254 datasheet) and system control port B (61h).
//
// Three counters, all six modes, binary and BCD, latch and read-back commands; counting is computed
// from the clock at exactly 1,193,182 Hz, never ticked. Counter 0 drives IRQ 0, counter 1 the
// refresh toggle (61h bit 4), counter 2 the speaker, gated by 61h bit 0. 61h bits 2 and 3 (parity
// and channel check enable) are kept; their status bits 7 and 6 read as 0. Sound is not produced;
// speaker() tells the level.
#pragma once

#include <array>

#include "devices/pit_counter.h"
#include "devices/register_block.h"

namespace penumbra::devices {

class I8254 {
 public:
  I8254(IrqLine& irq0, Clock& clock);

  BusDevice& ports() { return ports_; }    ///< 40h..43h
  BusDevice& port61() { return port61_; }  ///< 61h
  /// The level at the speaker: counter 2's OUT and 61h bit 1.
  bool speaker();
  void reset();

  template <class A>
  void serialize(A& archive) {
    archive(state_);
    if (archive.loading() && !restored()) archive.fail();
  }

 private:
  struct State {
    std::array<PitCounter, 3> counters;
    u8 control_b = 0;  ///< 61h bits 0..3

    template <class A>
    void serialize(A& archive) {
      archive(counters, control_b);
    }
  };

  u64 now_tick() const;
  void write_control(u8 value);
  void read_back(u8 value);
  void update_irq0();
  void drive_irq0();
  bool restored();
  u64 read(u64 offset, u32 size);
  void write(u64 offset, u32 size, u64 value);
  u64 read_port61(u64 offset, u32 size);
  void write_port61(u64 offset, u32 size, u64 value);

  IrqLine& irq0_;
  Clock& clock_;
  std::unique_ptr<Timer> timer_;
  State state_;
  RegisterBlock<I8254> ports_, port61_;
};

}  // namespace penumbra::devices
