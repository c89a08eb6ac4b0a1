#include "tests/oracle/shrink.h"

#include <algorithm>

#include "frontend/decoder.h"
#include "tests/oracle/compare.h"
#include "tests/oracle/encodings.h"
#include "tests/oracle/random_tests.h"

namespace penumbra::oracle {
namespace {

/// Tries changes and keeps those under which the sides still disagree.
class Shrinker {
 public:
  Shrinker(Test test, Runner& host, Runner& engine)
      : best_(std::move(test)), host_(host), engine_(engine) {}

  template <class Change>
  void attempt(Change change) {
    Test smaller = best_;
    change(smaller);
    if (!disagreement(smaller, host_, engine_).lines.empty()) best_ = std::move(smaller);
  }

  void shrink_code() {
    for (size_t at = 0; at < best_.code.size();) {
      size_t before = best_.code.size();
      std::span<const u8> rest(best_.code.begin() + static_cast<long>(at), best_.code.end());
      auto in = frontend::decode(rest, user_mode(best_.size));
      if (!in) return;
      if (in->length() != before) attempt([&](Test& test) { erase(test.code, at, in->length()); });
      if (best_.code.size() == before) at += in->length();
    }
  }

  void shrink_state(const Test& standard) {
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
        std::copy_n(plain.fx.bytes.begin() + static_cast<long>(offset), size,
                    test.state.fx.bytes.begin() + static_cast<long>(offset));
      });
  }

  void shrink_memory(const Test& standard) {
    for (size_t i = 0; i < best_.pages.size(); ++i)
      attempt([&](Test& test) { test.pages[i].bytes = standard.pages[i].bytes; });
  }

  Test take() { return std::move(best_); }

 private:
  static void erase(std::vector<u8>& code, size_t at, size_t size) {
    code.erase(code.begin() + static_cast<long>(at), code.begin() + static_cast<long>(at + size));
  }

  Test best_;
  Runner& host_;
  Runner& engine_;
};

}  // namespace

Disagreement disagreement(const Test& test, Runner& host, Runner& engine) {
  Disagreement found{host.run(test), {}};
  Result got = engine.run(test);
  auto compare = [&] {
    found.lines = differences(test, found.expected, got, undefined_after(test, found.expected));
  };
  compare();
  // A context switch of the host clears the x87's pointers (FIP, FDP, FOP), so it is asked again.
  for (int again = 0; again < 2 && !found.lines.empty(); ++again) {
    found.expected = host.run(test);
    compare();
  }
  return found;
}

Test shrink(Test test, Runner& host, Runner& engine) {
  Test standard = standard_test(test.size, test.pattern_seed);
  bool comparable = test.pages.size() == standard.pages.size();
  Shrinker shrinker(std::move(test), host, engine);
  shrinker.shrink_code();
  shrinker.shrink_state(standard);
  if (comparable) shrinker.shrink_memory(standard);
  return shrinker.take();
}

}  // namespace penumbra::oracle
