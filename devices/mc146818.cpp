#include "devices/mc146818.h"

#include <algorithm>
#include <chrono>

namespace penumbra::devices {

namespace {

enum Register : u8 {
  kSeconds = 0,
  kSecondsAlarm = 1,
  kMinutes = 2,
  kMinutesAlarm = 3,
  kHours = 4,
  kHoursAlarm = 5,
  kDayOfWeek = 6,
  kDayOfMonth = 7,
  kMonth = 8,
  kYear = 9,
  kA = 10,
  kB = 11,
  kC = 12,
  kD = 13,
  kCentury = 0x32,
};

constexpr u8 kUip = 0x80, kDividerMask = 0x70, kDividerRun = 0x20, kRateMask = 0x0f;
constexpr u8 kSet = 0x80, kPie = 0x40, kAie = 0x20, kUie = 0x10, kBinary = 0x04, k24Hours = 0x02;
constexpr u8 kSquareWave = 0x08, kDaylightSaving = 0x01;
constexpr u8 kUnimplemented = kSquareWave | kDaylightSaving;
constexpr u8 kIrqf = 0x80, kPf = 0x40, kAf = 0x20, kUf = 0x10;
constexpr u8 kVrt = 0x80, kPm = 0x80, kWildcard = 0xc0;
constexpr u64 kNsPerSecond = 1'000'000'000;
// UIP rises 244 us before the update, which takes 1,984 us at 32,768 Hz (datasheet, "Update
// Cycle").
constexpr u64 kUipLead = 244'000;
constexpr u64 kOscillatorHz = 32'768;
constexpr u32 kSecondsPerDay = 86'400;

}  // namespace

Mc146818::Mc146818(IrqLine& irq8, Clock& clock, i64 unix_time)
    : irq8_(irq8), clock_(clock), timer_(clock.make_timer([this] { advance(); })) {
  state_.bytes[kA] = kDividerRun | 6;
  state_.bytes[kB] = k24Hours;
  state_.bytes[kD] = kVrt;
  i64 days = unix_time / kSecondsPerDay - (unix_time % kSecondsPerDay < 0);
  set_time({days, static_cast<u32>(unix_time - days * kSecondsPerDay)});
  state_.next_update = clock.now_ns() + kNsPerSecond;
  state_.checked = clock.now_ns();
}

void Mc146818::set_cmos(u8 index, u8 value) {
  index &= 127;
  if (index > kD && index != kCentury) state_.bytes[index] = value;
}

void Mc146818::reset() {
  state_.bytes[kB] &= ~(kPie | kAie | kUie | kSquareWave);
  state_.bytes[kC] = 0;
  state_.nmi_masked = false;
  update_irq();
  arm();
}

u64 Mc146818::read(u64 offset, u32) { return offset & 1 ? read_data() : 0xff; }

void Mc146818::write(u64 offset, u32, u64 value) {
  if (offset & 1) return write_data(static_cast<u8>(value));
  state_.index = value & 127;
  state_.nmi_masked = value & 0x80;
}

u8 Mc146818::read_data() {
  advance();
  if (state_.index == kC) return read_c();
  if (state_.index == kA) return state_.bytes[kA] | (update_in_progress() ? kUip : 0);
  return state_.bytes[state_.index];
}

void Mc146818::write_data(u8 value) {
  advance();
  switch (state_.index) {
    case kA:
      write_a(value);
      break;
    case kB:
      write_b(value);
      break;
    case kC:
    case kD:
      return;  // read-only
    default:
      state_.bytes[state_.index] = value;
  }
  arm();
}

void Mc146818::write_a(u8 value) {
  bool was_running = running();
  state_.bytes[kA] = value & ~kUip;
  // After a divider reset the first update comes half a second later.
  if (running() && !was_running) state_.next_update = clock_.now_ns() + kNsPerSecond / 2;
}

void Mc146818::write_b(u8 value) {
  u8 old = state_.bytes[kB];
  if (value & kSet) value &= ~kUie;  // SET clears UIE
  if (value & kUnimplemented) log_once_("MC146818: no daylight saving, no square wave output");
  state_.bytes[kB] = value;
  // Updates that passed while SET was held are not made up for.
  if ((old & kSet) && !(value & kSet) && running()) {
    u64 now = clock_.now_ns();
    if (state_.next_update <= now)
      state_.next_update += ((now - state_.next_update) / kNsPerSecond + 1) * kNsPerSecond;
  }
  update_irq();
}

u8 Mc146818::read_c() {
  u8 flags = state_.bytes[kC];
  state_.bytes[kC] = 0;
  update_irq();
  arm();
  return flags;
}

/// The divider chain counts the 32,768 Hz oscillator.
bool Mc146818::running() const { return (state_.bytes[kA] & kDividerMask) == kDividerRun; }

bool Mc146818::update_in_progress() const {
  if (!running() || (state_.bytes[kB] & kSet)) return false;
  return state_.next_update - clock_.now_ns() <= kUipLead;
}

/// Table 5 of the datasheet; 0: no periodic interrupt. Rates 1 and 2 repeat 8 and 9.
u64 Mc146818::periodic_hertz() const {
  u32 rate = state_.bytes[kA] & kRateMask;
  if (rate == 0 || !running()) return 0;
  if (rate < 3) rate += 7;
  return kOscillatorHz >> (rate - 1);
}

/// When the tap that the rate selects next ticks after `checked`; 0: never. All taps come from the
/// chain that ends in the updates, so they share its phase.
u64 Mc146818::next_periodic() const {
  u64 hertz = periodic_hertz();
  if (hertz == 0) return 0;
  u64 phase = state_.next_update % kNsPerSecond;
  u64 since = state_.checked + kNsPerSecond - phase;
  u128 tick = u128{since} * hertz / kNsPerSecond + 1;
  return static_cast<u64>((tick * kNsPerSecond + hertz - 1) / hertz) + phase - kNsPerSecond;
}

// --- formats

u32 Mc146818::decode(u8 value) const {
  return state_.bytes[kB] & kBinary ? value : (value >> 4) * 10u + (value & 15);
}

u8 Mc146818::encode(u32 value) const {
  return static_cast<u8>(state_.bytes[kB] & kBinary ? value : (value / 10) << 4 | value % 10);
}

u32 Mc146818::decode_hour(u8 value) const {
  if (state_.bytes[kB] & k24Hours) return decode(value);
  u32 hour = decode(value & ~kPm) % 12;
  return value & kPm ? hour + 12 : hour;
}

u8 Mc146818::encode_hour(u32 hour) const {
  if (state_.bytes[kB] & k24Hours) return encode(hour);
  u8 twelve = encode(hour % 12 == 0 ? 12 : hour % 12);
  return hour >= 12 ? twelve | kPm : twelve;
}

/// The registers as a date; values that no calendar has are brought into range.
Mc146818::Time Mc146818::time() const {
  using namespace std::chrono;
  const auto& bytes = state_.bytes;
  int full_year = static_cast<int>(decode(bytes[kCentury]) * 100 + decode(bytes[kYear]) % 100);
  u32 month_number = std::clamp(decode(bytes[kMonth]), 1u, 12u);
  auto first = year{full_year} / month{month_number} / 1;
  i64 day_number = std::clamp(decode(bytes[kDayOfMonth]), 1u, 31u);
  u32 seconds = decode_hour(bytes[kHours]) % 24 * 3600 + decode(bytes[kMinutes]) % 60 * 60 +
                decode(bytes[kSeconds]) % 60;
  return {sys_days{first}.time_since_epoch().count() + day_number - 1, seconds};
}

void Mc146818::set_time(Time time) {
  using namespace std::chrono;
  sys_days date{days{time.days}};
  year_month_day calendar{date};
  u32 full_year = static_cast<u32>(static_cast<int>(calendar.year())) % 10'000;
  auto& bytes = state_.bytes;
  bytes[kSeconds] = encode(time.seconds % 60);
  bytes[kMinutes] = encode(time.seconds / 60 % 60);
  bytes[kHours] = encode_hour(time.seconds / 3600);
  bytes[kDayOfWeek] = encode(weekday{date}.c_encoding() + 1);
  bytes[kDayOfMonth] = encode(static_cast<u32>(calendar.day()));
  bytes[kMonth] = encode(static_cast<u32>(calendar.month()));
  bytes[kYear] = encode(full_year % 100);
  bytes[kCentury] = encode(full_year / 100);
}

// --- time

bool Mc146818::alarm_matches(u32 second_of_day) const {
  auto matches = [](u8 alarm, u8 now) { return (alarm & kWildcard) == kWildcard || alarm == now; };
  const auto& bytes = state_.bytes;
  return matches(bytes[kSecondsAlarm], encode(second_of_day % 60)) &&
         matches(bytes[kMinutesAlarm], encode(second_of_day / 60 % 60)) &&
         matches(bytes[kHoursAlarm], encode_hour(second_of_day / 3600));
}

u64 Mc146818::updates_until_alarm() const {
  u32 now = time().seconds;
  for (u32 step = 1; step <= kSecondsPerDay; ++step)
    if (alarm_matches((now + step) % kSecondsPerDay)) return step;
  return 0;
}

void Mc146818::advance() {
  u64 now = clock_.now_ns();
  advance_periodic(now);
  advance_time(now);
  update_irq();
  arm();
}

void Mc146818::advance_periodic(u64 now) {
  u64 next = next_periodic();
  if (next != 0 && next <= now) state_.bytes[kC] |= kPf;
  state_.checked = now;
}

void Mc146818::advance_time(u64 now) {
  if (!running() || (state_.bytes[kB] & kSet) || now < state_.next_update) return;
  u64 updates = (now - state_.next_update) / kNsPerSecond + 1;
  state_.next_update += updates * kNsPerSecond;
  if (!(state_.bytes[kC] & kAf)) {
    u64 alarm = updates_until_alarm();
    if (alarm != 0 && alarm <= updates) state_.bytes[kC] |= kAf;
  }
  state_.bytes[kC] |= kUf;
  Time time = this->time();
  u64 seconds = time.seconds + updates;
  time.days += static_cast<i64>(seconds / kSecondsPerDay);
  time.seconds = static_cast<u32>(seconds % kSecondsPerDay);
  set_time(time);
}

void Mc146818::update_irq() {
  u8& flags = state_.bytes[kC];
  bool request = flags & state_.bytes[kB] & (kPf | kAf | kUf);  // B and C agree in bit places
  flags = request ? flags | kIrqf : flags & ~kIrqf;
  irq8_.set(request);
}

/// The next time at which an enabled interrupt that is not yet flagged comes.
void Mc146818::arm() {
  u8 enabled = state_.bytes[kB] & ~state_.bytes[kC];
  u64 deadline = ~0ull;
  if ((enabled & kPie) && periodic_hertz() != 0) deadline = next_periodic();
  if (running() && !(state_.bytes[kB] & kSet)) {
    if (enabled & kUie) deadline = std::min(deadline, state_.next_update);
    u64 alarm = enabled & kAie ? updates_until_alarm() : 0;
    if (alarm) deadline = std::min(deadline, state_.next_update + (alarm - 1) * kNsPerSecond);
  }
  if (deadline == ~0ull) return timer_->cancel();
  timer_->arm(deadline);
}

void Mc146818::restored() {
  constexpr u64 kLatest = 1ull << 62;  // leaves room for the days until an alarm
  state_.next_update = std::min(state_.next_update, kLatest);
  state_.checked = std::min(state_.checked, kLatest);
  state_.index &= 127;
  state_.bytes[kA] &= ~kUip;
  state_.bytes[kD] = kVrt;
  update_irq();
  arm();
}

}  // namespace penumbra::devices
