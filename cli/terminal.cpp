#include "cli/terminal.h"

#include <sys/eventfd.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>

namespace penumbra::cli {

namespace {

// Signal handlers have no arguments of ours: what they need is here and nowhere else.
int terminal_descriptor = -1;
std::atomic<bool> terminal_is_raw = false;
termios original_mode, raw_mode;

std::function<void()> stop_function;
std::atomic<int> stop_signal = 0;
int wake_event = -1;

constexpr int kStopSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
constexpr int kCrashSignals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};

void restore_terminal() {
  if (terminal_is_raw.exchange(false)) ::tcsetattr(terminal_descriptor, TCSANOW, &original_mode);
}

void enter_raw_mode() {
  if (!terminal_is_raw.exchange(true)) ::tcsetattr(terminal_descriptor, TCSANOW, &raw_mode);
}

void on_crash(int signal) {
  restore_terminal();
  ::raise(signal);  // SA_RESETHAND: this time it kills
}

void on_suspend(int) {
  bool was_raw = terminal_is_raw;
  restore_terminal();
  ::raise(SIGSTOP);
  if (was_raw) enter_raw_mode();
}

void on_stop(int signal) {
  if (stop_signal.exchange(signal) != 0) {
    restore_terminal();
    ::_exit(128 + signal);
  }
  u64 one = 1;
  [[maybe_unused]] ssize_t written = ::write(wake_event, &one, sizeof one);
  stop_function();
}

void install(int signal, void (*handler)(int), int flags) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  ::sigaction(signal, &action, nullptr);
}

termios raw_from(termios mode) {
  mode.c_iflag &= ~static_cast<tcflag_t>(BRKINT | ICRNL | INLCR | IGNCR | INPCK | ISTRIP | IXON);
  mode.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | IEXTEN | ISIG);
  mode.c_cc[VMIN] = 1;
  mode.c_cc[VTIME] = 0;
  return mode;
}

}  // namespace

RawTerminal::RawTerminal(int descriptor) {
  if (!::isatty(descriptor) || ::tcgetpgrp(descriptor) != ::getpgrp()) return;
  if (::tcgetattr(descriptor, &original_mode) != 0) return;
  terminal_descriptor = descriptor;
  raw_mode = raw_from(original_mode);
  static const bool registered = std::atexit(restore_terminal) == 0;
  if (!registered) return;
  for (int signal : kCrashSignals) install(signal, on_crash, static_cast<int>(SA_RESETHAND));
  install(SIGTSTP, on_suspend, SA_RESTART);
  enter_raw_mode();
}

RawTerminal::~RawTerminal() {
  restore_terminal();
  for (int signal : kCrashSignals) install(signal, SIG_DFL, 0);
  install(SIGTSTP, SIG_DFL, 0);
}

bool RawTerminal::active() const { return terminal_is_raw; }

StopSignals::StopSignals(std::function<void()> stop) {
  stop_function = std::move(stop);
  stop_signal = 0;
  wake_event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  for (int signal : kStopSignals) install(signal, on_stop, 0);
  install(SIGPIPE, SIG_IGN, 0);
}

StopSignals::~StopSignals() {
  for (int signal : kStopSignals) install(signal, SIG_DFL, 0);
  ::close(wake_event);
  wake_event = -1;
}

int StopSignals::wake_descriptor() const { return wake_event; }
int StopSignals::received() const { return stop_signal; }

}  // namespace penumbra::cli
