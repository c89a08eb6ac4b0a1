// The guest's x87 unit during one instruction: availability, stack, exceptions, pointers.
//
// ST(i) is register (TOP + i) & 7. Exceptions become pending here and are raised as #MF by the next
// waiting instruction (SDM 1, 8.7). With CR0.NE clear the CPU would assert FERR# for the board; the
// board has no such wire, so the unit behaves as with IGNNE# asserted: execution goes on.
// Nothing here computes in floating point: that is host_unit_x86.h.
#pragma once

#include "cpu/operand_access.h"

namespace penumbra::cpu::x87 {

/// Status word (SDM 1, 8.1.3); exceptions stand at the same bits in the control word.
struct Status {
  static constexpr u16 kIe = 1, kDe = 2, kZe = 4, kOe = 8, kUe = 16, kPe = 32, kSf = 64, kEs = 128,
                       kC0 = 0x100, kC1 = 0x200, kC2 = 0x400, kC3 = 0x4000, kBusy = 0x8000;
  static constexpr u16 kExceptions = 0x3f, kSticky = kExceptions | kSf;
  static constexpr u16 kConditions = kC0 | kC1 | kC2 | kC3;
  /// Unmasked, these leave the operands as they were (SDM 1, 8.5).
  static constexpr u16 kBeforeComputation = kIe | kDe | kZe;
};

/// Control word: masks, precision, rounding, infinity; bit 6 always reads as 1.
struct Control {
  static constexpr u16 kWritable = 0x1f3f, kFixed = 0x40, kInitial = 0x37f;
};

/// Sign 1, quiet, zero payload: the default response to an invalid operation.
constexpr X87Register kIndefinite{0xc000000000000000, 0xffff};

/// #NM of the instructions that need the unit at all.
inline Expected<> check_available(const CpuContext& ctx) {
  if (ctx.state.cr0 & (Cr0::kEm | Cr0::kTs)) [[unlikely]]
    return std::unexpected(Fault::of(Vector::Nm));
  return {};
}
/// #MF where an exception is pending and the CPU reports it itself.
inline Expected<> check_pending(const CpuContext& ctx) {
  if ((ctx.state.x87.status & Status::kEs) && (ctx.state.cr0 & Cr0::kNe)) [[unlikely]]
    return std::unexpected(Fault::of(Vector::Mf));
  return {};
}
/// Both: what an instruction that waits for pending exceptions starts with.
inline Expected<> check_waiting(const CpuContext& ctx) {
  TRY(check_available(ctx));
  return check_pending(ctx);
}

/// FNINIT without the register contents, which stay.
void initialize(X87State& state);
void set_control(X87State& state, u16 control);
/// ES and B follow from the exceptions and the masks.
void update_summary(X87State& state);

inline unsigned physical(const X87State& state, unsigned i) { return (state.top() + i) & 7; }
inline X87Register& st(X87State& state, unsigned i) { return state.registers[physical(state, i)]; }
inline const X87Register& st(const X87State& state, unsigned i) {
  return state.registers[physical(state, i)];
}
inline bool is_empty(const X87State& state, unsigned i) {
  return !(state.tags >> physical(state, i) & 1);
}
inline void set_empty(X87State& state, unsigned i) {
  state.tags &= static_cast<u8>(~(1u << physical(state, i)));
}
/// By fields: one access of 16 bytes would wait for the two stores that FSTP makes of 10.
inline void copy_register(X87Register& to, const X87Register& from) {
  to.mantissa = from.mantissa;
  to.exponent = from.exponent;
}
inline void set_full(X87State& state, unsigned i) {
  state.tags |= static_cast<u8>(1u << physical(state, i));
}
inline void set_st(X87State& state, unsigned i, const X87Register& value) {
  copy_register(st(state, i), value);
  set_full(state, i);
}
inline void move_top(X87State& state, int by) { state.set_top(static_cast<u8>(state.top() + by)); }
inline void pop(X87State& state) {
  set_empty(state, 0);
  move_top(state, 1);
}

/// Puts the bits of `conditions` from `status` in, adds its exceptions, and renews the summary.
inline void merge_status(X87State& state, u16 status, u16 conditions) {
  u16 merged =
      static_cast<u16>((state.status & ~conditions) | (status & (conditions | Status::kSticky)));
  if (merged & ~state.control & Status::kExceptions) [[unlikely]]
    merged |= Status::kEs | Status::kBusy;
  state.status = merged;
}
/// Stack underflow or overflow (C1 = 0 or 1). True if the response is the masked one.
bool stack_fault(X87State& state, bool overflow);

/// FIP, FCS, FOP and, with a memory operand, FDP and FDS: every instruction but the control ones.
inline void track(CpuContext& ctx, const Operands& ops) {
  X87State& state = ctx.state.x87;
  state.ip = ctx.state.rip;
  state.cs = ctx.state.seg(Segment::Cs).selector;
  state.opcode = ops.x87_opcode;
  if (!ops.at[0].is_memory()) return;
  state.dp = effective_address(ctx.state, ops);
  Segment segment = ops.memory.segment == Segment::None ? Segment::Ds : ops.memory.segment;
  state.ds = ctx.state.seg(segment).selector;
}

/// Checks the memory of an environment before it is read or written. The reference CPU tries the
/// first field, then the last byte, so that the #PF of a second page names the last.
Expected<> probe_environment(CpuContext& ctx, const Operands& ops, u32 size, Access access);

}  // namespace penumbra::cpu::x87
