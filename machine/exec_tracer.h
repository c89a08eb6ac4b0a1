// Feeds debug::ExecTrace from a vCPU: before every instruction its bytes and registers.
#pragma once

#include "debug/exec_trace.h"
#include "machine/vcpu.h"

namespace penumbra::machine {

/// The linear address of the instruction that is about to run.
u64 linear_rip(const cpu::CpuState& state, CodeMode mode);
/// The code bytes at `linear`: as many as are mapped, without side effects on the guest.
size_t peek_code(Vcpu& vcpu, const mmu::AddressSpace& space, u64 linear, std::span<u8> code);

class ExecTracer {
 public:
  /// Both outlive the tracer.
  ExecTracer(Vcpu& vcpu, mmu::AddressSpace& space, debug::ExecTrace& trace);
  ~ExecTracer();
  ExecTracer(const ExecTracer&) = delete;

 private:
  void step(const cpu::CpuState& state);

  Vcpu& vcpu_;
  mmu::AddressSpace& space_;
  debug::ExecTrace& trace_;
};

}  // namespace penumbra::machine
