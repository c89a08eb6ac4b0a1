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
  step.rip = state.seg(Segment::Cs).base + state.rip;
  if (!step.mode.is_long()) step.rip &= 0xffffffff;
  step.code = {code.data(), fetch(step.rip, code)};
  std::copy(std::begin(state.gpr), std::end(state.gpr), step.registers.values.begin());
  step.registers.values[debug::TracedRegisters::kFlags] = state.flags();
  trace_.step(step);
}

/// As many bytes as are mapped, without side effects on the guest.
size_t ExecTracer::fetch(u64 linear, std::span<u8> code) const {
  size_t done = 0;
  while (done < code.size()) {
    GuestPhys physical;
    u64 at = linear + done;
    if (!vcpu_.mmu().peek(at, physical) || space_.host(physical) == nullptr) break;
    size_t size = std::min<size_t>(code.size() - done, kPageSize - (at & kPageMask));
    space_.read(physical, code.data() + done, size);
    done += size;
  }
  return done;
}

}  // namespace penumbra::machine
