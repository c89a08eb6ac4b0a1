// The terminal in raw mode, and signals: whatever ends the program, the terminal is as it was.
//
// Normal end and exceptions restore it by destruction, exit() by an atexit handler, termination
// signals by ending the run, and crashes (abort, segmentation fault) in the signal handler. A stop
// from outside (SIGTSTP) restores it and SIGCONT enters raw mode again.
#pragma once

#include <functional>

#include "common/types.h"

namespace penumbra::cli {

/// Only one may exist. `descriptor` not a terminal, or this process in the background: nothing is
/// changed.
class RawTerminal {
 public:
  explicit RawTerminal(int descriptor);
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  bool active() const;
};

/// While it lives, SIGINT, SIGTERM, SIGHUP and SIGQUIT call `stop` (which must be safe in a signal
/// handler) and wake wake_descriptor(); the second one ends the process. Only one may exist.
class StopSignals {
 public:
  explicit StopSignals(std::function<void()> stop);
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;

  /// Readable once a signal has come.
  int wake_descriptor() const;
  /// The signal that came, or 0.
  int received() const;
};

}  // namespace penumbra::cli
