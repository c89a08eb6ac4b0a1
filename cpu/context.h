// What a named operation works on, and how it ends.
//
// A named operation is an ordinary C++ function `Outcome f(CpuContext&, const Operands&)`, called
// identically by every engine. On entry the state is precise: rip is the address of the
// instruction, flag_kind is current, everything before it is committed. It either faults having
// changed nothing (the few instructions that commit in part by manual say so), or commits.
// It does not advance rip except by Next::Branch.
#pragma once

#include "common/external.h"
#include "common/guest_memory.h"
#include "common/operands.h"
#include "cpu/model.h"
#include "cpu/state.h"

namespace penumbra::cpu {

enum class Next : u8 {
  Continue,  ///< the next instruction of the block follows
  EndBlock,  ///< retired; rip advances, but mode, interrupts or code may have changed: look again
  Branch,    ///< retired; the operation has set state.rip (and perhaps the mode)
  Repeat,    ///< a REP instruction stops between iterations, committed so far; rip stays
  Halt,      ///< retired; activity is no longer Running
};
using Outcome = Expected<Next>;

/// What the CPU asks of the machine around it.
class Environment {
 public:
  virtual ~Environment() = default;

  /// Ports; Fault::external() until the machine has answered.
  virtual Expected<u32> port_read(u16 port, u8 size) = 0;
  virtual Expected<> port_write(u16 port, u8 size, u32 value) = 0;

  /// TSC as the clock counts it, before tsc_offset. Reading it is an input.
  virtual u64 clock_tsc() = 0;
  /// One 64-bit random number through the input gate.
  virtual u64 random() = 0;

  /// Local APIC: the base MSR, the x2APIC range 800h..8FFh and TSC_DEADLINE. #GP where refused.
  virtual Expected<u64> apic_read_msr(u32 index) = 0;
  virtual Expected<> apic_write_msr(u32 index, u64 value) = 0;
  /// CR8 mirrors the task priority class of the local APIC.
  virtual u64 read_cr8() = 0;
  virtual void write_cr8(u64 value) = 0;

  /// CR0, CR3, CR4, EFER, CPL, EFLAGS.AC or A20 changed: choose the view again. Cheap.
  virtual void paging_changed() = 0;
  /// The same where CPL or EFLAGS.AC alone changed.
  virtual void privilege_changed() { paging_changed(); }
  /// MOV to CR3 with `value` (bit 63 still in it): flushes as the manual says.
  virtual void cr3_written(u64 value) = 0;
  /// CR0.PG/WP, CR4.PGE/PSE/PAE/PCIDE/SMEP... or EFER.NXE changed: all translations may differ.
  virtual void paging_mode_changed() = 0;
  virtual void invlpg(u64 linear) = 0;
  /// Type 0..3 (SDM 2 INVPCID), already checked.
  virtual void invpcid(u64 type, u16 pcid, u64 linear) = 0;

  /// The instruction that is about to retire began an interrupt shadow. True: nothing waits for its
  /// end, and it is over already.
  virtual bool shadow_hides_nothing() { return false; }

  /// Elements that a REP instruction may still do before the next event: at least 1.
  virtual u64 repeat_budget() = 0;
  /// A REP instruction has started `bytes` bytes; counts one instruction a 64.
  virtual void charge_repeat(u64 bytes) = 0;
};

struct CpuContext {
  CpuState& state;
  GuestMemory& memory;
  Environment& environment;
  const CpuModel& model;
};

using NamedOperation = Outcome (*)(CpuContext&, const Operands&);

}  // namespace penumbra::cpu
