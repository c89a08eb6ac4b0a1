// Where the guest's characters go: a file descriptor, or nowhere; and a watcher for a text.
//
// Output is buffered and flushed at line ends and when the console is idle. Writing waits for a
// slow reader, but not forever: as soon as the run is to stop, what cannot be written is dropped.
// A reader that went away ends the output, and is reported once.
#pragma once

#include <expected>
#include <functional>
#include <string>

#include "devices/interfaces.h"

namespace penumbra::cli {

class Output final : public devices::CharBackend {
 public:
  /// Does not own `descriptor`. `name` is for error lines; `stopping` tells that the run is to end;
  /// `lost` is called once when the reader is gone or the disk is full.
  struct Hooks {
    std::function<bool()> stopping = [] { return false; };
    std::function<void()> lost = [] {};
  };
  Output(int descriptor, std::string name) : descriptor_(descriptor), name_(std::move(name)) {}
  ~Output() override;
  Output(const Output&) = delete;

  /// A file, created or emptied. The error is one line for the user.
  static std::expected<std::unique_ptr<Output>, std::string> open(const std::string& path);

  void set_hooks(Hooks hooks) { hooks_ = std::move(hooks); }
  void write(u8 byte) override;
  void flush();

 private:
  static constexpr size_t kBufferBytes = 4096;
  bool wait_writable();

  int descriptor_;
  bool owned_ = false;
  bool broken_ = false;
  std::string name_;
  std::string buffer_;
  Hooks hooks_;
};

/// Swallows everything: --serial none is no port at all, this is a port nobody listens to.
class NoOutput final : public devices::CharBackend {
 public:
  void write(u8) override {}
};

/// Passes on, and calls `found` when `text` has gone by (each time).
class TextWatcher final : public devices::CharBackend {
 public:
  TextWatcher(devices::CharBackend& to, std::string text, std::function<void()> found);
  void write(u8 byte) override;

 private:
  devices::CharBackend& to_;
  std::string text_;
  std::function<void()> found_;
  std::string tail_;  ///< the last characters, at most as many as the text has
};

}  // namespace penumbra::cli
