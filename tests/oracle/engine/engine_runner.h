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
  static constexpr const char* kDefault = "interp";
  /// Whether an engine of that name can be chosen: interp, or baseline, or baseline:SEED, which
  /// varies what generated code may choose (machine/engine_kind.h).
  static bool knows(const std::string& engine);

  explicit EngineRunner(const std::string& engine = kDefault);
  ~EngineRunner() override;

  Result run(const Test& test) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penumbra::oracle
