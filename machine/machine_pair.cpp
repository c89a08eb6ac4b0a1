#include "machine/machine_pair.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

namespace penumbra::machine {

namespace {

bool same_end(const RunResult& a, const RunResult& b) {
  return a.kind == b.kind && a.status == b.status && a.detail == b.detail;
}

/// RAM that fork() copies; it has been written to by nobody yet.
bool make_private(mmu::AddressSpace& space) {
  return ::mmap(space.ram(), space.ram_bytes(), PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED;
}

}  // namespace

void MachinePair::Tap::write(u8 byte) {
  ++count;
  hash = hash_bytes(&byte, 1, hash);
  if (to != nullptr) to->write(byte);
}

std::expected<std::unique_ptr<MachinePair>, std::string> MachinePair::create(VmConfig config,
                                                                             InjectedFault fault) {
  PENUMBRA_ASSERT(config.clock == VirtualClock::Mode::Deterministic);
  std::unique_ptr<MachinePair> pair(new MachinePair(std::move(fault)));
  auto subject = machine(config, pair->subject_taps_);
  config.engine = EngineKind::Interp;
  config.engine_seed = 0;
  auto reference = machine(config, pair->reference_taps_);
  if (!subject) return std::unexpected(subject.error());
  if (!reference) return std::unexpected(reference.error());
  for (Tap& tap : pair->reference_taps_) tap.to = nullptr;
  pair->subject_ = std::move(*subject);
  pair->reference_ = std::move(*reference);
  pair->subject_->set_host_events(&pair->idle_);
  pair->reference_->set_host_events(&pair->idle_);
  pair->comparison_ = std::make_unique<VmComparison>(*pair->reference_, *pair->subject_);
  return pair;
}

std::expected<std::unique_ptr<Vm>, std::string> MachinePair::machine(VmConfig config, Taps& taps) {
  auto tap = [&](size_t index, devices::CharBackend*& backend) {
    taps[index].to = backend;
    if (backend != nullptr) backend = &taps[index];
  };
  for (size_t i = 0; i < BoardConfig::kSerialPorts; ++i) tap(i, config.board.serial[i]);
  tap(BoardConfig::kSerialPorts, config.board.debug_console);
  auto vm = Vm::create(config);
  if (!vm) return vm;
  if (make_private((*vm)->memory())) return vm;
  return std::unexpected(fmt::format("no private guest memory: {}", std::strerror(errno)));
}

void MachinePair::power_on(const LoadPlan& plan) {
  subject_->power_on(plan);
  reference_->power_on(plan);
}

std::expected<void, std::string> MachinePair::restore(const snapshot::Container& container) {
  if (auto restored = subject_->restore(container); !restored) return restored;
  return reference_->restore(container);
}

RunResult MachinePair::run_one(Vm& vm, u64 instructions) {
  running_ = &vm;
  return vm.run(instructions);
}

RunResult MachinePair::run_with_fault(u64 instructions) {
  u64 before = subject_->retired();
  if (fault_.at <= before || fault_.at - before > instructions) {
    return run_one(*subject_, instructions);
  }
  RunResult result = run_one(*subject_, fault_.at - before);
  if (subject_->retired() != fault_.at) return result;
  fault_.apply(*subject_);
  return run_one(*subject_, before + instructions - fault_.at);
}

void MachinePair::run(u64 instructions) {
  result_ = run_with_fault(instructions);
  reference_result_ = run_one(*reference_, instructions);
}

void MachinePair::run_subject(u64 instructions) { result_ = run_with_fault(instructions); }

void MachinePair::catch_up() {
  reference_->become(*subject_);
  for (size_t i = 0; i < kTaps; ++i) {
    reference_taps_[i].count = subject_taps_[i].count;
    reference_taps_[i].hash = subject_taps_[i].hash;
  }
  reference_result_ = result_;
}

void MachinePair::give_input(const std::vector<u8>& input) {
  for (Vm* vm : {subject_.get(), reference_.get()}) {
    Archive archive = Archive::loader(input);
    archive(vm->input_gate());
  }
}

bool MachinePair::same_state() {
  return same_end(result_, reference_result_) && subject_taps_ == reference_taps_ &&
         comparison_->same_state();
}

bool MachinePair::same() { return same_state() && comparison_->same_memory(); }

std::vector<Difference> MachinePair::differences() {
  std::vector<Difference> found = comparison_->differences();
  if (!same_end(result_, reference_result_)) {
    auto shown = [](const RunResult& result) {
      return fmt::format("{} {} {}", static_cast<int>(result.kind), result.status, result.detail);
    };
    found.push_back({"how the run ended", shown(reference_result_), shown(result_)});
  }
  for (size_t i = 0; i < kTaps; ++i) {
    if (subject_taps_[i] == reference_taps_[i]) continue;
    auto shown = [](const Tap& tap) {
      return fmt::format("{} characters, {:016x}", tap.count, tap.hash);
    };
    found.push_back({i < BoardConfig::kSerialPorts ? fmt::format("printed on COM{}", i + 1)
                                                   : "printed on the debug console",
                     shown(reference_taps_[i]), shown(subject_taps_[i])});
  }
  return found;
}

void MachinePair::mute() {
  for (Tap& tap : subject_taps_) tap.to = nullptr;
}

}  // namespace penumbra::machine
