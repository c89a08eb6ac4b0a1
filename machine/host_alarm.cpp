#include "machine/host_alarm.h"

#include <chrono>

namespace penumbra::machine {

namespace {

using Monotonic = std::chrono::steady_clock;

constexpr u64 kNever = ~0ull;
constexpr u64 kLongestSleep = 3'600'000'000'000;  // keeps arithmetic on time points in range

}  // namespace

u64 host_monotonic_ns() {
  return static_cast<u64>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(Monotonic::now().time_since_epoch())
          .count());
}

HostAlarm::HostAlarm(std::function<void()> ring)
    : ring_(std::move(ring)), thread_([this] { watch(); }) {}

HostAlarm::~HostAlarm() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void HostAlarm::set(u64 host_ns) {
  bool sooner = false;
  {
    std::lock_guard lock(mutex_);
    at_ = host_ns;
    sooner = at_ < sleeping_until_;
  }
  // A later moment is noticed when the thread wakes for the earlier one.
  if (sooner) changed_.notify_one();
}

void HostAlarm::watch() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    u64 now = host_monotonic_ns();
    if (at_ <= now) {
      at_ = kNever;
      ring_();
      continue;
    }
    u64 sleep = std::min(at_ - now, kLongestSleep);
    sleeping_until_ = now + sleep;
    changed_.wait_for(lock, std::chrono::nanoseconds(sleep));
  }
}

}  // namespace penumbra::machine
