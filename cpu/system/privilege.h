// Small checks that open a system instruction.
#pragma once

#include "cpu/operand_access.h"

namespace penumbra::cpu {

inline std::unexpected<Fault> general_protection() { return std::unexpected(Fault::gp(0)); }
inline std::unexpected<Fault> undefined() { return std::unexpected(Fault::ud()); }

/// #GP(0) unless CPL is 0 (real mode is; virtual-8086 mode is 3).
inline Expected<> require_cpl0(const CpuState& state) {
  if (state.cpl != 0) return general_protection();
  return {};
}
/// #UD in real and virtual-8086 mode: SLDT, STR, LAR, ... are not recognized there.
inline Expected<> require_protected(const CpuState& state) {
  if (in_real_or_v86(state)) return undefined();
  return {};
}
inline u8 iopl(const CpuState& state) { return (state.rflags >> 12) & 3; }

/// The pair that RDMSR, RDTSC, XGETBV, ... return and WRMSR, XSETBV take.
inline u64 edx_eax(const CpuState& state) {
  return (state.reg(Reg::Rdx) << 32) | (state.reg(Reg::Rax) & 0xffffffffu);
}
inline void set_edx_eax(CpuState& state, u64 value) {
  state.reg(Reg::Rax) = value & 0xffffffffu;
  state.reg(Reg::Rdx) = value >> 32;
}

}  // namespace penumbra::cpu
