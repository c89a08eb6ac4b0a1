// What the device tests stand on: a clock that only moves when told, lines that remember, a sink,
// and a bus to go through.
#pragma once

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "common/archive.h"
#include "devices/bus.h"
#include "devices/interfaces.h"

namespace penumbra::devices {

class FakeClock final : public Clock {
 public:
  u64 now_ns() const override { return now_; }
  std::unique_ptr<Timer> make_timer(std::function<void()> expired) override {
    return std::make_unique<FakeTimer>(*this, std::move(expired));
  }
  /// Moves to `target`, running timers at their deadlines.
  void advance_to(u64 target) {
    while (FakeTimer* next = earliest(target)) {
      now_ = std::max(now_, next->deadline);
      next->armed = false;
      ++expirations_;
      next->expired();
    }
    now_ = std::max(now_, target);
  }
  void advance(u64 ns) { advance_to(now_ + ns); }
  /// Moves without running timers, as a host that was late.
  void jump_to(u64 target) { now_ = target; }
  bool has_armed_timer() const {
    return std::any_of(timers_.begin(), timers_.end(), [](auto* timer) { return timer->armed; });
  }
  u64 expirations() const { return expirations_; }

 private:
  struct FakeTimer final : Timer {
    FakeTimer(FakeClock& owner, std::function<void()> function)
        : clock(owner), expired(std::move(function)) {
      clock.timers_.push_back(this);
    }
    ~FakeTimer() override { std::erase(clock.timers_, this); }
    void arm(u64 at) override {
      armed = true;
      deadline = at;
    }
    void cancel() override { armed = false; }

    FakeClock& clock;
    std::function<void()> expired;
    bool armed = false;
    u64 deadline = 0;
  };

  FakeTimer* earliest(u64 limit) {
    FakeTimer* found = nullptr;
    for (FakeTimer* timer : timers_)
      if (timer->armed && timer->deadline <= limit && (!found || timer->deadline < found->deadline))
        found = timer;
    return found;
  }

  u64 now_ = 0;
  u64 expirations_ = 0;
  std::vector<FakeTimer*> timers_;
};

class FakeLine final : public IrqLine {
 public:
  void set(bool level) override {
    rises_ += level && !level_;
    level_ = level;
  }
  bool level() const { return level_; }
  /// Rising edges since the last call.
  u32 take_rises() { return std::exchange(rises_, 0); }

 private:
  bool level_ = false;
  u32 rises_ = 0;
};

class FakeSink final : public CharBackend {
 public:
  void write(u8 byte) override { text.push_back(static_cast<char>(byte)); }
  std::string text;
};

template <class Device>
std::vector<u8> save(Device& device) {
  Archive archive = Archive::saver();
  archive(device);
  return archive.take();
}

/// True if all of `bytes` was taken.
template <class Device>
bool load(Device& device, std::vector<u8> bytes) {
  Archive archive = Archive::loader(std::move(bytes));
  archive(device);
  return archive.exhausted();
}

/// Random accesses over [0, range) of `bus`, with time passing in between.
inline void fuzz(Bus& bus, FakeClock& clock, u64 base, u64 range, u32 seed, u32 rounds = 20'000) {
  std::mt19937 random(seed);
  for (u32 i = 0; i < rounds; ++i) {
    u64 address = base + random() % range;
    u32 size = 1u << random() % 4;
    u64 value = random() % 3 ? random() : random() | u64{random()} << 32;
    if (random() & 1) {
      bus.write(address, size, value);
    } else {
      bus.read(address, size);
    }
    if (random() % 16 == 0) clock.advance(random() % 3'000);
  }
}

/// Loads random bytes of the right length: may be refused, must not crash, must leave a device
/// that can be used.
template <class Device>
void load_garbage(Device& device, u32 seed) {
  std::mt19937 random(seed);
  std::vector<u8> bytes = save(device);
  for (u8& byte : bytes) byte = static_cast<u8>(random());
  load(device, bytes);
}

}  // namespace penumbra::devices
