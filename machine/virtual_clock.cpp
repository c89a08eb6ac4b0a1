#include "machine/virtual_clock.h"

#include <algorithm>
#include <utility>

namespace penumbra::machine {

class VirtualClock::QueuedTimer final : public devices::Timer {
 public:
  QueuedTimer(VirtualClock& clock, u32 id) : clock_(clock), id_(id) {}
  ~QueuedTimer() override {
    cancel();
    clock_.callbacks_[id_] = nullptr;
  }
  void arm(u64 deadline_ns) override { clock_.schedule(id_, std::min(deadline_ns, kIdle - 1)); }
  void cancel() override { clock_.schedule(id_, kIdle); }

 private:
  VirtualClock& clock_;
  u32 id_;
};

VirtualClock::VirtualClock(Mode mode, std::function<u64()> ticks)
    : mode_(mode), ticks_(std::move(ticks)), base_ticks_(ticks_()) {}

u64 VirtualClock::elapsed() const {
  u64 ticks = ticks_();
  return ticks > base_ticks_ ? ticks - base_ticks_ : 0;
}

u64 VirtualClock::now_ns() const { return mode_ == Mode::Host ? sampled_ : base_time_ + elapsed(); }

std::unique_ptr<devices::Timer> VirtualClock::make_timer(std::function<void()> expired) {
  auto id = static_cast<u32>(callbacks_.size());
  callbacks_.push_back(std::move(expired));
  armed_.push_back(kIdle);
  return std::make_unique<QueuedTimer>(*this, id);
}

void VirtualClock::sample() {
  if (mode_ == Mode::Host) sampled_ = std::max(sampled_, base_time_ + elapsed());
}

void VirtualClock::rebase() {
  base_time_ = now_ns();
  base_ticks_ = ticks_();
}

void VirtualClock::skip_to(u64 time_ns) {
  u64 now = now_ns();
  if (mode_ == Mode::Host || time_ns <= now) return;
  base_time_ += time_ns - now;
  skipped_ += time_ns - now;
}

std::optional<u64> VirtualClock::next_deadline() const {
  if (queue_.empty()) return std::nullopt;
  return queue_.begin()->time;
}

void VirtualClock::run_due() {
  u64 now = now_ns();
  for (unsigned i = 0; i < kBurst && !queue_.empty() && queue_.begin()->time <= now; ++i) {
    u32 id = queue_.begin()->id;
    schedule(id, kIdle);
    ++expirations_;
    callbacks_[id]();
  }
}

void VirtualClock::schedule(u32 id, u64 time) {
  if (armed_[id] == time) return;
  if (armed_[id] != kIdle) queue_.erase({armed_[id], id});
  armed_[id] = time;
  if (time != kIdle) queue_.insert({time, id});
}

void VirtualClock::serialize(Archive& archive) {
  u64 now = now_ns();
  std::vector<u64> deadlines = armed_;
  archive(now, skipped_, expirations_, deadlines);
  if (!archive.loading()) return;
  if (deadlines.size() != armed_.size()) return archive.fail();
  base_time_ = sampled_ = now;
  base_ticks_ = ticks_();
  for (u32 id = 0; id < deadlines.size(); ++id) schedule(id, deadlines[id]);
}

}  // namespace penumbra::machine
