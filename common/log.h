// One line a message on stderr, and once per site for what a guest may repeat.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <unordered_set>

namespace penumbra {

void log_line(const std::string& text);

/// Logs each distinct message once, so that a guest cannot flood the terminal. Owned by a device.
class LogOnce {
 public:
  void operator()(const std::string& text) {
    if (seen_.size() < kMost && seen_.insert(text).second) log_line(text);
  }

 private:
  static constexpr size_t kMost = 64;
  std::unordered_set<std::string> seen_;
};

[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace penumbra

/// Our own bug, in every build type. Nothing that a guest or a file supplies may reach it.
#define PENUMBRA_ASSERT(expression) \
  ((expression) ? (void)0 : ::penumbra::assertion_failed(#expression, __FILE__, __LINE__))
