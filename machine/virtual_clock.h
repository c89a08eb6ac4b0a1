// The machine's one clock and its event queue.
//
// Two ways to tell the time. Deterministic: one retired instruction is one nanosecond, and idle
// time is skipped, so a run is a pure function of its inputs. Host: the host's monotonic clock
// since power-on, which never goes back and changes only when sample() is called; each sample is an
// input. Timers that are due at the same time expire in the order in which they were made, so that
// a restored machine expires them in the same order. Timers must not outlive their clock.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "common/archive.h"
#include "devices/interfaces.h"

namespace penumbra::machine {

class VirtualClock final : public devices::Clock {
 public:
  enum class Mode : u8 { Deterministic, Host };

  /// `ticks` counts nanoseconds: retired instructions of this run, or the host's clock (by way of
  /// the input gate). Its first value is time zero.
  VirtualClock(Mode mode, std::function<u64()> ticks);

  Mode mode() const { return mode_; }
  u64 now_ns() const override;
  std::unique_ptr<devices::Timer> make_timer(std::function<void()> expired) override;

  /// Host: asks for the time; Deterministic: nothing, the count is always exact.
  void sample();
  /// Starts counting at the present ticks, going on from the present time. After a restore, or
  /// after something set the counter behind `ticks` back.
  void rebase();
  /// Deterministic: lets idle time pass. Times that lie behind are ignored.
  void skip_to(u64 time_ns);

  /// When the next timer is due.
  std::optional<u64> next_deadline() const;
  /// Expires what is due, including what that arms at or before now; at most kBurst timers, so that
  /// a guest that programs a timer faster than the host can serve it does not stop the machine.
  void run_due();

  u64 skipped_ns() const { return skipped_; }
  u64 expirations() const { return expirations_; }

  /// Time and deadlines by order of creation; the board is built before it is loaded.
  void serialize(Archive& archive);

 private:
  class QueuedTimer;
  struct Deadline {
    u64 time;
    u32 id;
    friend auto operator<=>(const Deadline&, const Deadline&) = default;
  };
  static constexpr u64 kIdle = ~0ull;
  static constexpr unsigned kBurst = 100'000;

  void schedule(u32 id, u64 time);
  u64 elapsed() const;

  Mode mode_;
  std::function<u64()> ticks_;
  u64 base_ticks_;
  u64 base_time_ = 0;  ///< now_ns() when ticks were at base_ticks_, skipped time included
  u64 sampled_ = 0;    ///< Host: the time as of the last sample
  u64 skipped_ = 0;
  u64 expirations_ = 0;
  std::deque<std::function<void()>> callbacks_;  ///< by timer id; stable while one runs
  std::vector<u64> armed_;                       ///< deadline by timer id, or kIdle
  std::set<Deadline> queue_;
};

}  // namespace penumbra::machine
