#include "machine/input_gate.h"

#include "common/log.h"

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

std::optional<u8> InputGate::serial_channel() const {
  if (replay_ == nullptr) {
    if (waiting_.empty()) return std::nullopt;
    return static_cast<u8>(waiting_.front() >> 8);
  }
  if (!replay_holds(InputKind::Serial) || replay_->peek()->at > position_()) return std::nullopt;
  return replay_->peek()->channel;
}

u8 InputGate::take_serial() {
  PENUMBRA_ASSERT(serial_channel().has_value());
  if (replay_ != nullptr) {
    Input input = *replay_->peek();
    replay_->take();
    return static_cast<u8>(deliver(InputKind::Serial, input.channel, input.value));
  }
  u16 front = waiting_.front();
  waiting_.pop_front();
  return static_cast<u8>(deliver(InputKind::Serial, static_cast<u8>(front >> 8), front & 0xff));
}

std::optional<u64> InputGate::next_position() const {
  if (!replay_holds(InputKind::Serial)) return std::nullopt;
  return replay_->peek()->at;
}

}  // namespace penumbra::machine
