// The engines of one vCPU and what they share: slow paths, the source of blocks, code tracking.
//
// run() chooses the engine: single instructions always go through tier 0, and so do those that
// generated code leaves out.
#pragma once

#include "jit/core/boundary.h"
#include "jit/core/counters.h"
#include "jit/interp/interpreter.h"
#include "jit/stencil/baseline.h"

namespace penumbra::jit {

class Engines final : public mmu::CodeObserver {
 public:
  enum class Tier : u8 { Interpreter, Baseline };

  Engines(cpu::CpuContext& context, mmu::AddressSpace& space, mmu::Mmu& mmu, Boundary& boundary,
          Tier tier, const Variation& variation = {});
  ~Engines() override;

  /// Executes from state.rip until a reason to stop, at an exact instruction boundary with all
  /// state current. `mode` is the code-mode word of the state; `single`: at most one instruction.
  Stop run(CodeMode mode, bool single);
  const Fault& fault() const { return slow_.fault(); }
  /// Forgets every translated block. No block may be running.
  void flush();
  EngineCounters counters() const;
  Tier tier() const { return baseline_ ? Tier::Baseline : Tier::Interpreter; }
  /// It is told of all generated code from now on, and outlives this.
  void observe_host_code(HostCodeObserver* observer);
  /// Listings of the generated blocks with the byte at `address`; empty where there is none.
  std::string describe_blocks(GuestPhys address, CodeMode mode) const;

  void code_written(GuestPhys address, u64 size) override;

 private:
  /// Of tier 0 beside generated code: single instructions where slices end, ever others.
  static constexpr size_t kMostSingles = 8192;

  void invalidate(u64 begin, u64 end);
  Stop run_blocks(CodeMode mode);
  Stop run_baseline(CodeMode mode);
  Stop run_single(CodeMode mode);

  cpu::CpuContext& context_;
  mmu::AddressSpace& space_;
  Boundary& boundary_;
  SlowPath slow_;
  CodeSource source_;
  Interpreter interpreter_;
  std::unique_ptr<Baseline> baseline_;  ///< where that is the engine
  u64 invalidations_ = 0, stepped_ = 0;
};

}  // namespace penumbra::jit
