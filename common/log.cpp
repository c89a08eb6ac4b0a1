#include "common/log.h"

#include <cstdlib>

namespace penumbra {

void log_line(const std::string& text) { std::fprintf(stderr, "penumbra: %s\n", text.c_str()); }

void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "penumbra: internal error: %s (%s:%d)\n", expression, file, line);
  std::abort();
}

}  // namespace penumbra
