// The names of generated code for `perf report`: /tmp/perf-PID.map, one line a block.
//
// perf reads the file when it reports. Lines are buffered, and flushed by destruction. The format
// has no way to take a line back: code that comes to the place of dropped code is a later line.
#pragma once

#include <cstdio>
#include <expected>
#include <memory>
#include <string>

#include "common/host_code.h"

namespace penumbra::debug {

class PerfMap final : public HostCodeObserver {
 public:
  /// The error is one line for the user.
  static std::expected<std::unique_ptr<PerfMap>, std::string> create();
  ~PerfMap() override;
  PerfMap(const PerfMap&) = delete;

  /// Where perf looks for the map of this process.
  static std::string path();

  void generated(const HostCode& code) override;
  void dropped(const u8*, u64) override {}

 private:
  explicit PerfMap(std::FILE* file) : file_(file) {}

  std::FILE* file_;
};

}  // namespace penumbra::debug
