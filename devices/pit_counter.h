// One counter of the 8254 (Intel 8254 datasheet), as a function of time.
//
// Time is in ticks of CLK since power-on. advance(tick) brings the state to a tick in constant
// time, whatever the distance; everything else is called with the state advanced. next_edge() tells
// when OUT changes next. A count that is written is loaded by the following CLK pulse (or by the
// trigger, or at the end of the half cycle, as the mode says).
#pragma once

#include "common/types.h"

namespace penumbra::devices {

class PitCounter {
 public:
  static constexpr u64 kNever = ~0ull;

  /// Control word: bits 5..4 access (not 0), 3..1 mode, 0 BCD.
  void program(u8 control, u64 tick);
  void write(u8 value, u64 tick);
  u8 read();
  void latch_count();
  void latch_status();
  void set_gate(bool level, u64 tick);

  void advance(u64 tick);
  bool out() const { return out_; }
  bool gate() const { return gate_; }
  /// The tick of the next change of OUT after the advanced one; kNever if none comes by itself.
  u64 next_edge() const;
  /// Whether OUT rose since the last call.
  bool take_rising_edge();

  /// After loading: refuses values that no counter can have.
  bool valid() const;

  template <class A>
  void serialize(A& archive) {
    archive(control_, gate_, out_, rose_, null_count_, loaded_, waiting_, write_high_, read_high_,
            status_latched_, count_latched_, status_, latched_, low_, written_, period_, start_,
            load_at_, tick_, frozen_);
  }

 private:
  u8 mode() const;
  u8 access() const;
  bool bcd() const { return control_ & 1; }
  u32 modulus() const { return bcd() ? 10000 : 65536; }
  u32 binary(u16 raw) const;
  u16 raw(u32 count) const;
  bool periodic() const { return mode() == 2 || mode() == 3; }
  bool runs_by_gate() const { return mode() == 0 || mode() == 4; }
  u64 elapsed() const;

  void set_out(bool level);
  void count_written(u16 raw, u64 tick);
  void load(u64 tick);
  void advance_one_shot(u64 tick);
  void advance_rate(u64 tick);
  void advance_square(u64 tick);
  /// The half cycle of mode 3 that is running: its length in ticks.
  u64 half_length() const;
  u32 count() const;

  u8 control_ = 0x30;  ///< access, mode, BCD as programmed
  bool gate_ = true, out_ = false, rose_ = false;
  bool null_count_ = true;
  bool loaded_ = false;   ///< the counting element holds a count
  bool waiting_ = false;  ///< a count was written and is not loaded yet
  bool write_high_ = false, read_high_ = false;
  bool status_latched_ = false, count_latched_ = false;
  u8 status_ = 0;
  u16 latched_ = 0;
  u8 low_ = 0;            ///< first byte of a two-byte count
  u32 written_ = 0;       ///< the count register, 1..modulus
  u32 period_ = 0;        ///< the count that is running, 1..modulus
  u64 start_ = 0;         ///< tick at which the counting element was (re)loaded
  u64 load_at_ = kNever;  ///< tick at which a waiting count is loaded
  u64 tick_ = 0;          ///< the state is that of this tick
  u64 frozen_ = 0;        ///< ticks counted when the gate stopped the counter
};

}  // namespace penumbra::devices
