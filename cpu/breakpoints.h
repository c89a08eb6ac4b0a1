// Debug-register breakpoints: which of DR0..DR3 an event matches (SDM 3B 17.2).
//
// Guarantees: only enabled breakpoints (L or G of DR7) are reported, as the causes B0..B3 of DR6.
// Instruction breakpoints are faults, asked for before the instruction unless EFLAGS.RF is set;
// port and data breakpoints are traps, left in CpuState::pending_debug. Ports are asked for by IN
// and OUT; data accesses by nobody yet.
#pragma once

#include "cpu/state.h"

namespace penumbra::cpu {

/// What R/W of DR7 selects.
enum class BreakpointKind : u8 { Execute = 0, Write = 1, Port = 2, ReadWrite = 3 };

/// Whether any breakpoint of `kind` is enabled. Port needs CR4.DE, else it is undefined: never.
bool has_breakpoint(const CpuState& state, BreakpointKind kind);

/// DR6 causes of an instruction at linear address `linear`; 0 while RF is set.
u64 instruction_breakpoints(const CpuState& state, u64 linear);
/// DR6 causes of an access to `size` bytes: a write matches Write and ReadWrite, a read the latter.
u64 data_breakpoints(const CpuState& state, u64 linear, u32 size, bool write);
/// DR6 causes of an access to ports `port` .. `port` + `size` - 1.
u64 port_breakpoints(const CpuState& state, u16 port, u32 size);

}  // namespace penumbra::cpu
