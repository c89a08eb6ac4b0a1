// Feeds debug::ExecTrace from a vCPU: before every instruction its bytes and registers.
#pragma once

#include "debug/exec_trace.h"
#include "machine/vcpu.h"

namespace penumbra::machine {

class ExecTracer {
 public:
  /// Both outlive the tracer.
  ExecTracer(Vcpu& vcpu, mmu::AddressSpace& space, debug::ExecTrace& trace);
  ~ExecTracer();
  ExecTracer(const ExecTracer&) = delete;

 private:
  void step(const cpu::CpuState& state);
  size_t fetch(u64 linear, std::span<u8> code) const;

  Vcpu& vcpu_;
  mmu::AddressSpace& space_;
  debug::ExecTrace& trace_;
};

}  // namespace penumbra::machine
