// One run of a machine from the command line: its files, its console, and its end.
//
// Built in steps, each of which may refuse with one line for the user; what is built in one step
// outlives what the later ones build. Nothing touches the terminal before all of them succeeded.
#pragma once

#include <memory>

#include "cli/console.h"
#include "cli/output.h"
#include "cli/run_options.h"
#include "cli/stats.h"
#include "cli/terminal.h"
#include "debug/exec_trace.h"
#include "machine/exec_tracer.h"
#include "machine/lockstep.h"
#include "machine/vm.h"

namespace penumbra::cli {

class Session {
 public:
  explicit Session(RunOptions options) : options_(std::move(options)) {}

  /// Everything that can be wrong with options and files is found here.
  std::expected<void, std::string> prepare();
  /// Runs to the end: the exit status.
  int run();

 private:
  using Prepared = std::expected<void, std::string>;

  Prepared read_snapshot();
  Prepared choose_serial_ports();
  Prepared open_serial_ports();
  Prepared open_serial(const SerialOption& serial, u8 port);
  Prepared watch_serial();
  Prepared open_debug_console();
  Prepared open_observers();
  Prepared create_machine();
  Prepared create_lockstep();
  machine::LockstepConfig lockstep_config();
  Prepared restore();
  Prepared boot_kernel();
  machine::VmConfig vm_config() const;
  void attach_console();
  machine::RunResult run_until_end();
  machine::RunResult run_lockstep();
  void show_progress();
  bool is_time_to_save(const machine::RunResult& result);
  bool save();
  int finish(const machine::RunResult& result);
  int status_of(const machine::RunResult& result);
  void request_stop();
  void stop(bool quit);
  std::string status_line() const;

  RunOptions options_;
  std::optional<snapshot::Container> snapshot_;
  std::optional<machine::Vm::SavedConfig> saved_config_;
  std::vector<std::unique_ptr<Output>> outputs_;
  std::unique_ptr<TextWatcher> watcher_;
  machine::BoardConfig board_;
  std::optional<u8> stdio_port_;
  std::optional<StatsFile> stats_;
  std::unique_ptr<debug::ExecTrace> trace_;
  std::vector<std::unique_ptr<HostCodeObserver>> code_observers_;
  std::unique_ptr<machine::Vm> single_;
  std::unique_ptr<machine::Lockstep> lockstep_;  ///< in place of single_
  machine::Vm* vm_ = nullptr;                    ///< the single one, or the subject of lockstep
  std::unique_ptr<StopSignals> signals_;
  std::unique_ptr<Console> console_;
  std::unique_ptr<machine::ExecTracer> tracer_;
  std::unique_ptr<RawTerminal> terminal_;
  u64 started_ns_ = 0, shown_ns_ = 0;
  bool quit_ = false;         ///< by key
  bool output_lost_ = false;  ///< standard output has no reader any more
  bool text_seen_ = false;    ///< --save-when serial:TEXT
  bool save_failed_ = false;
  bool differs_ = false;  ///< lockstep ended by a difference
};

}  // namespace penumbra::cli
