// MachineState <-> CpuState, and the system state that Linux gives a user-mode process.
#pragma once

#include "cpu/state.h"
#include "tests/oracle/test_case.h"

namespace penumbra::oracle {

/// Linear addresses of the supervisor's tables, which exist so that a vCPU finds what it looks up.
struct SystemTables {
  static constexpr u64 kBase = 0xffffffff80000000;
  static constexpr u64 kGdt = kBase, kLdt = kBase + 0x400, kTss = kBase + 0x800,
                       kIdt = kBase + 0x1000;
  static constexpr u64 kPages = 2;
  /// Handlers of the vectors, 16 bytes apart in a page that is absent: what INT3 and its like
  /// deliver shows as a fetch from there.
  static constexpr u64 kHandlers = kBase + 0x10000;
  static constexpr u64 kStack = kBase + 0x700;
  static constexpr u16 kLdtSelector = 0x50, kTssSelector = 0x40;

  /// Bytes of the two pages at kBase.
  static std::vector<u8> image();
};

/// Everything but general registers, flags, x87 and SSE: as Linux runs a process at CPL 3.
void set_user_mode(cpu::CpuState& state, CodeSize size, u64 page_table);
/// General registers, flags, FS and GS bases, x87, SSE; RIP is left alone.
void load_state(cpu::CpuState& state, const MachineState& from);
MachineState store_state(const cpu::CpuState& state);

}  // namespace penumbra::oracle
