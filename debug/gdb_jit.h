// The names of generated code for gdb, by its JIT interface (gdb manual, "JIT Compilation
// Interface"): small ELF objects in memory, each with the symbols of a batch of blocks.
//
// A gdb that attaches finds every block. One that is attached already reads a batch again whenever
// it has doubled, so the newest blocks may have no name in it. One GdbJit a process.
#pragma once

#include <list>
#include <memory>

#include "common/host_code.h"

namespace penumbra::debug {

class GdbJit final : public HostCodeObserver {
 public:
  GdbJit();
  ~GdbJit() override;
  GdbJit(const GdbJit&) = delete;

  void generated(const HostCode& code) override;
  void dropped(const u8* begin, u64 size) override;

 private:
  class Batch;

  std::list<std::unique_ptr<Batch>> batches_;  ///< the last one is being filled, unless it is full
};

}  // namespace penumbra::debug
