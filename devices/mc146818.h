// MC146818A real-time clock and 128 bytes of CMOS RAM (Motorola MC146818A datasheet; ports 70h and
// 71h; the NMI mask is bit 7 of port 70h).
//
// The date starts at the given Unix time and runs on the virtual clock, read lazily; periodic,
// alarm and update-ended interrupts arrive at their exact times. BCD and binary, 12 and 24 hours,
// alarm wildcards, SET, UIP for the 244 microseconds before an update, divider reset (DV). The
// century is kept in byte 32h, in the format that register B selects. Not there: daylight saving
// (register B bit 0 is kept and ignored) and the square wave output.
#pragma once

#include <array>

#include "common/log.h"
#include "devices/interfaces.h"

namespace penumbra::devices {

class Mc146818 final : public BusDevice {
 public:
  Mc146818(IrqLine& irq8, Clock& clock, i64 unix_time);

  /// Offset 0: index and NMI mask; offset 1: data.
  u64 read(u64 offset, u32 size) override;
  void write(u64 offset, u32 size, u64 value) override;

  bool nmi_masked() const { return state_.nmi_masked; }
  /// CMOS bytes as firmware leaves them: 0Eh..7Fh without the century.
  u8 cmos(u8 index) const { return state_.bytes[index & 127]; }
  void set_cmos(u8 index, u8 value);
  /// RESET pin: interrupts off; the time and the RAM stay.
  void reset();

  template <class A>
  void serialize(A& archive) {
    archive(state_);
    if (archive.loading()) restored();
  }

 private:
  struct State {
    std::array<u8, 128> bytes{};  ///< registers A to D and the time are at their addresses
    u8 index = 0;
    bool nmi_masked = false;
    u64 next_update = 0;  ///< ns, when the time next advances; also the divider chain's phase
    u64 checked = 0;      ///< ns, up to when periodic ticks are accounted for

    template <class A>
    void serialize(A& archive) {
      archive(bytes, index, nmi_masked, next_update, checked);
    }
  };
  struct Time {
    i64 days;     ///< since 1970-01-01
    u32 seconds;  ///< of the day
  };

  u8 read_data();
  void write_data(u8 value);
  void write_a(u8 value);
  void write_b(u8 value);
  u8 read_c();

  bool running() const;
  bool update_in_progress() const;
  u64 periodic_hertz() const;
  u64 next_periodic() const;
  u32 decode(u8 value) const;
  u8 encode(u32 value) const;
  u32 decode_hour(u8 value) const;
  u8 encode_hour(u32 hour) const;
  Time time() const;
  void set_time(Time time);
  bool alarm_matches(u32 second_of_day) const;
  /// Updates until the alarm matches, 1..86,400; 0 if it never does.
  u64 updates_until_alarm() const;
  /// Brings time and flags up to now, drives the line and arms the timer.
  void advance();
  void advance_periodic(u64 now);
  void advance_time(u64 now);
  void update_irq();
  void arm();
  void restored();

  IrqLine& irq8_;
  Clock& clock_;
  std::unique_ptr<Timer> timer_;
  LogOnce log_once_;
  State state_;
};

}  // namespace penumbra::devices
