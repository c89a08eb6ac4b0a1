// A real-mode machine that runs captured tests: 2 MiB of RAM, ports that read as all ones.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/fault.h"
#include "machine/engine_kind.h"
#include "tests/sst/moo.h"

namespace penumbra::sst {

struct RunResult {
  enum class End : u8 { Halted, Caught, Other };
  End end = End::Other;
  std::optional<Fault> fault;  ///< the first exception that was raised
  std::array<u16, kMooRegs> regs{};
  std::vector<MemoryByte> changed;  ///< all bytes that differ from the initial memory
};

class RealModeMachine {
 public:
  explicit RealModeMachine(machine::EngineKind engine);
  ~RealModeMachine();

  /// Runs from the initial state to HLT. `stop_at_fault`: to the first exception, not delivered.
  RunResult run(const MooState& initial, bool stop_at_fault);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penumbra::sst
