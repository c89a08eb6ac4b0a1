// The one place where the outside world enters the machine.
//
// Host time, serial characters and entropy all pass here, each stamped with the machine's position:
// its virtual time in Deterministic mode, which orders everything, else the number of retired
// instructions. A log may be attached that sees every input as it is delivered; a replay may be
// attached that answers in place of the world. With neither, inputs pass straight through.
// What passes the gate is all that two runs of the same machine can differ by. Replaying a
// Deterministic machine is exact; in Host mode the log is complete, but the run loop does not take
// its time samples at the recorded positions.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "common/archive.h"
#include "common/types.h"

namespace penumbra::machine {

enum class InputKind : u8 { Time, Entropy, Serial };

struct Input {
  InputKind kind = InputKind::Time;
  u8 channel = 0;  ///< which serial port
  u64 at = 0;      ///< position at which it was delivered
  u64 value = 0;

  friend bool operator==(const Input&, const Input&) = default;
  template <class A>
  void serialize(A& archive) {
    archive(kind, channel, at, value);
  }
};

/// Sees every input in order of delivery.
class InputLog {
 public:
  virtual ~InputLog() = default;
  virtual void record(const Input& input) = 0;
};

/// Answers with the inputs of an earlier run, in their order.
class InputReplay {
 public:
  virtual ~InputReplay() = default;
  /// The next input, nullptr at the end. Stays until taken.
  virtual const Input* peek() const = 0;
  virtual void take() = 0;
};

/// A recording in memory: a log that can be replayed.
class InputRecording final : public InputLog, public InputReplay {
 public:
  void record(const Input& input) override { inputs_.push_back(input); }
  const Input* peek() const override { return next_ < inputs_.size() ? &inputs_[next_] : nullptr; }
  void take() override { ++next_; }
  void rewind() { next_ = 0; }
  size_t size() const { return inputs_.size(); }

  template <class A>
  void serialize(A& archive) {
    archive(inputs_);
  }

 private:
  std::vector<Input> inputs_;
  size_t next_ = 0;
};

class InputGate {
 public:
  /// `position` tells where the machine is, exactly; it never goes back.
  explicit InputGate(std::function<u64()> position) : position_(std::move(position)) {}

  /// Either may be nullptr; both outlive the gate.
  void attach(InputLog* log, InputReplay* replay) {
    log_ = log;
    replay_ = replay;
  }

  /// An input that the machine asks for: `world` is asked unless a replay answers.
  u64 ask(InputKind kind, const std::function<u64()>& world);

  /// A character from outside for serial port `channel`. Ignored while replaying.
  void offer_serial(u8 channel, u8 byte);
  /// The serial port for which a character is to be delivered now, if any; then take it.
  std::optional<u8> serial_channel() const;
  u8 take_serial();
  /// Characters that wait for the guest to read; a source may hold back while there are many.
  size_t serial_waiting() const { return waiting_.size(); }
  /// Replaying: the position at which the next serial input is due; run no further.
  std::optional<u64> next_position() const;

  /// The replay asked for something else than the recording holds: the runs have parted.
  bool diverged() const { return diverged_; }

  /// Characters that wait to be delivered.
  template <class A>
  void serialize(A& archive) {
    std::vector<u16> waiting(waiting_.begin(), waiting_.end());
    archive(waiting);
    waiting_.assign(waiting.begin(), waiting.end());
  }

 private:
  bool replay_holds(InputKind kind) const;
  u64 deliver(InputKind kind, u8 channel, u64 value);

  std::function<u64()> position_;
  InputLog* log_ = nullptr;
  InputReplay* replay_ = nullptr;
  bool diverged_ = false;
  std::deque<u16> waiting_;  ///< channel in the high byte
};

}  // namespace penumbra::machine
