// Two machines of one configuration that run the same guest on different engines.
//
// The subject is the one under test: its characters go where the configuration says. The reference
// runs on the interpreter, and what it prints is only compared. Both are deterministic; input
// reaches them between runs alone, and both at once, so whatever differs is an engine's fault.
// An idle machine that only the user could wake ends its run (RunResult::Kind::Stopped).
#pragma once

#include <array>
#include <functional>
#include <memory>

#include "machine/vm.h"
#include "machine/vm_comparison.h"

namespace penumbra::machine {

/// What a test does to the subject after the subject has retired `at` instructions.
struct InjectedFault {
  u64 at = ~0ull;
  std::function<void(Vm& subject)> apply;
};

class MachinePair {
 public:
  /// `config.engine` is the subject's. The error is one line for the user.
  static std::expected<std::unique_ptr<MachinePair>, std::string> create(VmConfig config,
                                                                         InjectedFault fault);

  Vm& reference() { return *reference_; }
  Vm& subject() { return *subject_; }
  void power_on(const LoadPlan& plan);
  std::expected<void, std::string> restore(const snapshot::Container& container);
  /// Whether input may still come to idle machines; nullptr: none.
  void set_host_events(const HostEvents* events) { idle_.events = events; }

  void run(u64 instructions);
  /// The subject only; then catch_up() before the next run().
  void run_subject(u64 instructions);
  /// The reference takes over the subject's state.
  void catch_up();
  const RunResult& result() const { return result_; }

  /// Both gates hold `input` (a saved InputGate) from now on.
  void give_input(const std::vector<u8>& input);

  /// The results, what was printed, CPUs and devices.
  bool same_state();
  /// The same and memory.
  bool same();
  std::vector<Difference> differences();

  /// No more characters reach the user.
  void mute();

 private:
  /// Counts what one machine prints on one port, and may pass it on.
  struct Tap final : devices::CharBackend {
    devices::CharBackend* to = nullptr;
    u64 count = 0, hash = 0;
    void write(u8 byte) override;
    friend bool operator==(const Tap& a, const Tap& b) {
      return a.count == b.count && a.hash == b.hash;
    }
  };
  static constexpr size_t kTaps = BoardConfig::kSerialPorts + 1;  ///< the last: debug console
  using Taps = std::array<Tap, kTaps>;

  struct Idle final : HostEvents {
    explicit Idle(Vm** waiting) : machine(waiting) {}
    void poll() override {}
    void wait(std::optional<u64>) override { (*machine)->request_stop(); }
    bool can_wake() const override { return events != nullptr && events->can_wake(); }
    Vm** machine;
    const HostEvents* events = nullptr;
  };

  explicit MachinePair(InjectedFault fault) : fault_(std::move(fault)) {}
  static std::expected<std::unique_ptr<Vm>, std::string> machine(VmConfig config, Taps& taps);
  RunResult run_with_fault(u64 instructions);
  RunResult run_one(Vm& vm, u64 instructions);

  InjectedFault fault_;
  Taps reference_taps_, subject_taps_;
  std::unique_ptr<Vm> reference_, subject_;
  std::unique_ptr<VmComparison> comparison_;
  Vm* running_ = nullptr;
  Idle idle_{&running_};
  RunResult result_, reference_result_;
};

}  // namespace penumbra::machine
