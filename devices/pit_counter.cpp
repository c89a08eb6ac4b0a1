#include "devices/pit_counter.h"

#include <algorithm>

namespace penumbra::devices {

namespace {

constexpr u8 kAccessLow = 1, kAccessHigh = 2;

}  // namespace

u8 PitCounter::mode() const {
  u8 mode = (control_ >> 1) & 7;
  return mode > 5 ? mode - 4 : mode;  // 6 and 7 are 2 and 3
}

u8 PitCounter::access() const { return (control_ >> 4) & 3; }

/// The number that a count register stands for: 0 is the modulus.
u32 PitCounter::binary(u16 raw) const {
  u32 value = raw;
  if (bcd())
    value = (raw >> 12) * 1000u + (raw >> 8 & 15) * 100u + (raw >> 4 & 15) * 10u + (raw & 15);
  // Nibbles above 9 can exceed the modulus; 1 is illegal in modes 2 and 3.
  value = value == 0 || value > modulus() ? modulus() : value;
  return periodic() ? std::max(value, 2u) : value;
}

u16 PitCounter::raw(u32 count) const {
  count %= modulus();
  if (!bcd()) return static_cast<u16>(count);
  return static_cast<u16>((count / 1000) << 12 | (count / 100 % 10) << 8 | (count / 10 % 10) << 4 |
                          count % 10);
}

void PitCounter::set_out(bool level) {
  rose_ |= level && !out_;
  out_ = level;
}

bool PitCounter::take_rising_edge() {
  bool rose = rose_;
  rose_ = false;
  return rose;
}

void PitCounter::program(u8 control, u64 tick) {
  advance(tick);
  control_ = control & 0x3f;
  null_count_ = true;
  loaded_ = waiting_ = write_high_ = read_high_ = false;
  status_latched_ = count_latched_ = false;
  load_at_ = kNever;
  set_out(mode() != 0);
}

void PitCounter::write(u8 value, u64 tick) {
  advance(tick);
  if (access() == kAccessLow) return count_written(value, tick);
  if (access() == kAccessHigh) return count_written(static_cast<u16>(value << 8), tick);
  write_high_ = !write_high_;
  if (!write_high_) return count_written(static_cast<u16>(low_ | value << 8), tick);
  low_ = value;
  if (mode() != 0) return;
  loaded_ = false;  // mode 0: the first byte stops counting
  load_at_ = kNever;
  set_out(false);
}

void PitCounter::count_written(u16 raw, u64 tick) {
  written_ = binary(raw);
  null_count_ = waiting_ = true;
  if (mode() == 1 || mode() == 5) return;  // loaded by the trigger
  if (mode() == 0) {
    loaded_ = false;
    set_out(false);
  }
  if (!periodic() || !loaded_) {
    load_at_ = tick + 1;
  } else if (gate_ && load_at_ == kNever) {
    load_at_ = start_ + (mode() == 2 ? period_ : half_length());
  }
}

void PitCounter::load(u64 tick) {
  period_ = written_;
  start_ = tick;
  frozen_ = 0;
  loaded_ = true;
  null_count_ = waiting_ = false;
  load_at_ = kNever;
  if (mode() == 1) set_out(false);
}

void PitCounter::set_gate(bool level, u64 tick) {
  advance(tick);
  if (level == gate_) return;
  bool has_count = loaded_ || waiting_;
  if (!level) {
    frozen_ = elapsed();
    if (periodic()) {
      load_at_ = kNever;
      set_out(true);
    }
  } else if (runs_by_gate()) {
    start_ = tick - frozen_;
  } else if (has_count) {
    load_at_ = tick + 1;
  }
  gate_ = level;
}

/// Ticks since the counting element was loaded, without those that the gate held up.
u64 PitCounter::elapsed() const {
  bool held = !gate_ && (runs_by_gate() || periodic());
  return held ? frozen_ : tick_ - start_;
}

void PitCounter::advance(u64 tick) {
  if (tick <= tick_) return;
  bool loads = load_at_ <= tick;
  for (u64 end : {loads ? load_at_ : tick, tick}) {
    if (loaded_ && mode() == 2) advance_rate(end);
    if (loaded_ && mode() == 3) advance_square(end);
    if (loaded_ && !periodic()) advance_one_shot(end);
    tick_ = end;
    if (loads && end == load_at_) load(end);
  }
}

void PitCounter::advance_one_shot(u64 tick) {
  if (!gate_ && runs_by_gate()) return;
  u64 before = elapsed();
  u64 now = tick - start_;
  if (mode() == 0 || mode() == 1) {
    if (now >= period_) set_out(true);
    return;
  }
  // Modes 4 and 5 strobe OUT low for one CLK.
  if (before < period_ && now >= period_) set_out(false);
  if (before <= period_ && now > period_) set_out(true);
}

void PitCounter::advance_rate(u64 tick) {
  if (!gate_) return;
  u64 cycles = (tick - start_) / period_;
  if (cycles != 0) {
    start_ += cycles * period_;
    set_out(false);
    set_out(true);
  }
  set_out(tick - start_ != period_ - 1);
}

u64 PitCounter::half_length() const { return out_ ? (period_ + 1) / 2 : period_ / 2; }

void PitCounter::advance_square(u64 tick) {
  if (!gate_) return;
  u64 cycles = (tick - start_) / period_;
  start_ += cycles * period_;
  rose_ |= cycles != 0;
  while (tick - start_ >= half_length()) {
    start_ += half_length();
    set_out(!out_);
  }
}

u64 PitCounter::next_edge() const {
  u64 edge = kNever;
  bool runs = loaded_ && (gate_ || mode() == 1 || mode() == 5);
  if (runs) {
    u64 end = start_ + period_;
    switch (mode()) {
      case 0:
      case 1:
        edge = out_ ? kNever : end;
        break;
      case 2:
        edge = tick_ < end - 1 ? end - 1 : end;
        break;
      case 3:
        edge = start_ + half_length();
        break;
      default:
        edge = tick_ < end ? end : tick_ == end ? end + 1 : kNever;
    }
  }
  return std::min(edge, load_at_);
}

/// The counting element.
u32 PitCounter::count() const {
  // Undefined until the next CLK loads it; kernels that read at once expect what they wrote.
  if (!loaded_) return waiting_ ? written_ : 0;
  u64 ticks = elapsed();
  if (mode() == 3) return static_cast<u32>((period_ & ~1u) - 2 * ticks);
  if (mode() == 2) return static_cast<u32>(period_ - ticks);
  return static_cast<u32>((period_ + modulus() - ticks % modulus()) % modulus());
}

void PitCounter::latch_count() {
  if (count_latched_) return;
  latched_ = raw(count());
  count_latched_ = true;
}

void PitCounter::latch_status() {
  if (status_latched_) return;
  status_ = static_cast<u8>(out_ << 7 | null_count_ << 6 | control_);
  status_latched_ = true;
}

u8 PitCounter::read() {
  if (status_latched_) {
    status_latched_ = false;
    return status_;
  }
  u16 value = count_latched_ ? latched_ : raw(count());
  bool high = access() == kAccessHigh || (access() == 3 && read_high_);
  if (access() == 3) read_high_ = !read_high_;
  if (access() != 3 || high) count_latched_ = false;
  return static_cast<u8>(high ? value >> 8 : value);
}

bool PitCounter::valid() const {
  constexpr u64 kLatest = 1ull << 62;
  u32 least = periodic() ? 2 : 1;
  bool counts = (!loaded_ || (period_ >= least && period_ <= modulus())) &&
                (!(loaded_ || waiting_) || (written_ >= least && written_ <= modulus()));
  bool times = tick_ < kLatest && start_ <= tick_ && frozen_ <= tick_ &&
               (load_at_ == kNever || (load_at_ > tick_ && load_at_ <= tick_ + modulus()));
  // In modes 2 and 3 the state is normalised to the running (half) cycle.
  bool phase = !loaded_ || !periodic() || elapsed() < (mode() == 2 ? period_ : half_length());
  bool loads = load_at_ == kNever || loaded_ || waiting_;
  return access() != 0 && counts && times && phase && loads;
}

}  // namespace penumbra::devices
