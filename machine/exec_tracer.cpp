#include "machine/exec_tracer.h"

#include <algorithm>

#include "cpu/mode.h"

namespace penumbra::machine {

ExecTracer::ExecTracer(Vcpu& vcpu, mmu::AddressSpace& space, debug::ExecTrace& trace)
    : vcpu_(vcpu), space_(space), trace_(trace) {
  vcpu_.set_trace(
      [](void* user, const cpu::CpuState& state) { static_cast<ExecTracer*>(user)->step(state); },
      this);
}

ExecTracer::~ExecTracer() { vcpu_.set_trace(nullptr, nullptr); }

void ExecTracer::step(const cpu::CpuState& state) {
  std::array<u8, 15> code;
  debug::ExecStep step;
  step.mode = cpu::code_mode(state, !space_.a20());
  step.rip = linear_rip(state, step.mode);
  step.code = {code.data(), peek_code(vcpu_, space_, step.rip, code)};
  std::copy(std::begin(state.gpr), std::end(state.gpr), step.registers.values.begin());
  step.registers.values[debug::TracedRegisters::kFlags] = state.flags();
  trace_.step(step);
}

u64 linear_rip(const cpu::CpuState& state, CodeMode mode) {
  u64 linear = state.seg(Segment::Cs).base + state.rip;
  return mode.is_long() ? linear : linear & 0xffffffff;
}

size_t peek_code(Vcpu& vcpu, const mmu::AddressSpace& space, u64 linear, std::span<u8> code) {
  size_t done = 0;
  while (done < code.size()) {
    GuestPhys physical;
    u64 at = linear + done;
    if (!vcpu.mmu().peek(at, physical) || space.host(physical) == nullptr) break;
    size_t size = std::min<size_t>(code.size() - done, kPageSize - (at & kPageMask));
    space.read(physical, code.data() + done, size);
    done += size;
  }
  return done;
}

}  // namespace penumbra::machine
