// Wakes the machine at a moment of the host's clock, from a thread of its own.
//
// Used in Host mode only, so that a slice of unknown speed does not run past the next timer. Alarms
// may be spurious or, under load, late: the run loop looks at the clock anyway.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "common/types.h"

namespace penumbra::machine {

/// The host's monotonic clock.
u64 host_monotonic_ns();

class HostAlarm {
 public:
  /// `ring` is called on the alarm's thread and must be thread-safe.
  explicit HostAlarm(std::function<void()> ring);
  ~HostAlarm();

  /// The next moment to ring at, in host_monotonic_ns(); replaces the previous one.
  void set(u64 host_ns);

 private:
  void watch();

  std::function<void()> ring_;
  std::mutex mutex_;
  std::condition_variable changed_;
  u64 at_ = ~0ull;          ///< guarded by mutex_
  u64 sleeping_until_ = 0;  ///< guarded by mutex_; what the thread waits for at most
  bool stop_ = false;       ///< guarded by mutex_
  std::thread thread_;      ///< last: starts when everything else is there
};

}  // namespace penumbra::machine
