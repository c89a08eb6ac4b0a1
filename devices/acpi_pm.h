// ACPI fixed hardware (ACPI Specification 6.4, section 4.8): PM1a event and control registers, the
// power management timer, one GPE block, the SMI command port and a reset register.
//
// SCI is level-triggered: high while SCI_EN and an enabled status bit are set. Writing SLP_EN with
// the sleep type of S5 calls on_power_off; other sleep types are logged once and ignored. There is
// no SMM: writing ACPI_ENABLE or ACPI_DISABLE to the SMI command port switches SCI_EN at once.
// Not there: PM1b, PM2, the global lock (GBL_RLS is accepted and does nothing), sleep button, RTC
// wake, C-states.
#pragma once

#include "common/log.h"
#include "devices/register_block.h"

namespace penumbra::devices {

class AcpiPm {
 public:
  enum class TimerWidth : u8 { Bits24, Bits32 };
  static constexpr u32 kTimerHz = 3'579'545;
  static constexpr u8 kAcpiEnable = 0xf1, kAcpiDisable = 0xf0;  ///< values for the SMI command port
  static constexpr u8 kSleepTypeS5 = 5;
  static constexpr u8 kResetValue = 0x01;
  static constexpr u8 kGpeBlockBytes = 4;  ///< two of status, two of enable
  static constexpr u8 kGpeCount = 16;

  struct Hooks {
    std::function<void()> on_power_off;
    std::function<void()> on_reset;
  };

  AcpiPm(IrqLine& sci, Clock& clock, TimerWidth width, Hooks hooks);

  BusDevice& pm1_event() { return pm1_event_; }            ///< 4 bytes: PM1_STS, PM1_EN
  BusDevice& pm1_control() { return pm1_control_; }        ///< 2 bytes: PM1_CNT
  BusDevice& pm_timer() { return pm_timer_; }              ///< 4 bytes
  BusDevice& gpe0() { return gpe0_; }                      ///< 4 bytes
  BusDevice& smi_command() { return smi_command_; }        ///< B2h, B3h
  BusDevice& reset_register() { return reset_register_; }  ///< 1 byte

  void press_power_button();
  /// A general-purpose event happened: sets its status bit, 0..15.
  void raise_gpe(u8 event);
  void reset();

  template <class A>
  void serialize(A& archive) {
    archive(state_);
    if (archive.loading()) restored();
  }

 private:
  struct State {
    u16 pm1_status = 0, pm1_enable = 0, pm1_control = 0;
    u16 gpe_status = 0, gpe_enable = 0;
    u8 smi_command = 0, smi_status = 0, reset_value = 0;
    u64 carries = 0;  ///< changes of the timer's top bit that TMR_STS has seen

    template <class A>
    void serialize(A& archive) {
      archive(pm1_status, pm1_enable, pm1_control, gpe_status, gpe_enable, smi_command, smi_status,
              reset_value, carries);
    }
  };

  u64 ticks() const;
  u64 half_period() const;
  void advance_timer();
  void arm_timer();
  void update_sci();
  void write_control(u16 value);
  u64 read_event(u64 offset, u32 size);
  u64 read_control(u64 offset, u32 size);
  u64 read_timer(u64 offset, u32 size);
  u64 read_gpe(u64 offset, u32 size);
  u64 read_smi(u64 offset, u32 size);
  u64 read_reset(u64 offset, u32 size);
  void write_event(u64 offset, u32 size, u64 value);
  void write_pm1_control(u64 offset, u32 size, u64 value);
  void write_timer(u64 offset, u32 size, u64 value);
  void write_gpe(u64 offset, u32 size, u64 value);
  void write_smi(u64 offset, u32 size, u64 value);
  void write_reset(u64 offset, u32 size, u64 value);
  void restored();

  IrqLine& sci_;
  Clock& clock_;
  TimerWidth width_;
  Hooks hooks_;
  std::unique_ptr<Timer> overflow_;
  LogOnce log_once_;
  State state_;
  RegisterBlock<AcpiPm> pm1_event_, pm1_control_, pm_timer_, gpe0_, smi_command_, reset_register_;
};

}  // namespace penumbra::devices
