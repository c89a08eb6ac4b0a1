// check_vectors FILE...: vectors of user-mode instructions on the engine and on the host CPU.
//
// Expected answers are the host CPU's (see check_random --bless). On a host of another vendor only
// the engine is tested. Exit 0 only when nothing failed; 2 when a file cannot be read or a line is
// not a vector.
#include <fmt/format.h>

#include "tests/check/data.h"
#include "tests/oracle/compare.h"
#include "tests/oracle/engine/engine_runner.h"
#include "tests/oracle/host_runner.h"
#include "tests/oracle/host_vendor.h"
#include "tests/oracle/vectors.h"

namespace penumbra::check {
namespace {

using namespace oracle;

class Check {
 public:
  Check() : with_host_(host_is_reference_vendor() && host_.available()) {}

  bool line(const std::string& text) {
    if (text.empty() || text.starts_with('#')) return true;
    auto vector = parse_vector(text);
    if (!vector) return false;
    ++total_;
    compare(text, *vector, interp_, "interp");
    compare(text, *vector, baseline_, "baseline");
    if (with_host_) compare(text, *vector, host_, "host", kHostTries);
    return true;
  }

  int report() const {
    fmt::print("{} vectors, {} failures{}\n", total_, failures_,
               with_host_ ? "" : " (engine only: the host is no reference)");
    if (total_ == 0) return kUnusable;
    return failures_ == 0 ? kPassed : kFailed;
  }

 private:
  /// A context switch of the host clears the x87's pointers (FIP, FDP, FOP).
  static constexpr int kHostTries = 3;

  void compare(const std::string& text, const TestVector& vector, Runner& side, const char* name,
               int tries = 1) {
    std::vector<std::string> lines;
    for (; tries > 0; --tries) {
      Result got = side.run(vector.test);
      lines = differences(vector.test, vector.expected, got,
                          undefined_after(vector.test, vector.expected));
      if (lines.empty()) return;
    }
    ++failures_;
    fmt::print("{}: {}\n", name, text);
    for (const std::string& line : lines) fmt::print("    {}\n", line);
  }

  HostRunner host_;
  EngineRunner interp_{"interp"}, baseline_{"baseline"};
  bool with_host_;
  size_t total_ = 0, failures_ = 0;
};

int run(const std::vector<std::string>& files) {
  Check check;
  for (const std::string& path : files) {
    auto lines = read_lines(path);
    if (!lines) {
      fmt::print(stderr, "check_vectors: cannot read {}\n", path);
      return kUnusable;
    }
    for (const std::string& line : *lines) {
      if (check.line(line)) continue;
      fmt::print(stderr, "check_vectors: {}: not a vector: {}\n", path, line);
      return kUnusable;
    }
  }
  return check.report();
}

}  // namespace
}  // namespace penumbra::check

int main(int count, char** arguments) {
  return penumbra::check::run({arguments + 1, arguments + count});
}
