// Arithmetic by the host's instruction of the same name, and conditions from the host's flags.
//
// Each step is asm, so the compiler neither replaces nor moves it: of a stencil made of these, one
// instruction writes the host's flags, and behind it they are those of the guest's operation. Where
// that is so the extracting tool counts one writer (Stencil::flag_writers). A value is the whole
// register, of which the instruction changes what it does at T's width. What stands in front of a
// reader of flags, and between a writer and a reader, may only be moves.
#pragma once

#include "jit/stencil/sources/operands.h"

namespace penumbra::jit {

/// One asm statement by T: the macro gets the instruction with its suffix, and the modifier of
/// register operands.
#define PENUMBRA_SIZED(statement, instruction) \
  if constexpr (sizeof(T) == 1) {              \
    statement(instruction "b", "b");           \
  } else if constexpr (sizeof(T) == 2) {       \
    statement(instruction "w", "w");           \
  } else if constexpr (sizeof(T) == 4) {       \
    statement(instruction "l", "k");           \
  } else {                                     \
    statement(instruction "q", "q");           \
  }

// -- one and two operands
// -------------------------------------------------------------------------------------

template <class F>
constexpr bool kHostUnary = std::is_same_v<F, cpu::Inc> || std::is_same_v<F, cpu::Dec> ||
                            std::is_same_v<F, cpu::Neg> || std::is_same_v<F, cpu::Not>;
template <class F>
constexpr bool kHostBinary =
    std::is_same_v<F, cpu::Add> || std::is_same_v<F, cpu::Sub> || std::is_same_v<F, cpu::And> ||
    std::is_same_v<F, cpu::Or> || std::is_same_v<F, cpu::Xor>;

/// value = F(value)
template <class F, class T>
[[gnu::always_inline]] inline void host_unary(u64& value) {
#define PENUMBRA_ALONE(name, m) asm volatile(name " %" m "0" : "+r"(value))
#define PENUMBRA_UNARY(name, instruction)       \
  if constexpr (std::is_same_v<F, cpu::name>) { \
    PENUMBRA_SIZED(PENUMBRA_ALONE, instruction) \
  }
  PENUMBRA_UNARY(Inc, "inc")
  PENUMBRA_UNARY(Dec, "dec")
  PENUMBRA_UNARY(Neg, "neg")
  PENUMBRA_UNARY(Not, "not")
#undef PENUMBRA_UNARY
}

/// value = F(value, second operand)
template <class F, class T, Form B>
[[gnu::always_inline]] inline void host_binary([[maybe_unused]] CpuState* s, u64& value,
                                               [[maybe_unused]] u64 b) {
#define PENUMBRA_BY_REGISTER(name, m) asm volatile(name " %" m "1, %" m "0" : "+r"(value) : "r"(b))
#define PENUMBRA_BY_SLOT(name, m) \
  asm volatile(name " %1, %" m "0" : "+r"(value) : "m"(*slot<T>(s, hole_b)))
#define PENUMBRA_BY_IMMEDIATE(name, m) \
  asm volatile(name " %1, %" m "0" : "+r"(value) : "i"(hole_immediate))
#define PENUMBRA_BINARY(name, instruction)               \
  if constexpr (std::is_same_v<F, cpu::name>) {          \
    if constexpr (B == kRegister) {                      \
      PENUMBRA_SIZED(PENUMBRA_BY_REGISTER, instruction)  \
    } else if constexpr (B == kSlot) {                   \
      PENUMBRA_SIZED(PENUMBRA_BY_SLOT, instruction)      \
    } else {                                             \
      PENUMBRA_SIZED(PENUMBRA_BY_IMMEDIATE, instruction) \
    }                                                    \
  }
  PENUMBRA_BINARY(Add, "add")
  PENUMBRA_BINARY(Sub, "sub")
  PENUMBRA_BINARY(And, "and")
  PENUMBRA_BINARY(Or, "or")
  PENUMBRA_BINARY(Xor, "xor")
  // With the carry in the host's.
  PENUMBRA_BINARY(AddCarry, "adc")
  PENUMBRA_BINARY(SubBorrow, "sbb")
#undef PENUMBRA_BINARY
}

/// The same where the first operand, which is also the result, is in the slot of d.
template <class F, class T, Form B>
[[gnu::always_inline]] inline void host_binary_in_slot(CpuState* s, [[maybe_unused]] u64 b) {
#define PENUMBRA_IN_BY_REGISTER(name, m) \
  asm volatile(name " %" m "1, %0" : "+m"(*slot<T>(s, hole_d)) : "r"(b))
#define PENUMBRA_IN_BY_IMMEDIATE(name, m) \
  asm volatile(name " %1, %0" : "+m"(*slot<T>(s, hole_d)) : "i"(hole_immediate))
#define PENUMBRA_BINARY(name, instruction)                  \
  if constexpr (std::is_same_v<F, cpu::name>) {             \
    if constexpr (B == kRegister) {                         \
      PENUMBRA_SIZED(PENUMBRA_IN_BY_REGISTER, instruction)  \
    } else {                                                \
      PENUMBRA_SIZED(PENUMBRA_IN_BY_IMMEDIATE, instruction) \
    }                                                       \
  }
  PENUMBRA_BINARY(Add, "add")
  PENUMBRA_BINARY(Sub, "sub")
  PENUMBRA_BINARY(And, "and")
  PENUMBRA_BINARY(Or, "or")
  PENUMBRA_BINARY(Xor, "xor")
#undef PENUMBRA_BINARY
}

/// Only the host's flags: of a - b for Sub, of a & b for And.
template <class F, class T, Form A, Form B>
[[gnu::always_inline]] inline void host_compare([[maybe_unused]] CpuState* s,
                                                [[maybe_unused]] u64 a, [[maybe_unused]] u64 b) {
#define PENUMBRA_WITH_REGISTER(name, m) asm volatile(name " %" m "1, %" m "0" : : "r"(a), "r"(b))
#define PENUMBRA_WITH_SLOT(name, m) \
  asm volatile(name " %1, %" m "0" : : "r"(a), "m"(*slot<T>(s, hole_b)))
#define PENUMBRA_WITH_IMMEDIATE(name, m) \
  asm volatile(name " %1, %" m "0" : : "r"(a), "i"(hole_immediate))
#define PENUMBRA_SLOT_WITH_REGISTER(name, m) \
  asm volatile(name " %" m "1, %0" : : "m"(*slot<T>(s, hole_a)), "r"(b))
#define PENUMBRA_SLOT_WITH_IMMEDIATE(name, m) \
  asm volatile(name " %1, %0" : : "m"(*slot<T>(s, hole_a)), "i"(hole_immediate))
#define PENUMBRA_EITHER(statement)             \
  if constexpr (std::is_same_v<F, cpu::Sub>) { \
    PENUMBRA_SIZED(statement, "cmp")           \
  } else {                                     \
    PENUMBRA_SIZED(statement, "test")          \
  }
  if constexpr (A == kSlot && B == kSlot) {
    host_compare<F, T, kRegister, kSlot>(s, get<T, kSlot, 'a'>(s, a), b);
  } else if constexpr (A == kRegister && B == kRegister) {
    PENUMBRA_EITHER(PENUMBRA_WITH_REGISTER)
  } else if constexpr (A == kRegister && B == kSlot) {
    PENUMBRA_EITHER(PENUMBRA_WITH_SLOT)
  } else if constexpr (A == kRegister) {
    PENUMBRA_EITHER(PENUMBRA_WITH_IMMEDIATE)
  } else if constexpr (B == kRegister) {
    PENUMBRA_EITHER(PENUMBRA_SLOT_WITH_REGISTER)
  } else {
    PENUMBRA_EITHER(PENUMBRA_SLOT_WITH_IMMEDIATE)
  }
#undef PENUMBRA_EITHER
}

// -- shifts
// ---------------------------------------------------------------------------------------------

/// Whether the host's shift does it, whose flags are defined at these widths.
template <class F, class T>
constexpr bool kHostShift =
    sizeof(T) >= 4 &&
    (std::is_same_v<F, cpu::Shl> || std::is_same_v<F, cpu::Shr> || std::is_same_v<F, cpu::Sar> ||
     std::is_same_v<F, cpu::RotateLeft> || std::is_same_v<F, cpu::RotateRight>);

/// value = F(value, count), by the immediate or, where kByCount, by CL.
template <class F, class T, bool kByCount>
[[gnu::always_inline]] inline void host_shift(u64& value, [[maybe_unused]] u64 count) {
#define PENUMBRA_BY_CONSTANT(name, m) \
  asm volatile(name " %1, %" m "0" : "+r"(value) : "i"(hole_immediate))
#define PENUMBRA_BY_COUNT(name, m) asm volatile(name " %%cl, %" m "0" : "+r"(value) : "c"(count))
#define PENUMBRA_SHIFT(name, instruction)               \
  if constexpr (std::is_same_v<F, cpu::name>) {         \
    if constexpr (kByCount) {                           \
      PENUMBRA_SIZED(PENUMBRA_BY_COUNT, instruction)    \
    } else {                                            \
      PENUMBRA_SIZED(PENUMBRA_BY_CONSTANT, instruction) \
    }                                                   \
  }
  PENUMBRA_SHIFT(Shl, "shl")
  PENUMBRA_SHIFT(Shr, "shr")
  PENUMBRA_SHIFT(Sar, "sar")
  PENUMBRA_SHIFT(RotateLeft, "rol")
  PENUMBRA_SHIFT(RotateRight, "ror")
#undef PENUMBRA_SHIFT
}

// -- flags
// ----------------------------------------------------------------------------------------------

/// Where F keeps a bit beside its result.
template <class F>
[[gnu::always_inline]] inline void keep_carry(CpuState* s) {
  if constexpr (keeps_one_bit(F::kFamily)) {
    asm volatile("setc %0" : "=m"(*reinterpret_cast<u8*>(&s->flag_source)));
  }
}
/// What is kept of a result: that of F in the whole register `value`, whose carry is the host's.
template <class F, class T>
[[gnu::always_inline]] inline void keep_result(CpuState* s, u64 value) {
  bool is_patch = cpu::is_partial(F::kFamily);
  keep_carry<F>(s);
  store_to<T>(is_patch ? &s->flag_patch : &s->flag_result, static_cast<T>(value));
}

/// Bit b of `value`, which goes to the host's CF, as the patch.
template <class T, Form B>
[[gnu::always_inline]] inline void host_bit_test(CpuState* s, u64 value, u64 b) {
#define PENUMBRA_TEST_REGISTER(name, m) \
  asm volatile(name " %" m "1, %" m "0" : : "r"(value), "r"(b))
#define PENUMBRA_TEST_CONSTANT(name, m) \
  asm volatile(name " %1, %" m "0" : : "r"(value), "i"(hole_immediate))
  if constexpr (B == kImmediate) {
    PENUMBRA_SIZED(PENUMBRA_TEST_CONSTANT, "bt")
  } else {
    if constexpr (B == kSlot) b = get<T, kSlot, 'b'>(s, b);
    PENUMBRA_SIZED(PENUMBRA_TEST_REGISTER, "bt")
  }
  asm volatile("setc %0" : "=m"(*reinterpret_cast<u8*>(&s->flag_patch)));
}

/// `where` = the second operand, of its width.
template <class T, Form B, char kOperand>
[[gnu::always_inline]] inline void keep_operand(CpuState* s, u64& where, [[maybe_unused]] u64 b) {
  if constexpr (B == kImmediate) {
#define PENUMBRA_KEEP(name, m) asm volatile(name " %1, %0" : "=m"(where) : "i"(hole_immediate))
    PENUMBRA_SIZED(PENUMBRA_KEEP, "mov")
  } else {
    store_to<T>(&where, get<T, B, kOperand>(s, b));
  }
}

// -- whole micro-ops
// ----------------------------------------------------------------------------------------

/// Whether what is kept beside the result is the second operand.
template <class F>
constexpr bool kKeepsOperand =
    F::kFamily == cpu::FlagFamily::Add || F::kFamily == cpu::FlagFamily::Sub;

template <class F, Effect E, Form D, class T>
[[gnu::always_inline]] inline void commit_host(CpuState* s, u64& d, u64 value) {
  if constexpr (E != Effect::Flags && D == kRegister) d = value;
  if constexpr (E != Effect::Flags && D == kSlot) {
    put_slot<T>(slot_of<'d'>(s), static_cast<T>(value));
  }
  if constexpr (E == Effect::ValueAndSource) {
    keep_carry<F>(s);
  } else if constexpr (E != Effect::Value && F::kSetsFlags) {
    keep_result<F, T>(s, value);
  }
}

/// d = F(first)
template <class F, class T, Effect E, Form D>
[[gnu::always_inline]] inline void host_step(CpuState* s, u64& d, u64 first) {
  if constexpr (E != Effect::Value && kKeepsOperand<F>) {
    store_to<T>(&s->flag_source, static_cast<T>(first));
  }
  host_unary<F, T>(first);
  commit_host<F, E, D, T>(s, d, first);
}

/// d = F(first, second operand)
template <class F, class T, Effect E, Form D, Form B>
[[gnu::always_inline]] inline void host_step(CpuState* s, u64& d, u64 first, u64 b) {
  if constexpr (kHostShift<F, T>) {
    host_shift<F, T, false>(first, 0);
  } else if constexpr (E != Effect::Value && kKeepsOperand<F> && B == kSlot) {
    u64 second = get<T, B, 'b'>(s, b);
    keep_operand<T, kRegister, 'b'>(s, s->flag_source, second);
    host_binary<F, T, kRegister>(s, first, second);
  } else {
    if constexpr (E != Effect::Value && kKeepsOperand<F>) {
      keep_operand<T, B, 'b'>(s, s->flag_source, b);
    }
    host_binary<F, T, B>(s, first, b);
  }
  commit_host<F, E, D, T>(s, d, first);
}

/// Whether host_step() does it.
template <class F, class T, Form B>
constexpr bool kByHost = kHostBinary<F> || (kHostShift<F, T> && B == kImmediate);

/// The first operand as host_step() takes it: registers whole.
template <class T, Form A, char kOperand>
[[gnu::always_inline]] inline u64 first_of(CpuState* s, u64 held) {
  if constexpr (A == kRegister) return held;
  return get<T, A, kOperand>(s, held);
}

// -- conditions
// ---------------------------------------------------------------------------------------------

#define PENUMBRA_EACH_CONDITION(pick)                                                       \
  pick(O, "o") pick(No, "no") pick(B, "b") pick(Nb, "ae") pick(Z, "e") pick(Nz, "ne")       \
      pick(Be, "be") pick(Nbe, "a") pick(S, "s") pick(Ns, "ns") pick(P, "p") pick(Np, "np") \
          pick(L, "l") pick(Nl, "ge") pick(Le, "le") pick(Nle, "g")

/// Whether the host's flags have the condition; for a branch.
template <Condition C>
[[gnu::always_inline]] inline bool host_holds() {
  bool holds = false;
#define PENUMBRA_HOLDS(name, cc) \
  if constexpr (C == Condition::name) asm volatile("" : "=@cc" cc(holds));
  PENUMBRA_EACH_CONDITION(PENUMBRA_HOLDS)
#undef PENUMBRA_HOLDS
  return holds;
}

/// The low byte of `value` becomes the condition, 0 or 1.
template <Condition C>
[[gnu::always_inline]] inline void host_set(u64& value) {
#define PENUMBRA_SET(name, cc) \
  if constexpr (C == Condition::name) asm volatile("set" cc " %b0" : "+r"(value));
  PENUMBRA_EACH_CONDITION(PENUMBRA_SET)
#undef PENUMBRA_SET
}

/// value = condition ? `chosen` : value; at 32 bits it is zero-extended in either case.
template <Condition C, class T, Form From>
[[gnu::always_inline]] inline void host_select([[maybe_unused]] CpuState* s, u64& value,
                                               [[maybe_unused]] u64 chosen) {
#define PENUMBRA_SELECT(name, cc)                                                  \
  if constexpr (C == Condition::name) {                                            \
    if constexpr (From == kRegister && sizeof(T) == 8)                             \
      asm volatile("cmov" cc " %1, %0" : "+r"(value) : "r"(chosen));               \
    else if constexpr (From == kRegister)                                          \
      asm volatile("cmov" cc " %k1, %k0" : "+r"(value) : "r"(chosen));             \
    else if constexpr (sizeof(T) == 8)                                             \
      asm volatile("cmov" cc " %1, %0" : "+r"(value) : "m"(*slot<T>(s, hole_c)));  \
    else                                                                           \
      asm volatile("cmov" cc " %1, %k0" : "+r"(value) : "m"(*slot<T>(s, hole_c))); \
  }
  PENUMBRA_EACH_CONDITION(PENUMBRA_SELECT)
#undef PENUMBRA_SELECT
}

}  // namespace penumbra::jit
