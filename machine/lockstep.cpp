#include "machine/lockstep.h"

#include <algorithm>

#include "common/log.h"
#include "machine/lockstep_search.h"

namespace penumbra::machine {

namespace {

constexpr u64 kPollIntervalNs = 2'000'000;
constexpr u64 kAloneSlice = 5'000'000;
constexpr unsigned kLongestSliceBits = 16;

/// SplitMix64 (Steele, Lea, Flood 2014) as a function of the position in its sequence.
u64 random_at(u64 seed, u64 index) {
  u64 z = seed + (index + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

/// What a checkpoint is asked for.
struct Request {
  u64 last = 0;  ///< number of the slice behind which the machines differ
  std::vector<SliceSchedule::Typed> typed;
  template <class A>
  void serialize(A& archive) {
    archive(last, typed);
  }
};

std::string encode(Request request) {
  Archive archive = Archive::saver();
  archive(request);
  return {archive.data().begin(), archive.data().end()};
}

}  // namespace

/// Short and long ones alike: 2^n for n up to kLongestSliceBits are equally likely bounds.
u64 SliceSchedule::length(u64 retired) const {
  u64 random = random_at(seed, next);
  u64 bound = 1ull << (random % (kLongestSliceBits + 1));
  u64 wanted = 1 + (random >> 32) % bound;
  return std::min(wanted, end > retired ? end - retired : 1);
}

std::expected<std::unique_ptr<Lockstep>, std::string> Lockstep::create(const VmConfig& vm,
                                                                       LockstepConfig config) {
  auto pair = MachinePair::create(vm, config.fault);
  if (!pair) return std::unexpected(pair.error());
  return std::unique_ptr<Lockstep>(new Lockstep(std::move(*pair), std::move(config)));
}

void Lockstep::set_host_events(HostEvents* events) {
  events_ = events;
  pair_->set_host_events(events);
}

LockstepResult Lockstep::run(u64 max_instructions) {
  u64 now = retired();
  schedule_.end = max_instructions > ~now ? ~0ull : now + max_instructions;
  while (true) {
    if (auto result = run_window()) return *result;
    if (auto result = run_alone()) return *result;
  }
}

std::optional<LockstepResult> Lockstep::run_window() {
  u64 end = config_.alone == 0 ? ~0ull : retired() + config_.window;
  take_checkpoint();
  while (retired() < end) {
    if (auto ended = before_slice()) return LockstepResult{*ended, {}};
    run_slice();
    bool ends = pair_->result().kind != RunResult::Kind::MaxInstructions ||
                retired() >= std::min(end, schedule_.end);
    bool all = ends || retired() >= next_comparison_;
    if (!pair_->same_state() || (all && !compare_memory())) {
      return LockstepResult{pair_->result(), find_divergence()};
    }
    if (auto ended = after_slice()) return LockstepResult{*ended, {}};
    if (all && retired() >= next_checkpoint_) take_checkpoint();
  }
  return {};
}

std::optional<LockstepResult> Lockstep::run_alone() {
  u64 end = retired() + config_.alone;
  checkpoint_.reset();
  while (retired() < end) {
    if (auto ended = before_slice()) return LockstepResult{*ended, {}};
    pair_->run_subject(std::min({end - retired(), schedule_.end - retired(), kAloneSlice}));
    if (auto ended = after_slice()) return LockstepResult{*ended, {}};
    config_.on_progress();
  }
  pair_->catch_up();
  return {};
}

std::optional<RunResult> Lockstep::before_slice() {
  poll_host();
  if (stop_requested_.exchange(false)) return RunResult{RunResult::Kind::Stopped};
  if (retired() >= schedule_.end) return RunResult{RunResult::Kind::MaxInstructions};
  return {};
}

/// A machine that stopped waits for the user.
std::optional<RunResult> Lockstep::after_slice() {
  const RunResult& result = pair_->result();
  if (result.kind == RunResult::Kind::MaxInstructions) return {};
  if (result.kind != RunResult::Kind::Stopped) return result;
  if (events_ != nullptr && !stop_requested_) events_->wait({});
  next_poll_ = 0;
  return {};
}

void Lockstep::run_slice() {
  u64 before = retired();
  pair_->run(schedule_.length(before));
  ++schedule_.next;
  compared_ += retired() - before;
}

bool Lockstep::compare_memory() {
  next_comparison_ = retired() + config_.between_memory_comparisons;
  ++comparisons_;
  bool same = pair_->same();
  config_.on_progress();
  return same;
}

void Lockstep::poll_host() {
  if (events_ == nullptr) return;
  u64 now = host_monotonic_ns();
  if (now < next_poll_) return;
  next_poll_ = now + kPollIntervalNs;
  events_->poll();
  Archive before = Archive::saver(), after = Archive::saver();
  before(pair_->reference().input_gate());
  after(pair_->subject().input_gate());
  if (before.data() == after.data()) return;
  pair_->give_input(after.data());
  schedule_.typed.push_back({schedule_.next, after.take()});
}

// ---- when something differs ---------------------------------------------------------------------

void Lockstep::take_checkpoint() {
  checkpoint_.reset();
  schedule_.typed.clear();
  next_checkpoint_ = retired() + config_.between_checkpoints;
  auto taken = Checkpoint::take([this](const std::string& request) { return answer(request); });
  if (taken) {
    checkpoint_ = std::move(*taken);
  } else {
    log_line(taken.error());
  }
}

/// Runs in the copy.
std::string Lockstep::answer(const std::string& bytes) {
  Archive archive = Archive::loader({bytes.begin(), bytes.end()});
  Request request;
  archive(request);
  SliceSchedule schedule = schedule_;
  schedule.typed = std::move(request.typed);
  pair_->mute();
  return machine::encode(LockstepSearch(*pair_, std::move(schedule)).find(request.last));
}

Divergence Lockstep::find_divergence() {
  if (checkpoint_) {
    auto answer = checkpoint_->ask(encode({schedule_.next - 1, schedule_.typed}));
    checkpoint_.reset();
    if (auto found = answer ? decode(*answer) : std::nullopt) return *found;
  }
  Divergence divergence = describe(*pair_, nullptr);
  divergence.report += "\nRun again from the last checkpoint, the engines agreed.\n";
  return divergence;
}

}  // namespace penumbra::machine
