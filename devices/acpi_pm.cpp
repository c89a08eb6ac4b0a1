#include "devices/acpi_pm.h"

namespace penumbra::devices {

namespace {

// ACPI 6.4, tables 4.11 to 4.13.
constexpr u16 kTmrSts = 1 << 0, kPwrbtnSts = 1 << 8, kWakSts = 1 << 15;
constexpr u16 kStatusBits = kTmrSts | 1 << 4 | 1 << 5 | kPwrbtnSts | 1 << 9 | 1 << 10 | kWakSts;
constexpr u16 kEnableBits = 1 << 0 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 10;
constexpr u16 kSciEn = 1 << 0, kSlpEn = 1 << 13;
constexpr u16 kControlBits = 1 << 1 | Bits<12, 10>::kMask;  ///< BM_RLD, SLP_TYP
constexpr u64 kNsPerSecond = 1'000'000'000;

u64 mask_of(u32 size) { return (1ull << (8 * size)) - 1; }

/// Puts `size` bytes of `value` at byte `offset` of a register block.
u32 merge(u32 old, u64 offset, u32 size, u64 value) {
  u64 mask = mask_of(size) << (8 * offset);
  return static_cast<u32>((old & ~mask) | (value << (8 * offset) & mask));
}

}  // namespace

AcpiPm::AcpiPm(IrqLine& sci, Clock& clock, TimerWidth width, Hooks hooks)
    : sci_(sci),
      clock_(clock),
      width_(width),
      hooks_(std::move(hooks)),
      overflow_(clock.make_timer([this] {
        advance_timer();
        update_sci();
      })),
      pm1_event_(*this, &AcpiPm::read_event, &AcpiPm::write_event),
      pm1_control_(*this, &AcpiPm::read_control, &AcpiPm::write_pm1_control),
      pm_timer_(*this, &AcpiPm::read_timer, &AcpiPm::write_timer),
      gpe0_(*this, &AcpiPm::read_gpe, &AcpiPm::write_gpe),
      smi_command_(*this, &AcpiPm::read_smi, &AcpiPm::write_smi),
      reset_register_(*this, &AcpiPm::read_reset, &AcpiPm::write_reset) {}

void AcpiPm::reset() {
  state_ = State{};
  state_.carries = ticks() / half_period();
  update_sci();
}

u64 AcpiPm::ticks() const {
  return static_cast<u64>(u128{clock_.now_ns()} * kTimerHz / kNsPerSecond);
}

/// TMR_STS is set when the top bit changes, in either direction (4.8.3.1).
u64 AcpiPm::half_period() const { return width_ == TimerWidth::Bits24 ? bit(23) : bit(31); }

void AcpiPm::advance_timer() {
  u64 carries = ticks() / half_period();
  if (carries != state_.carries) state_.pm1_status |= kTmrSts;
  state_.carries = carries;
}

void AcpiPm::arm_timer() {
  bool wanted = (state_.pm1_enable & kTmrSts) && !(state_.pm1_status & kTmrSts);
  if (!wanted) return overflow_->cancel();
  u128 next = u128{state_.carries + 1} * half_period();
  overflow_->arm(static_cast<u64>((next * kNsPerSecond + kTimerHz - 1) / kTimerHz));
}

void AcpiPm::update_sci() {
  bool event = (state_.pm1_status & state_.pm1_enable) || (state_.gpe_status & state_.gpe_enable);
  sci_.set((state_.pm1_control & kSciEn) && event);
  arm_timer();
}

void AcpiPm::press_power_button() {
  state_.pm1_status |= kPwrbtnSts;
  update_sci();
}

void AcpiPm::raise_gpe(u8 event) {
  state_.gpe_status |= static_cast<u16>(1u << (event % kGpeCount));
  update_sci();
}

u64 AcpiPm::read_event(u64 offset, u32) {
  advance_timer();
  update_sci();
  return (u32{state_.pm1_enable} << 16 | state_.pm1_status) >> (8 * offset);
}

void AcpiPm::write_event(u64 offset, u32 size, u64 value) {
  advance_timer();
  u32 written = merge(u32{state_.pm1_enable} << 16, offset, size, value);
  state_.pm1_status &= static_cast<u16>(~written);  // writing 1 clears
  state_.pm1_enable = static_cast<u16>(written >> 16) & kEnableBits;
  update_sci();
}

u64 AcpiPm::read_control(u64 offset, u32) { return state_.pm1_control >> (8 * offset); }

void AcpiPm::write_pm1_control(u64 offset, u32 size, u64 value) {
  write_control(static_cast<u16>(merge(state_.pm1_control, offset, size, value)));
}

void AcpiPm::write_control(u16 value) {
  state_.pm1_control = (state_.pm1_control & kSciEn) | (value & kControlBits);
  if (!(value & kSlpEn)) return;
  u8 type = static_cast<u8>(Bits<12, 10>::get(value));
  if (type != kSleepTypeS5) return log_once_(fmt::format("ACPI: sleep type {} ignored", type));
  if (hooks_.on_power_off) hooks_.on_power_off();
}

u64 AcpiPm::read_timer(u64 offset, u32) {
  u64 count = ticks() & (2 * half_period() - 1);
  return count >> (8 * offset);
}

void AcpiPm::write_timer(u64, u32, u64) {}  // read-only

u64 AcpiPm::read_gpe(u64 offset, u32) {
  return (u32{state_.gpe_enable} << 16 | state_.gpe_status) >> (8 * offset);
}

void AcpiPm::write_gpe(u64 offset, u32 size, u64 value) {
  u32 written = merge(u32{state_.gpe_enable} << 16, offset, size, value);
  state_.gpe_status &= static_cast<u16>(~written);
  state_.gpe_enable = static_cast<u16>(written >> 16);
  update_sci();
}

u64 AcpiPm::read_smi(u64 offset, u32) {
  return offset == 0 ? state_.smi_command : state_.smi_status;
}

void AcpiPm::write_smi(u64 offset, u32, u64 value) {
  u8 byte = static_cast<u8>(value);
  if (offset != 0) {
    state_.smi_status = byte;
    return;
  }
  state_.smi_command = byte;
  if (byte == kAcpiEnable) {
    state_.pm1_control |= kSciEn;
  } else if (byte == kAcpiDisable) {
    state_.pm1_control &= ~kSciEn;
  } else {
    log_once_(fmt::format("ACPI: SMI command {:02x}h ignored", byte));
  }
  update_sci();
}

u64 AcpiPm::read_reset(u64, u32) { return state_.reset_value; }

void AcpiPm::write_reset(u64, u32, u64 value) {
  state_.reset_value = static_cast<u8>(value);
  if (state_.reset_value == kResetValue && hooks_.on_reset) hooks_.on_reset();
}

void AcpiPm::restored() {
  state_.pm1_status &= kStatusBits;
  state_.pm1_enable &= kEnableBits;
  state_.pm1_control &= kControlBits | kSciEn;
  update_sci();
}

}  // namespace penumbra::devices
