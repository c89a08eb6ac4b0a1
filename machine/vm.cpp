#include "machine/vm.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <chrono>
#include <thread>

namespace penumbra::machine {

namespace {

constexpr u32 kIa32ApicBase = 0x1b;
/// Deterministic machines see the same entropy in every run.
constexpr u64 kEntropySeed = 0x9e3779b9;
constexpr u64 kTripleFaultWindow = 1'000'000;
/// Interrupts off and halted: only an NMI could help, so after this long the machine is dead.
constexpr u64 kDeadAfterNs = 1'000'000'000;
constexpr u64 kPollIntervalNs = 2'000'000;
constexpr u64 kSliceInstructions = 1'000'000;
constexpr u64 kHostSliceNs = 2'000'000;

/// SplitMix64 (Steele, Lea, Flood 2014).
u64 next_random(u64& state) {
  u64 z = state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

u64 host_entropy() {
  u64 value = 0;
  while (::getrandom(&value, sizeof value, 0) != sizeof value) {
  }
  return value;
}

}  // namespace

std::expected<std::unique_ptr<Vm>, std::string> Vm::create(const VmConfig& config) {
  auto model = cpu::CpuModel::parse(config.cpu);
  if (!model) return std::unexpected(model.error());
  MemoryMap map(config.memory);
  auto space = mmu::AddressSpace::create(map.file_bytes());
  if (!space) return std::unexpected(space.error());
  for (const MemoryMap::Slot& slot : map.slots()) {
    (*space)->map({slot.physical}, slot.size, slot.offset, mmu::AddressSpace::SlotKind::Ram);
  }
  return std::unique_ptr<Vm>(new Vm(config, *model, std::move(*space)));
}

Vm::Vm(const VmConfig& config, cpu::CpuModel model, std::unique_ptr<mmu::AddressSpace> space)
    : config_(config),
      map_(config.memory),
      model_(model),
      space_(std::move(space)),
      gate_([this] { return position(); }),
      vcpu_(std::make_unique<Vcpu>(*space_, model_, static_cast<VcpuHost&>(*this),
                                   EngineConfig{config.engine, config.engine_seed})),
      entropy_state_(kEntropySeed),
      host_start_(host_monotonic_ns()) {
  bool host = config_.clock == VirtualClock::Mode::Host;
  clock_ = std::make_unique<VirtualClock>(config_.clock,
                                          [this, host] { return host ? host_ticks() : retired(); });
  BoardHooks hooks;
  hooks.on_reset = [this] { reset_wanted_ = true; };
  hooks.on_power_off = [this] { finish({RunResult::Kind::PoweredOff}); };
  hooks.on_debug_exit = [this](u32 status) { finish({RunResult::Kind::DebugExit, status}); };
  hooks.on_a20 = [this](bool enabled) {
    if (enabled == space_->a20()) return;
    space_->set_a20(enabled);
    vcpu_->state_changed();
  };
  board_ = std::make_unique<Board>(config_.board, map_, *clock_,
                                   static_cast<devices::LocalApicHost&>(*this), std::move(hooks));
  acpi_ = board_->acpi_tables();
  if (host) alarm_ = std::make_unique<HostAlarm>([this] { vcpu_->request_exit(); });
}

Vm::~Vm() = default;

void Vm::power_on(LoadPlan plan) {
  plan_ = std::move(plan);
  reset_machine();
}

void Vm::reset_machine() {
  reset_wanted_ = false;
  halted_since_.reset();
  retired_before_reset_ += vcpu_->retired();
  vcpu_->reset();
  retired_before_reset_ -= vcpu_->retired();
  board_->reset();
  space_->write({acpi_.address}, acpi_.bytes.data(), acpi_.bytes.size());
  place(plan_, *space_);
  enter(plan_.entry, vcpu_->state());
  vcpu_->state_changed();
}

/// What the input gate stamps inputs with. Deterministic: the time, which also moves while the CPU
/// is halted.
u64 Vm::position() const {
  return config_.clock == VirtualClock::Mode::Deterministic ? clock_->now_ns() : retired();
}

u64 Vm::retired() const { return retired_before_reset_ + vcpu_->retired(); }

void Vm::request_stop() {
  stop_requested_ = true;
  vcpu_->request_exit();
}

void Vm::finish(RunResult result) {
  if (!result_) result_ = std::move(result);
}

// ---- the loop -----------------------------------------------------------------------------------

RunResult Vm::run(u64 max_instructions) {
  u64 start = retired();
  u64 end = max_instructions > ~start ? ~0ull : start + max_instructions;
  result_.reset();
  while (!result_) {
    begin_slice();
    u64 now = retired();
    if (stop_requested_.exchange(false)) finish({RunResult::Kind::Stopped});
    if (now >= end) finish({RunResult::Kind::MaxInstructions});
    if (result_) break;
    run_slice(slice_budget(end - now));
  }
  return *result_;
}

/// Runs `budget` instructions, or less: up to whatever needs a look at clock, input or result.
void Vm::run_slice(u64 budget) {
  u64 start = retired(), host_start = alarm_ ? host_monotonic_ns() : 0;
  std::optional<u64> deadline = clock_->next_deadline();
  u64 time_end = std::min(deadline.value_or(~0ull), clock_->now_ns() + kHostSliceNs);
  bool undisturbed = true;
  while (undisturbed && retired() - start < budget) {
    Exit exit = vcpu_->run(budget - (retired() - start));
    serve(exit);
    bool access = exit.reason == Exit::Reason::Port || exit.reason == Exit::Reason::Mmio;
    undisturbed = access && !result_ && !reset_wanted_ && !stop_requested_ &&
                  !gate_.serial_channel() && clock_->next_deadline() == deadline &&
                  (!alarm_ || clock_->now_ns() < time_end);
  }
  if (alarm_) measure_speed(retired() - start, host_monotonic_ns() - host_start);
}

void Vm::begin_slice() {
  poll_host();
  clock_->sample();
  clock_->run_due();
  deliver_serial();
  if (reset_wanted_) {
    ++resets_;
    if (!config_.reboot) return finish({RunResult::Kind::Reset});
    reset_machine();
  }
}

void Vm::poll_host() {
  if (events_ == nullptr) return;
  u64 now = host_monotonic_ns();
  if (now < next_poll_) return;
  next_poll_ = now + kPollIntervalNs;
  events_->poll();
}

void Vm::deliver_serial() {
  while (auto channel = gate_.serial_channel()) {
    devices::Uart16550* uart =
        *channel < BoardConfig::kSerialPorts ? board_->serial(*channel) : nullptr;
    if (uart != nullptr && !uart->can_receive()) return;
    u8 byte = gate_.take_serial();
    if (uart != nullptr) uart->receive(byte);
  }
}

u64 Vm::slice_budget(u64 left) {
  u64 budget = std::min(left, kSliceInstructions);
  u64 now = clock_->now_ns();
  std::optional<u64> deadline = clock_->next_deadline();
  if (alarm_) {
    u64 end = std::min(deadline.value_or(~0ull), now + kHostSliceNs);
    alarm_->set(host_monotonic_ns() + (end > now ? end - now : 0));
    return std::min(left, instructions_until(end));
  }
  if (deadline) budget = std::min(budget, *deadline > now ? *deadline - now : 1);
  if (auto input = gate_.next_position()) {
    budget = std::min(budget, *input > now ? *input - now : 1);
  }
  return budget;
}

/// Host mode: as many as fit until `deadline` at the measured speed; the alarm corrects the rest.
u64 Vm::instructions_until(u64 deadline) {
  u64 now = clock_->now_ns();
  double span = deadline > now ? static_cast<double>(deadline - now) : 0.0;
  return std::max<u64>(1000, static_cast<u64>(span * instructions_per_ns_));
}

void Vm::measure_speed(u64 instructions, u64 host_ns) {
  constexpr u64 kShortestSample = 100'000;
  if (host_ns < kShortestSample) return;
  double speed = static_cast<double>(instructions) / static_cast<double>(host_ns);
  instructions_per_ns_ = std::clamp(0.75 * instructions_per_ns_ + 0.25 * speed, 0.005, 20.0);
}

void Vm::serve(const Exit& exit) {
  switch (exit.reason) {
    case Exit::Reason::Port:
    case Exit::Reason::Mmio:
      return serve_access(exit.access);
    case Exit::Reason::Halt:
      return idle();
    case Exit::Reason::Shutdown:
      return triple_fault(exit.detail);
    case Exit::Reason::Budget:
    case Exit::Reason::Debug:
    case Exit::Reason::Interrupted:
      halted_since_.reset();
      return;
  }
}

void Vm::serve_access(const ExternalAccess& access) {
  clock_->sample();
  if (access.direction == ExternalAccess::Direction::Read) {
    return vcpu_->complete(board_->read(access));
  }
  board_->write(access);
  vcpu_->complete(0);
}

void Vm::triple_fault(const std::string& detail) {
  triple_faults_.push_back(retired());
  if (triple_faults_.size() > kTripleFaultsInARow) triple_faults_.erase(triple_faults_.begin());
  bool looping = triple_faults_.size() == kTripleFaultsInARow &&
                 triple_faults_.back() - triple_faults_.front() < kTripleFaultWindow;
  if (!config_.reboot || looping) return finish({RunResult::Kind::TripleFault, 0, detail});
  log_once_(fmt::format("the guest's CPU shut down, the machine resets: {}", detail));
  reset_wanted_ = true;
}

// ---- idle time ----------------------------------------------------------------------------------

void Vm::idle() {
  ++halts_;
  if (halted_for_good()) return finish({RunResult::Kind::Halted});
  sleep_until(clock_->next_deadline());
}

bool Vm::halted_for_good() {
  bool can_wake = events_ != nullptr && events_->can_wake();
  if (!clock_->next_deadline() && !can_wake) return true;
  if (vcpu_->state().flag(cpu::Flag::kIf)) {
    halted_since_.reset();
    return false;
  }
  u64 now = clock_->now_ns();
  if (!halted_since_) halted_since_ = now;
  return now - *halted_since_ >= kDeadAfterNs;
}

void Vm::sleep_until(std::optional<u64> deadline) {
  u64 now = clock_->now_ns();
  if (halted_since_) deadline = std::min(deadline.value_or(~0ull), now + kDeadAfterNs);
  next_poll_ = 0;
  if (config_.clock == VirtualClock::Mode::Deterministic && deadline) {
    return clock_->skip_to(*deadline);
  }
  clock_->sample();
  now = clock_->now_ns();
  if (deadline && *deadline <= now) return;
  std::optional<u64> timeout;
  if (deadline) timeout = *deadline - now;
  if (events_ != nullptr) {
    events_->wait(timeout);
  } else {
    std::this_thread::sleep_for(std::chrono::nanoseconds(timeout.value_or(0)));
  }
}

// ---- what the vCPU and its local APIC ask -------------------------------------------------------

u64 Vm::host_ticks() {
  return gate_.ask(InputKind::Time, [this] { return host_monotonic_ns() - host_start_; });
}

u64 Vm::clock_tsc() {
  clock_->sample();
  return clock_->now_ns();
}

u64 Vm::random() {
  return gate_.ask(InputKind::Entropy, [this] {
    return config_.clock == VirtualClock::Mode::Host ? host_entropy() : next_random(entropy_state_);
  });
}

Expected<u64> Vm::apic_read_msr(u32 index) {
  clock_->sample();
  return board_->local_apic().read_msr(index);
}

Expected<> Vm::apic_write_msr(u32 index, u64 value) {
  clock_->sample();
  TRY(board_->local_apic().write_msr(index, value));
  if (index == kIa32ApicBase) board_->local_apic_moved();
  return {};
}

void Vm::smi() { log_once_("the guest sent an SMI; there is no system management mode"); }

u64 Vm::tsc() { return clock_->now_ns() + vcpu_->state().tsc_offset; }

u64 Vm::tsc_to_ns(u64 tsc) { return tsc - vcpu_->state().tsc_offset; }

}  // namespace penumbra::machine
