#include "tests/oracle/bless.h"

#include <algorithm>

#include "tests/oracle/random_tests.h"
#include "tests/oracle/vectors.h"

namespace penumbra::oracle {
namespace {

std::string outputs_of(const std::string& vector) { return vector.substr(vector.rfind(';')); }

/// Sets inputs back as long as the answer stays.
class Reducer {
 public:
  Reducer(Test test, Runner& host) : best_(std::move(test)), host_(host), line_(line_of(best_)) {}

  void reduce() {
    Test standard = standard_test(best_.size, best_.pattern_seed);
    const MachineState& plain = standard.state;
    for (unsigned i = 0; i < 16; ++i)
      attempt([&](Test& test) { test.state.gpr[i] = plain.gpr[i]; });
    attempt([&](Test& test) { test.state.rflags = plain.rflags; });
    attempt([&](Test& test) { test.state.fs_base = test.state.gs_base = 0; });
    attempt([&](Test& test) { test.state.fx = plain.fx; });
    attempt([&](Test& test) { test.state.ymm_high = {}; });
    for (unsigned i = 0; i < 16; ++i) attempt([&](Test& test) { test.state.ymm_high[i] = {}; });
    for (size_t offset = 0; offset < FxImage::kUnused; offset += offset < FxImage::kSt ? 2 : 8)
      attempt([&](Test& test) {
        size_t size = offset < FxImage::kSt ? 2 : 8;
        auto from = plain.fx.bytes.begin() + static_cast<long>(offset);
        std::copy_n(from, size, test.state.fx.bytes.begin() + static_cast<long>(offset));
      });
    for (size_t page = 0; page < best_.pages.size(); ++page)
      attempt([&](Test& test) { test.pages[page].bytes = standard.pages[page].bytes; });
  }

  bool definite() const { return !line_.empty(); }
  std::string take() { return std::move(line_); }

 private:
  template <class Change>
  void attempt(Change change) {
    Test simpler = best_;
    change(simpler);
    std::string line = line_of(simpler);
    if (line.empty() || outputs_of(line) != outputs_of(line_)) return;
    best_ = std::move(simpler);
    line_ = std::move(line);
  }

  std::string line_of(const Test& test) {
    Result result = host_.run(test);
    bool definite = result.outcome == Outcome::Ended || result.outcome == Outcome::Fault;
    return definite ? to_vector(test, result) : std::string();
  }

  Test best_;
  Runner& host_;
  std::string line_;
};

}  // namespace

std::string bless(Test test, Runner& host) {
  Reducer reducer(std::move(test), host);
  if (reducer.definite()) reducer.reduce();
  return reducer.take();
}

}  // namespace penumbra::oracle
