// --stats: what a run did and how fast, as one JSON object or as a table on standard error.
#pragma once

#include <expected>
#include <string>

#include "machine/vm.h"

namespace penumbra::cli {

class StatsFile {
 public:
  static constexpr const char* kTable = "-";  ///< in place of a file's name
  /// Creates the file, so that a wrong name is found before the run.
  static std::expected<StatsFile, std::string> create(const std::string& path);
  /// The error is one line for the user.
  std::expected<void, std::string> write(machine::Vm& vm, const std::string& end,
                                         u64 wall_ns) const;

 private:
  explicit StatsFile(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

/// How far a run in lockstep is; of `compared` instructions on both engines.
std::string progress_line(machine::Vm& vm, u64 compared, u64 wall_ns);

/// How a run ended, in one word of the statistics.
std::string end_name(machine::RunResult::Kind kind);

}  // namespace penumbra::cli
