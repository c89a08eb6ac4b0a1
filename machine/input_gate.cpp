#include "machine/input_gate.h"

namespace penumbra::machine {

u64 InputGate::deliver(InputKind kind, u8 channel, u64 value) {
  if (log_ != nullptr) log_->record({kind, channel, position_(), value});
  return value;
}

bool InputGate::replay_holds(InputKind kind) const {
  return replay_ != nullptr && replay_->peek() != nullptr && replay_->peek()->kind == kind;
}

u64 InputGate::ask(InputKind kind, const std::function<u64()>& world) {
  if (replay_ == nullptr) return deliver(kind, 0, world());
  if (!replay_holds(kind) || replay_->peek()->at != position_()) {
    diverged_ = true;
    return deliver(kind, 0, world());
  }
  u64 value = replay_->peek()->value;
  replay_->take();
  return deliver(kind, 0, value);
}

void InputGate::offer_serial(u8 channel, u8 byte) {
  if (replay_ == nullptr) waiting_.push_back(static_cast<u16>(channel << 8 | byte));
}

bool InputGate::serial_waits() const {
  if (replay_ == nullptr) return !waiting_.empty();
  return replay_holds(InputKind::Serial) && replay_->peek()->at <= position_();
}

std::optional<InputGate::SerialInput> InputGate::next_serial() {
  if (!serial_waits()) return std::nullopt;
  SerialInput next;
  if (replay_ != nullptr) {
    next = {replay_->peek()->channel, static_cast<u8>(replay_->peek()->value)};
    replay_->take();
  } else {
    next = {static_cast<u8>(waiting_.front() >> 8), static_cast<u8>(waiting_.front())};
    waiting_.pop_front();
  }
  deliver(InputKind::Serial, next.channel, next.byte);
  return next;
}

std::optional<u64> InputGate::next_position() const {
  if (!replay_holds(InputKind::Serial)) return std::nullopt;
  return replay_->peek()->at;
}

}  // namespace penumbra::machine
