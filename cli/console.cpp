#include "cli/console.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace penumbra::cli {

Console::Console(machine::Vm& vm, Input input, u8 serial_port, int wake_descriptor, Hooks hooks)
    : vm_(vm),
      input_(input),
      serial_port_(serial_port),
      wake_descriptor_(wake_descriptor),
      hooks_(std::move(hooks)) {}

void Console::flush() {
  for (Output* output : outputs_) output->flush();
}

/// From a pipe no more than the guest has room for; keys always, since one may be Ctrl-A x.
bool Console::wants_input() const {
  return input_ == Input::Keys ||
         (input_ == Input::Bytes && vm_.input_gate().serial_waiting() < kEnoughWaiting);
}

void Console::poll() {
  flush();
  if (!wants_input()) return;
  pollfd in{STDIN_FILENO, POLLIN, 0};
  if (::poll(&in, 1, 0) > 0) read_input();
}

void Console::wait(std::optional<u64> timeout_ns) {
  flush();
  pollfd descriptors[2] = {{wake_descriptor_, POLLIN, 0},
                           {wants_input() ? STDIN_FILENO : -1, POLLIN, 0}};
  timespec timeout{};
  if (timeout_ns) {
    timeout.tv_sec = static_cast<time_t>(*timeout_ns / 1'000'000'000);
    timeout.tv_nsec = static_cast<long>(*timeout_ns % 1'000'000'000);
  }
  int ready = ::ppoll(descriptors, 2, timeout_ns ? &timeout : nullptr, nullptr);
  if (ready > 0 && descriptors[1].revents != 0) read_input();
}

void Console::read_input() {
  u8 bytes[1024];
  ssize_t count = ::read(STDIN_FILENO, bytes, sizeof bytes);
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (count <= 0) {
    input_ = Input::None;
    return;
  }
  for (ssize_t i = 0; i < count; ++i) {
    act(input_ == Input::Keys ? keys_.feed(bytes[i]) : Key{Key::Action::Send, bytes[i]});
  }
}

void Console::act(const Key& key) {
  switch (key.action) {
    case Key::Action::None:
      return;
    case Key::Action::Send:
      // Typed ahead further than any guest reads: dropped, as a full UART would.
      if (vm_.input_gate().serial_waiting() < 2 * kEnoughWaiting) {
        vm_.offer_serial(serial_port_, key.byte);
      }
      return;
    case Key::Action::Quit:
      return hooks_.quit();
    case Key::Action::Help:
      fmt::print(stderr, "\r\n{}", KeyDecoder::kHelp);
      return;
    case Key::Action::Status:
      fmt::print(stderr, "\r\n{}\r\n", hooks_.status());
      return;
  }
}

}  // namespace penumbra::cli
