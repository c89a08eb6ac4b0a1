// The sandboxed child that runs tests on the real CPU, and the memory it shares with its parent.
//
// After start-up the child lives in one signal handler: it waits for a request, writes the test's
// registers into the signal frame and returns into the test; the signal that ends the test brings
// it back. Only system calls from one stub are allowed by its seccomp filter; one made by a test
// ends that test. It uses no thread-local storage, since FS belongs to the test.
#pragma once

#include "tests/oracle/test_case.h"

namespace penumbra::oracle {

struct HostControl {
  static constexpr u32 kMostPages = 96;

  struct Page {
    u64 address;
    bool writable;
  };

  u32 request;  ///< counts requests; a futex
  u32 reply;    ///< the last request that was answered; a futex

  // The request. Pool slot 0 is the code page, slot i + 1 holds pages[i].
  CodeSize size;
  u32 page_count;
  u32 most_mapped;
  u64 pattern_seed;
  u64 end;
  MachineState in;
  Page pages[kMostPages];  ///< the child appends what it maps

  // The answer.
  Outcome outcome;
  u32 pages_after;
  u8 trap;
  u32 error_code;
  u64 address;
  MachineState out;
};

/// Where the pool starts in the shared file.
constexpr u64 kPoolOffset = (sizeof(HostControl) + kPageMask) & ~kPageMask;
constexpr u64 kSharedSize = kPoolOffset + (HostControl::kMostPages + 1) * kPageSize;

/// Becomes the child: never returns. `control` is the shared mapping of file `shared_fd`.
[[noreturn]] void run_host_child(HostControl* control, int shared_fd);

/// FUTEX_WAIT and FUTEX_WAKE on a shared word.
bool futex_wait(u32* word, u32 seen, u64 timeout_ns);
void futex_wake(u32* word);

}  // namespace penumbra::oracle
