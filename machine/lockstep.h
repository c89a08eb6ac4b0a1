// Lockstep: a guest runs on two engines at once, and the first difference between them is found.
//
// The machines take turns in slices of 1 to tens of thousands of instructions, whose lengths follow
// a seed. CPUs, devices and output are compared after each slice, memory now and then. When
// something differs, a copy of the process from before (see checkpoint.h) runs the same slices
// again, closing in on the slice and then on the instruction, and describes what it finds.
// With `alone` the subject runs by itself between windows of lockstep, each of which starts with
// the reference taking over the subject's state: a long run is checked at a share of the cost.
#pragma once

#include <atomic>
#include <optional>

#include "machine/checkpoint.h"
#include "machine/lockstep_report.h"
#include "machine/machine_pair.h"

namespace penumbra::machine {

/// Numbers are instructions.
struct LockstepConfig {
  u64 seed = 1;  ///< of the lengths of slices
  u64 between_memory_comparisons = 20'000'000;
  u64 between_checkpoints = 100'000'000;
  u64 window = 100'000'000;                   ///< length of a window of lockstep, if ...
  u64 alone = 0;                              ///< ... the subject runs so many alone between them
  std::function<void()> on_progress = [] {};  ///< after each comparison of memory, and when alone
  InjectedFault fault;                        ///< for tests
};

struct LockstepResult {
  RunResult run;
  std::optional<Divergence> divergence;  ///< the run ended by it
};

/// The lengths of slices, and input typed while they ran: what makes a run repeatable.
struct SliceSchedule {
  struct Typed {
    u64 slice = 0;  ///< arrives before this one
    std::vector<u8> input;
    template <class A>
    void serialize(A& archive) {
      archive(slice, input);
    }
  };
  u64 seed = 1;
  u64 next = 0;  ///< number of the next slice
  u64 end = 0;   ///< of the run, in instructions retired
  std::vector<Typed> typed;

  /// Of the next slice, which starts after `retired` instructions.
  u64 length(u64 retired) const;
};

class Lockstep {
 public:
  /// Deterministic machines; `vm.engine` is the subject's. The error is one line for the user.
  static std::expected<std::unique_ptr<Lockstep>, std::string> create(const VmConfig& vm,
                                                                      LockstepConfig config);

  MachinePair& machines() { return *pair_; }
  /// `events` outlives its use, and offers input to the subject.
  void set_host_events(HostEvents* events);

  /// Runs until something ends the run, the machines differ, or `max_instructions` have retired.
  LockstepResult run(u64 max_instructions = ~0ull);
  /// Ends run() soon; from any thread or signal handler.
  void request_stop() { stop_requested_ = true; }

  /// Instructions that ran on both engines since creation.
  u64 compared() const { return compared_; }
  u64 comparisons_of_memory() const { return comparisons_; }

 private:
  Lockstep(std::unique_ptr<MachinePair> pair, LockstepConfig config)
      : config_(std::move(config)), pair_(std::move(pair)) {
    schedule_.seed = config_.seed;
  }

  std::optional<LockstepResult> run_window();
  std::optional<LockstepResult> run_alone();
  std::optional<RunResult> before_slice();
  std::optional<RunResult> after_slice();
  void run_slice();
  bool compare_memory();
  void poll_host();
  void take_checkpoint();
  std::string answer(const std::string& request);
  Divergence find_divergence();
  u64 retired() { return pair_->subject().retired(); }

  LockstepConfig config_;
  std::unique_ptr<MachinePair> pair_;
  HostEvents* events_ = nullptr;
  std::optional<Checkpoint> checkpoint_;
  SliceSchedule schedule_;
  u64 next_comparison_ = 0, next_checkpoint_ = 0;  ///< by instructions retired
  u64 compared_ = 0, comparisons_ = 0;
  u64 next_poll_ = 0;  ///< host_monotonic_ns()
  std::atomic<bool> stop_requested_ = false;
};

}  // namespace penumbra::machine
