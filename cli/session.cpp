#include "cli/session.h"

#include <fmt/format.h>
#include <unistd.h>

#include <bit>
#include <ctime>
#include <utility>

#include "cli/run.h"
#include "common/log.h"
#include "debug/gdb_jit.h"
#include "debug/perf_map.h"
#include "machine/host_file.h"
#include "machine/linux_loader.h"

namespace penumbra::cli {

namespace {

/// 2026-01-01 00:00 UTC: when every deterministic machine is switched on.
constexpr i64 kDeterministicTime = 1'767'225'600;

std::unexpected<std::string> about(const std::string& file, const std::string& what) {
  return std::unexpected(fmt::format("{}: {}", file, what));
}

}  // namespace

// ---- preparation --------------------------------------------------------------------------------

std::expected<void, std::string> Session::prepare() {
  for (auto step :
       {&Session::read_snapshot, &Session::choose_serial_ports, &Session::open_serial_ports,
        &Session::watch_serial, &Session::open_debug_console, &Session::open_observers,
        &Session::create_machine, &Session::boot_kernel}) {
    if (auto done = (this->*step)(); !done) return done;
  }
  return {};
}

Session::Prepared Session::read_snapshot() {
  if (!options_.restore) return {};
  auto container = snapshot::Container::read(*options_.restore);
  if (!container) return about(*options_.restore, container.error());
  auto config = machine::Vm::saved_config(*container);
  if (!config) return about(*options_.restore, config.error());
  snapshot_ = std::move(*container);
  saved_config_ = *config;
  return {};
}

/// Without --serial a restored machine has the ports of its snapshot; one of them can be stdio.
Session::Prepared Session::choose_serial_ports() {
  if (!saved_config_ || options_.serial_given) return {};
  options_.serial.clear();
  for (u8 port = 0; port < machine::BoardConfig::kSerialPorts; ++port) {
    bool present = saved_config_->serial_ports & (1u << port);
    options_.serial.push_back({present ? SerialOption::Kind::Stdio : SerialOption::Kind::None, {}});
  }
  if (std::popcount(saved_config_->serial_ports) <= 1) return {};
  return about(*options_.restore, "has several serial ports; name where each goes with --serial");
}

Session::Prepared Session::open_serial_ports() {
  for (size_t port = 0; port < options_.serial.size(); ++port) {
    auto opened = open_serial(options_.serial[port], static_cast<u8>(port));
    if (!opened) return opened;
  }
  return {};
}

Session::Prepared Session::watch_serial() {
  if (!options_.save || options_.save->serial_text.empty()) return {};
  if (board_.serial[0] == nullptr) {
    return std::unexpected("--save-when: serial:TEXT needs a COM1; give --serial");
  }
  watcher_ = std::make_unique<TextWatcher>(*board_.serial[0], options_.save->serial_text, [this] {
    if (!options_.save) return;
    text_seen_ = true;
    vm_->request_stop();
  });
  board_.serial[0] = watcher_.get();
  return {};
}

Session::Prepared Session::open_debug_console() {
  if (!options_.debug_console) return {};
  auto output = Output::open(*options_.debug_console);
  if (!output) return std::unexpected(output.error());
  board_.debug_console = output->get();
  outputs_.push_back(std::move(*output));
  return {};
}

Session::Prepared Session::open_observers() {
  if (options_.stats) {
    auto stats = StatsFile::create(*options_.stats);
    if (!stats) return std::unexpected(stats.error());
    stats_ = *stats;
  }
  if (options_.trace) {
    auto trace = debug::ExecTrace::open(*options_.trace);
    if (!trace) return std::unexpected(trace.error());
    trace_ = std::move(*trace);
  }
  if (options_.perf_map) {
    auto map = debug::PerfMap::create();
    if (!map) return std::unexpected(map.error());
    code_observers_.push_back(std::move(*map));
  }
  if (options_.gdb_jit) code_observers_.push_back(std::make_unique<debug::GdbJit>());
  return {};
}

Session::Prepared Session::open_serial(const SerialOption& serial, u8 port) {
  if (serial.kind == SerialOption::Kind::None) return {};
  if (serial.kind == SerialOption::Kind::Stdio) {
    outputs_.push_back(std::make_unique<Output>(STDOUT_FILENO, "standard output"));
    stdio_port_ = port;
  } else {
    auto output = Output::open(serial.path);
    if (!output) return std::unexpected(output.error());
    outputs_.push_back(std::move(*output));
  }
  board_.serial[port] = outputs_.back().get();
  return {};
}

machine::VmConfig Session::vm_config() const {
  machine::VmConfig config;
  bool deterministic = options_.deterministic.value_or(
      saved_config_ && saved_config_->clock == machine::VirtualClock::Mode::Deterministic);
  config.memory = options_.memory.value_or(saved_config_ ? saved_config_->memory : config.memory);
  config.cpu = options_.cpu.value_or(saved_config_ ? saved_config_->cpu : config.cpu);
  config.clock = deterministic ? machine::VirtualClock::Mode::Deterministic
                               : machine::VirtualClock::Mode::Host;
  config.board = board_;
  config.board.debug_exit = options_.debug_exit;
  config.board.unix_time = deterministic ? kDeterministicTime : std::time(nullptr);
  config.reboot = options_.reboot;
  config.engine = options_.engine;
  config.engine_seed = options_.engine_seed;
  return config;
}

Session::Prepared Session::create_machine() {
  if (options_.lockstep) return create_lockstep();
  auto vm = machine::Vm::create(vm_config());
  if (!vm) return std::unexpected(vm.error());
  single_ = std::move(*vm);
  vm_ = single_.get();
  for (auto& observer : code_observers_) vm_->vcpu().observe_host_code(observer.get());
  return restore();
}

Session::Prepared Session::create_lockstep() {
  auto lockstep = machine::Lockstep::create(vm_config(), lockstep_config());
  if (!lockstep) return std::unexpected(lockstep.error());
  lockstep_ = std::move(*lockstep);
  vm_ = &lockstep_->machines().subject();
  return restore();
}

machine::LockstepConfig Session::lockstep_config() {
  machine::LockstepConfig config;
  config.seed = options_.engine_seed;
  if (options_.lockstep->alone != 0) {
    config.window = options_.lockstep->window;
    config.alone = options_.lockstep->alone;
  }
  config.on_progress = [this] { show_progress(); };
  return config;
}

Session::Prepared Session::restore() {
  if (!snapshot_) return {};
  auto restored = lockstep_ ? lockstep_->machines().restore(*snapshot_) : vm_->restore(*snapshot_);
  snapshot_.reset();
  if (!restored) return about(*options_.restore, restored.error());
  return {};
}

Session::Prepared Session::boot_kernel() {
  if (!options_.kernel) return {};
  u64 room = vm_->memory_map().memory();
  auto kernel = machine::read_host_file(*options_.kernel, room);
  if (!kernel) return std::unexpected(kernel.error());
  std::vector<u8> initrd;
  if (options_.initrd) {
    auto file = machine::read_host_file(*options_.initrd, room);
    if (!file) return std::unexpected(file.error());
    initrd = std::move(*file);
  }
  auto plan = machine::plan_linux_boot({.kernel = *kernel,
                                        .initrd = initrd,
                                        .command_line = options_.append,
                                        .rsdp = vm_->rsdp(),
                                        .long_mode = vm_->model().has(cpu::Feature::LongMode),
                                        .map = vm_->memory_map()});
  if (!plan) return about(*options_.kernel, plan.error());
  if (lockstep_) {
    lockstep_->machines().power_on(*plan);
  } else {
    vm_->power_on(std::move(*plan));
  }
  return {};
}

// ---- the run ------------------------------------------------------------------------------------

int Session::run() {
  signals_ = std::make_unique<StopSignals>([this] { request_stop(); });
  attach_console();
  if (trace_) tracer_ = std::make_unique<machine::ExecTracer>(vm_->vcpu(), vm_->memory(), *trace_);
  if (stdio_port_) terminal_ = std::make_unique<RawTerminal>(STDIN_FILENO);
  started_ns_ = machine::host_monotonic_ns();
  machine::RunResult result = lockstep_ ? run_lockstep() : run_until_end();
  for (auto& output : outputs_) output->flush();
  terminal_.reset();
  return finish(result);
}

void Session::attach_console() {
  auto input = !stdio_port_                  ? Console::Input::None
               : ::isatty(STDIN_FILENO) != 0 ? Console::Input::Keys
                                             : Console::Input::Bytes;
  console_ = std::make_unique<Console>(
      *vm_, input, stdio_port_.value_or(0), signals_->wake_descriptor(),
      Console::Hooks{[this] { stop(true); }, [this] { return status_line(); }});
  for (auto& output : outputs_) {
    output->set_hooks({[this] { return signals_->received() != 0 || quit_; },
                       [this] {
                         output_lost_ = true;
                         stop(false);
                       }});
    console_->add_output(*output);
  }
  if (lockstep_) {
    lockstep_->set_host_events(console_.get());
  } else {
    vm_->set_host_events(console_.get());
  }
}

void Session::request_stop() {
  if (lockstep_) {
    lockstep_->request_stop();
  } else {
    vm_->request_stop();
  }
}

void Session::stop(bool quit) {
  quit_ = quit_ || quit;
  request_stop();
}

machine::RunResult Session::run_lockstep() {
  machine::LockstepResult result = lockstep_->run(options_.max_instructions.value_or(~0ull));
  if (result.divergence) {
    differs_ = true;
    fmt::print(stderr, "\n{}", result.divergence->report);
  }
  log_line(progress_line(*vm_, lockstep_->compared(), machine::host_monotonic_ns() - started_ns_));
  return result.run;
}

void Session::show_progress() {
  constexpr u64 kIntervalNs = 5'000'000'000;
  u64 now = machine::host_monotonic_ns();
  if (now - std::max(shown_ns_, started_ns_) < kIntervalNs) return;
  shown_ns_ = now;
  log_line(progress_line(*vm_, lockstep_->compared(), now - started_ns_));
}

/// Runs to the end, with a pause for the snapshot.
machine::RunResult Session::run_until_end() {
  u64 limit = options_.max_instructions.value_or(~0ull);
  while (true) {
    u64 save_at = options_.save ? options_.save->instructions.value_or(~0ull) : ~0ull;
    u64 done = vm_->retired_here(), until = std::min(limit, save_at);
    machine::RunResult result = vm_->run(until > done ? until - done : 0);
    if (signals_->received() != 0 || quit_ || output_lost_) return result;
    if (!is_time_to_save(result)) return result;
    if (!save() || options_.save->exit_after) return {machine::RunResult::Kind::Stopped};
    options_.save.reset();
  }
}

bool Session::is_time_to_save(const machine::RunResult& result) {
  using Kind = machine::RunResult::Kind;
  if (result.kind == Kind::Stopped) return options_.save && std::exchange(text_seen_, false);
  return result.kind == Kind::MaxInstructions && options_.save && options_.save->instructions &&
         vm_->retired_here() >= *options_.save->instructions;
}

bool Session::save() {
  auto saved = vm_->save(options_.save->path);
  if (saved) return true;
  log_line(fmt::format("{}: {}", options_.save->path, saved.error()));
  save_failed_ = true;
  return false;
}

std::string Session::status_line() const {
  double seconds = static_cast<double>(machine::host_monotonic_ns() - started_ns_) / 1e9;
  auto instructions = static_cast<double>(vm_->retired_here());
  return fmt::format("penumbra: {:.0f} million instructions, {:.1f} MIPS, guest time {:.1f} s",
                     instructions / 1e6, seconds > 0 ? instructions / seconds / 1e6 : 0,
                     static_cast<double>(vm_->clock().now_ns()) / 1e9);
}

// ---- the end ------------------------------------------------------------------------------------

int Session::finish(const machine::RunResult& result) {
  tracer_.reset();
  trace_.reset();
  u64 wall_ns = machine::host_monotonic_ns() - started_ns_;
  int status = status_of(result);
  if (stats_) {
    if (auto written = stats_->write(*vm_, end_name(result.kind), wall_ns); !written) {
      log_line(written.error());
      return Status::kBadInput;
    }
  }
  return status;
}

int Session::status_of(const machine::RunResult& result) {
  using Kind = machine::RunResult::Kind;
  if (differs_) return Status::kDifference;
  if (save_failed_ || output_lost_) return Status::kBadInput;
  switch (result.kind) {
    case Kind::PoweredOff:
    case Kind::Reset:
      return Status::kSuccess;
    case Kind::DebugExit:
      return static_cast<int>(result.status & 0xff);
    case Kind::TripleFault:
      log_line(fmt::format("the guest's CPU shut down: {}", result.detail));
      return Status::kTripleFault;
    case Kind::MaxInstructions:
      log_line(fmt::format("stopped after {} instructions", vm_->retired_here()));
      return Status::kLimit;
    case Kind::Halted:
      log_line("the guest halted and nothing can wake it");
      return Status::kHalted;
    case Kind::Stopped:
      return signals_->received() != 0 ? Status::kSignal + signals_->received() : Status::kSuccess;
  }
  return Status::kSuccess;
}

int run_machine(const Arguments& arguments) {
  auto options = parse_run_options(arguments);
  if (!options) {
    log_line(options.error());
    return Status::kBadInput;
  }
  Session session(std::move(*options));
  if (auto prepared = session.prepare(); !prepared) {
    log_line(prepared.error());
    return Status::kBadInput;
  }
  return session.run();
}

}  // namespace penumbra::cli
