// One guest x87 instruction on the host's own x87 unit.
//
// The host executes the same instruction under the guest's control word, with its operands in ST(0)
// and ST(1) of an otherwise empty stack; whoever calls puts the results in their places. The plain
// case (every exception masked, no stack fault possible) loads and stores single registers; where
// the number of results is known, they need no way round (host_compute). Every other case goes
// through a state image, in which the host itself responds to empty registers, a full stack and
// unmasked exceptions, exactly as the guest's unit has to.
// Generated code may instead keep the guest's whole state on the host's unit for a while.
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

/// The guest's control word on the host for the duration of a scope. Only for control words that
/// mask every exception.
class HostControl {
 public:
  explicit HostControl(u16 guest) : guest_(guest) {
    asm volatile("fnstcw %0" : "=m"(host_));
    if (host_ != guest_) asm volatile("fldcw %0" : : "m"(guest_));
  }
  ~HostControl() {
    if (host_ != guest_) asm volatile("fldcw %0" : : "m"(host_));
  }
  HostControl(const HostControl&) = delete;
  HostControl& operator=(const HostControl&) = delete;

 private:
  u16 guest_, host_ = 0;
};

inline void clear_host_exceptions() { asm volatile("fnclex"); }

/// Registers in memory have the layout of m80.
inline void push(const X87Register& value) { asm volatile("fldt %0" : : "m"(value)); }
inline void pop(X87Register& value) { asm volatile("fstpt %0" : "+m"(value)); }
inline void discard() { asm volatile("fstp %st(0)"); }

/// Operands into the host's stack, results back out of it.
template <HostInstruction Instruction>
HostResult run_plain(const HostOperands& in, void* memory) {
  HostResult out;
  HostControl scope(in.control);
  u16 before = host_status();
  if (before & Status::kSticky & ~in.sticky) clear_host_exceptions();
  for (unsigned i = in.count; i-- > 0;) push(*in.st[i]);
  Instruction(memory);
  out.status = host_status();
  unsigned depth = ((before >> 11) - (out.status >> 11)) & 7;
  out.pushed = static_cast<int>(depth) - static_cast<int>(in.count);
  for (unsigned i = 0; i < depth; ++i) pop(out.st[i & 1]);
  return out;
}

}  // namespace detail

/// Every case but the plain one.
HostResult run_image(HostInstruction instruction, const HostOperands& in, void* memory);

/// What an instruction works on, in the places where the guest has it.
struct InPlace {
  const X87Register* st0 = nullptr;  ///< operands; null: not that many
  const X87Register* st1 = nullptr;
  void* memory = nullptr;
  X87Register* result = nullptr;  ///< may be an operand; null: the result is dropped
};

inline bool all_masked(const X87State& state) {
  return (state.control & Status::kExceptions) == Status::kExceptions;
}

namespace detail {

template <HostInstruction Instruction>
[[gnu::always_inline]] inline u16 attempt(const InPlace& at) {
  if (at.st1 != nullptr) push(*at.st1);
  if (at.st0 != nullptr) push(*at.st0);
  Instruction(at.memory);
  return host_status();
}

}  // namespace detail

/// An instruction in the plain case that leaves `kLeft` values on the host's stack, the topmost of
/// which is the result. Returns the exceptions and condition bits.
template <HostInstruction Instruction, unsigned kLeft>
[[gnu::always_inline]] inline u16 host_compute(const X87State& state, const InPlace& at) {
  u16 sticky = state.status;
  detail::HostControl scope(state.control);
  u16 status = detail::attempt<Instruction>(at);
  if (status & Status::kSticky & ~sticky) [[unlikely]] {
    // New to the guest, or left on the host by something else: once more from none.
    for (unsigned i = 0; i < kLeft; ++i) detail::discard();
    detail::clear_host_exceptions();
    status = detail::attempt<Instruction>(at);
  }
  for (unsigned i = 0; i < kLeft; ++i)
    i == 0 && at.result != nullptr ? detail::pop(*at.result) : detail::discard();
  return status;
}

template <u8 Opcode, u8 ModRm>
HostResult host_execute(const HostOperands& in, void* memory = nullptr) {
  constexpr HostInstruction kInstruction = host_instruction<Opcode, ModRm>;
  if (in.needs_image()) [[unlikely]]
    return run_image(kInstruction, in, memory);
  return detail::run_plain<kInstruction>(in, memory);
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
inline HostOperands top_operands(const X87State& state, unsigned count, bool pushes = false) {
  HostOperands in = no_operands(state);
  in.count = count;
  for (unsigned i = 0; i < count; ++i) {
    in.st[i] = &st(state, i);
    in.empty[i] = is_empty(state, i);
  }
  in.full = pushes && !is_empty(state, 7);
  return in;
}

/// Whether the whole state may be on the host's unit while the guest's instructions run there as
/// they are: nothing that they do can raise an exception.
inline bool may_be_on_host(const X87State& state) {
  return all_masked(state) && !(state.status & Status::kEs);
}
/// All registers, the control, status and tag words; not the pointers and FOP, which stay with us.
void load_host(const X87State& state);
/// Takes them back and leaves the host's unit as it is at program start.
void save_host(X87State& state);

/// Puts the registers that top_operands() took back, moves TOP, and merges the status.
void commit_top(X87State& state, const HostOperands& in, const HostResult& out, u16 conditions);

}  // namespace penumbra::cpu::x87
