// Runs tests on Penumbra's own vCPU, in a guest whose user-mode process looks as it does on Linux.
//
// The engine's side of a comparison: same linear addresses, same segments, same pages mapped on
// fault. Exceptions are seen before they are delivered; nothing of a guest kernel runs.
#pragma once

#include <memory>

#include "tests/oracle/test_case.h"

namespace penumbra::oracle {

class EngineRunner final : public Runner {
 public:
  EngineRunner();
  ~EngineRunner() override;

  Result run(const Test& test) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penumbra::oracle
