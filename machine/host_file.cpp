#include "machine/host_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace penumbra::machine {

namespace {

struct OpenFile {
  int descriptor;
  ~OpenFile() {
    if (descriptor >= 0) ::close(descriptor);
  }
};

/// What keeps an opened file from being read, empty if nothing.
std::string objection(const struct stat& status, u64 limit) {
  if (S_ISDIR(status.st_mode)) return "is a directory";
  if (!S_ISREG(status.st_mode)) return "is not a regular file";
  if (status.st_size == 0) return "is empty";
  if (static_cast<u64>(status.st_size) > limit) {
    return fmt::format("is too large ({} bytes; the guest's memory has room for {})",
                       status.st_size, limit);
  }
  return {};
}

bool read_all(int descriptor, std::vector<u8>& bytes) {
  for (size_t done = 0; done < bytes.size();) {
    ssize_t count = ::read(descriptor, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    done += static_cast<size_t>(count);
  }
  return true;
}

}  // namespace

std::expected<std::vector<u8>, std::string> read_host_file(const std::string& path, u64 limit) {
  auto failed = [&](const std::string& what) {
    return std::unexpected(fmt::format("{}: {}", path, what));
  };
  OpenFile file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  struct stat status;
  if (file.descriptor < 0 || ::fstat(file.descriptor, &status) != 0) {
    return failed(std::strerror(errno));
  }
  if (std::string what = objection(status, limit); !what.empty()) return failed(what);
  std::vector<u8> bytes(static_cast<size_t>(status.st_size));
  if (!read_all(file.descriptor, bytes)) return failed("cannot be read to its end");
  return bytes;
}

}  // namespace penumbra::machine
