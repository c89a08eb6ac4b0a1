#include "devices/i8254.h"

namespace penumbra::devices {

namespace {

constexpr u64 kInputHz = 1'193'182;
constexpr u64 kNsPerSecond = 1'000'000'000;
constexpr u8 kGate2 = 1, kSpeakerData = 2, kControlBits = 0x0f;
// 18 CLKs between refreshes, as every PC programs counter 1.
constexpr u64 kRefreshTicks = 18;

u64 ns_of_tick(u64 tick) {
  u128 ns = (u128{tick} * kNsPerSecond + kInputHz - 1) / kInputHz;
  return ns > ~0ull ? ~0ull : static_cast<u64>(ns);
}

}  // namespace

I8254::I8254(IrqLine& irq0, Clock& clock)
    : irq0_(irq0),
      clock_(clock),
      timer_(clock.make_timer([this] { update_irq0(); })),
      ports_(*this, &I8254::read, &I8254::write),
      port61_(*this, &I8254::read_port61, &I8254::write_port61) {
  reset();
}

void I8254::reset() {
  state_ = State{};
  state_.counters[2].set_gate(false, 0);
  update_irq0();
}

u64 I8254::now_tick() const {
  return static_cast<u64>(u128{clock_.now_ns()} * kInputHz / kNsPerSecond);
}

void I8254::update_irq0() {
  PitCounter& counter = state_.counters[0];
  counter.advance(now_tick());
  if (counter.take_rising_edge()) {
    irq0_.set(false);
    irq0_.set(true);
  }
  drive_irq0();
}

void I8254::drive_irq0() {
  irq0_.set(state_.counters[0].out());
  u64 edge = state_.counters[0].next_edge();
  if (edge == PitCounter::kNever) {
    timer_->cancel();
  } else {
    timer_->arm(ns_of_tick(edge));
  }
}

u64 I8254::read(u64 offset, u32) {
  if ((offset & 3) == 3) return 0xff;  // the control word register cannot be read
  PitCounter& counter = state_.counters[offset & 3];
  counter.advance(now_tick());
  update_irq0();
  return counter.read();
}

void I8254::write(u64 offset, u32, u64 value) {
  if ((offset & 3) == 3) {
    write_control(static_cast<u8>(value));
  } else {
    state_.counters[offset & 3].write(static_cast<u8>(value), now_tick());
  }
  update_irq0();
}

void I8254::write_control(u8 value) {
  u8 select = value >> 6;
  if (select == 3) return read_back(value);
  PitCounter& counter = state_.counters[select];
  counter.advance(now_tick());
  if ((value & 0x30) == 0) return counter.latch_count();
  counter.program(value, now_tick());
}

/// Read-back command: bits 5 and 4 are active low, bits 3..1 select counters.
void I8254::read_back(u8 value) {
  for (u8 i = 0; i < 3; ++i) {
    if (!(value & (2u << i))) continue;
    state_.counters[i].advance(now_tick());
    if (!(value & 0x20)) state_.counters[i].latch_count();
    if (!(value & 0x10)) state_.counters[i].latch_status();
  }
}

bool I8254::speaker() {
  state_.counters[2].advance(now_tick());
  return (state_.control_b & kSpeakerData) && state_.counters[2].out();
}

u64 I8254::read_port61(u64, u32) {
  u64 tick = now_tick();
  state_.counters[2].advance(tick);
  u64 refresh = tick / kRefreshTicks & 1;
  return state_.control_b | refresh << 4 | u64{state_.counters[2].out()} << 5;
}

void I8254::write_port61(u64, u32, u64 value) {
  state_.control_b = static_cast<u8>(value) & kControlBits;
  state_.counters[2].set_gate(value & kGate2, now_tick());
}

bool I8254::restored() {
  bool valid = true;
  for (PitCounter& counter : state_.counters) {
    valid &= counter.valid();
    if (!counter.valid()) counter = PitCounter{};
  }
  state_.control_b &= kControlBits;
  drive_irq0();
  return valid;
}

}  // namespace penumbra::devices
