#include "debug/perf_map.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "debug/code_name.h"

namespace penumbra::debug {

std::string PerfMap::path() { return fmt::format("/tmp/perf-{}.map", ::getpid()); }

/// A file of the name is one of an earlier process; it may be a trap, so it is never written to.
std::expected<std::unique_ptr<PerfMap>, std::string> PerfMap::create() {
  std::string name = path();
  ::unlink(name.c_str());
  constexpr mode_t kReadable = 0644;
  int descriptor = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kReadable);
  std::FILE* file = descriptor < 0 ? nullptr : ::fdopen(descriptor, "w");
  if (file == nullptr) return std::unexpected(fmt::format("{}: {}", name, std::strerror(errno)));
  return std::unique_ptr<PerfMap>(new PerfMap(file));
}

PerfMap::~PerfMap() { std::fclose(file_); }

void PerfMap::generated(const HostCode& code) {
  fmt::print(file_, "{:x} {:x} {}\n", reinterpret_cast<u64>(code.code), code.size, code_name(code));
}

}  // namespace penumbra::debug
