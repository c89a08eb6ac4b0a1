// --stats: what a run did and how fast, as one JSON object.
#pragma once

#include <expected>
#include <string>

#include "machine/vm.h"

namespace penumbra::cli {

class StatsFile {
 public:
  /// Creates the file, so that a wrong name is found before the run.
  static std::expected<StatsFile, std::string> create(const std::string& path);
  /// The error is one line for the user.
  std::expected<void, std::string> write(machine::Vm& vm, const std::string& end,
                                         u64 wall_ns) const;

 private:
  explicit StatsFile(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

/// How a run ended, in one word of the statistics.
std::string end_name(machine::RunResult::Kind kind);

}  // namespace penumbra::cli
