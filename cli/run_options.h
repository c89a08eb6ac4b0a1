// The options of `penumbra run`, checked and typed.
#pragma once

#include "cli/option_table.h"
#include "machine/engine_kind.h"

namespace penumbra::cli {

struct SerialOption {
  enum class Kind : u8 { Stdio, File, None };
  Kind kind = Kind::None;
  std::string path;
};

struct SaveOption {
  std::string path;
  std::string serial_text;          ///< when this has been printed ...
  std::optional<u64> instructions;  ///< ... or when so many have retired
  bool exit_after = false;
};

struct LockstepOption {
  u64 window = 0, alone = 0;  ///< in instructions; 0, 0: all of the run
};

struct RunOptions {
  std::optional<std::string> kernel, initrd, restore, trace, stats, debug_console;
  std::string append;
  std::optional<u64> memory;  ///< not given: the default, or the snapshot's
  std::optional<std::string> cpu;
  std::optional<bool> deterministic;
  machine::EngineKind engine = machine::EngineKind::Auto;
  u64 engine_seed = 0;
  std::optional<LockstepOption> lockstep;  ///< `engine` beside the interpreter
  std::vector<SerialOption> serial;
  bool serial_given = false;
  bool debug_exit = false;
  bool perf_map = false, gdb_jit = false;
  bool reboot = true;
  std::optional<u64> max_instructions;
  std::optional<SaveOption> save;
};

const Command& run_command();

/// The error is one line for the user.
std::expected<RunOptions, std::string> parse_run_options(const Arguments& arguments);

/// A whole number, with k, M or G for thousands, millions, milliards.
std::expected<u64, std::string> parse_count(const std::string& text);

}  // namespace penumbra::cli
