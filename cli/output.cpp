#include "cli/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "common/log.h"

namespace penumbra::cli {

std::expected<std::unique_ptr<Output>, std::string> Output::open(const std::string& path) {
  int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0) return std::unexpected(fmt::format("{}: {}", path, std::strerror(errno)));
  auto output = std::make_unique<Output>(descriptor, path);
  output->owned_ = true;
  return output;
}

Output::~Output() {
  flush();
  if (owned_) ::close(descriptor_);
}

void Output::write(u8 byte) {
  buffer_.push_back(static_cast<char>(byte));
  if (byte == '\n' || buffer_.size() >= kBufferBytes) flush();
}

/// Waits until PIPE_BUF bytes can be written without blocking; false when the run is to stop.
bool Output::wait_writable() {
  constexpr int kLookUpMs = 50;
  while (true) {
    pollfd poll{descriptor_, POLLOUT, 0};
    if (::poll(&poll, 1, kLookUpMs) > 0) return true;
    if (hooks_.stopping()) return false;
  }
}

void Output::flush() {
  size_t done = 0;
  while (done < buffer_.size() && !broken_) {
    if (!wait_writable()) break;
    size_t size = std::min<size_t>(buffer_.size() - done, PIPE_BUF);
    ssize_t written = ::write(descriptor_, buffer_.data() + done, size);
    if (written >= 0) {
      done += static_cast<size_t>(written);
    } else if (errno != EINTR && errno != EAGAIN) {
      broken_ = true;
      log_line(fmt::format("{}: {}", name_, std::strerror(errno)));
      hooks_.lost();
    }
  }
  buffer_.clear();
}

TextWatcher::TextWatcher(devices::CharBackend& to, std::string text, std::function<void()> found)
    : to_(to), text_(std::move(text)), found_(std::move(found)) {}

void TextWatcher::write(u8 byte) {
  to_.write(byte);
  tail_.push_back(static_cast<char>(byte));
  if (tail_.size() > text_.size()) tail_.erase(0, 1);
  if (tail_ == text_) found_();
}

}  // namespace penumbra::cli
