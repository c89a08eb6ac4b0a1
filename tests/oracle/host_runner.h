// Runs tests on the real CPU, in a sandboxed child process (see host_child.h).
//
// Tens of thousands of tests a second; a child that dies or hangs is replaced and its test reported
// as Broken. Registers, x87, SSE and MXCSR are exact; segment registers are Linux's. Page-fault
// error codes are the hardware's, except that Linux reports addresses of the kernel's half as
// present.
#pragma once

#include <sys/types.h>

#include "tests/oracle/test_case.h"

namespace penumbra::oracle {

struct HostControl;

class HostRunner final : public Runner {
 public:
  HostRunner();
  ~HostRunner() override;
  HostRunner(const HostRunner&) = delete;
  HostRunner& operator=(const HostRunner&) = delete;

  /// False where the host lets no sandbox start; run() then reports Broken.
  bool available() const { return control_ != nullptr; }
  /// Children started so far: 1 as long as none had to be replaced.
  u32 children() const { return children_; }

  Result run(const Test& test) override;

 private:
  void start();
  void stop();
  bool post(const Test& test);
  bool wait_for_reply();
  Result collect(const Test& test) const;

  HostControl* control_ = nullptr;
  int shared_fd_ = -1;
  pid_t child_ = -1;
  u32 children_ = 0;
};

}  // namespace penumbra::oracle
