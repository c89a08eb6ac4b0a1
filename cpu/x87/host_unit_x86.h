// One guest x87 instruction on the host's own x87 unit.
//
// The host executes the same instruction under the guest's control word, with its operands in ST(0)
// and ST(1) of an otherwise empty stack; whoever calls puts the results in their places. The plain
// case (every exception masked, no stack fault possible) loads and stores single registers. Every
// other case goes through a state image, in which the host itself responds to empty registers, a
// full stack and unmasked exceptions, exactly as the guest's unit has to.
// The host's control word is restored; its exceptions and its register contents are not. Exceptions
// that the guest has too may stay set on the host, since clearing them costs more than the rest.
#pragma once

#include "cpu/x87/unit.h"

namespace penumbra::cpu::x87 {

struct HostOperands {
  u16 control = Control::kInitial;
  u16 sticky = 0;                 ///< exceptions that the guest's status has already
  u16 conditions = 0;             ///< condition bits, for instructions that leave some alone
  unsigned count = 0;             ///< registers that the instruction uses, from ST(0) on
  const X87Register* st[2] = {};  ///< of the guest's state or the caller's
  bool empty[2] = {};
  bool full = false;     ///< pushing overflows
  bool special = false;  ///< which condition bits change depends on the values

  bool needs_image() const {
    bool masked = (control & Status::kExceptions) == Status::kExceptions;
    return !masked || empty[0] || empty[1] || full || special;
  }
};

struct HostResult {
  X87Register st[2];
  bool empty[2] = {};
  int pushed = 0;  ///< values pushed, or popped if negative
  u16 status = 0;  ///< exceptions raised, the condition bits; perhaps some of `sticky`

  /// The operands are unchanged and the instruction has done nothing else.
  bool abandoned(u16 control) const { return status & ~control & Status::kBeforeComputation; }
};

using HostInstruction = void (*)(void* memory);

/// The instruction of two bytes; a memory form takes its address in RAX (modrm 00 reg 000).
template <u8 Opcode, u8 ModRm>
[[gnu::always_inline]] inline void host_instruction(void* memory) {
  asm volatile(".byte %c1, %c2" : : "a"(memory), "i"(Opcode), "i"(ModRm) : "memory");
}

/// FCOMI and FUCOMI of ST(0) and ST(1): stores CF, PF and ZF as bits of EFLAGS in a u32.
template <u8 ModRm>
inline void host_compare_flags(void* flags) {
  bool carry, parity, zero;
  asm volatile(".byte 0xdb, %c3"
               : "=@ccc"(carry), "=@ccp"(parity), "=@ccz"(zero)
               : "i"(ModRm)
               : "memory");
  u32 value = (carry ? Flag::kCf : 0) | (parity ? Flag::kPf : 0) | (zero ? Flag::kZf : 0);
  store_to(flags, value);
}

namespace detail {

inline u16 host_status() {
  u16 status;
  asm volatile("fnstsw %0" : "=m"(status));
  return status;
}

/// The guest's control word on the host for the duration of a scope, and no exceptions but the
/// guest's. Only for control words that mask every exception.
class HostControl {
 public:
  HostControl(u16 guest, u16 sticky) : guest_(guest), before_(host_status()) {
    if (before_ & Status::kSticky & ~sticky) asm volatile("fnclex");
    asm volatile("fnstcw %0" : "=m"(host_));
    if (host_ != guest_) asm volatile("fldcw %0" : : "m"(guest_));
  }
  ~HostControl() {
    if (host_ != guest_) asm volatile("fldcw %0" : : "m"(host_));
  }
  HostControl(const HostControl&) = delete;
  HostControl& operator=(const HostControl&) = delete;

  /// Values on the stack, by TOP then and now.
  unsigned depth(u16 status) const { return ((before_ >> 11) - (status >> 11)) & 7; }

 private:
  u16 guest_, host_ = 0;
  u16 before_;
};

/// Registers in memory have the layout of m80.
inline void push(const X87Register& value) { asm volatile("fldt %0" : : "m"(value)); }
inline void pop(X87Register& value) { asm volatile("fstpt %0" : "+m"(value)); }

/// Operands into the host's stack, results back out of it.
template <HostInstruction Instruction>
HostResult run_plain(const HostOperands& in, void* memory) {
  HostResult out;
  HostControl scope(in.control, in.sticky);
  for (unsigned i = in.count; i-- > 0;) push(*in.st[i]);
  Instruction(memory);
  out.status = host_status();
  unsigned depth = scope.depth(out.status);
  out.pushed = static_cast<int>(depth) - static_cast<int>(in.count);
  for (unsigned i = 0; i < depth; ++i) pop(out.st[i & 1]);
  return out;
}

HostResult run_image(HostInstruction instruction, const HostOperands& in, void* memory);

}  // namespace detail

template <u8 Opcode, u8 ModRm>
HostResult host_execute(const HostOperands& in, void* memory = nullptr) {
  constexpr HostInstruction kInstruction = host_instruction<Opcode, ModRm>;
  if (in.needs_image()) [[unlikely]]
    return detail::run_image(kInstruction, in, memory);
  return detail::run_plain<kInstruction>(in, memory);
}

/// The flags that the comparison of ST(0) and ST(1) leaves, also where it raises an exception.
template <u8 ModRm>
HostResult host_execute_flags(const HostOperands& in, u32& flags) {
  constexpr HostInstruction kInstruction = host_compare_flags<ModRm>;
  if (in.needs_image()) [[unlikely]]
    return detail::run_image(kInstruction, in, &flags);
  return detail::run_plain<kInstruction>(in, &flags);
}

/// No operands yet; control word, exceptions and condition bits of the guest.
inline HostOperands no_operands(const X87State& state) {
  HostOperands in;
  in.control = state.control;
  in.sticky = state.status & Status::kSticky;
  in.conditions = state.status & Status::kConditions;
  return in;
}
/// ST(0) .. ST(count - 1) of the guest as operands; `pushes` tells that ST(7) must be empty.
HostOperands top_operands(const X87State& state, unsigned count, bool pushes = false);

/// Puts the registers that top_operands() took back, moves TOP, and merges the status.
void commit_top(X87State& state, const HostOperands& in, const HostResult& out, u16 conditions);

}  // namespace penumbra::cpu::x87
