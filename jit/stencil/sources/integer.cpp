// Stencils of the pure integer micro-ops.
//
// Every micro-op exists with all operands in slots. Those that make up most code also exist with
// operands in registers, `tied` (d is the first operand, as in the guest's two-operand forms).
#include "jit/stencil/sources/host_arithmetic.h"

namespace penumbra::jit {
namespace {

// -- every operand in its slot
// ---------------------------------------------------------------------------------------------

template <class F, class T, Effect E>
PENUMBRA_STENCIL unary(PENUMBRA_STENCIL_ARGUMENTS) {
  if constexpr (kHostUnary<F>) {
    host_step<F, T, E, kSlot>(s, d, get<T, kSlot, 'a'>(s, a));
  } else {
    commit<F, E, kSlot>(s, d, F::template eval<T>(get<T, kSlot, 'a'>(s, a)));
  }
  PENUMBRA_CONTINUE(to_next);
}
template <class F, class T, Effect E, Form B>
PENUMBRA_STENCIL binary(PENUMBRA_STENCIL_ARGUMENTS) {
  if constexpr (kByHost<F, T, B>) {
    host_step<F, T, E, kSlot, B>(s, d, get<T, kSlot, 'a'>(s, a), b);
  } else {
    T first = get<T, kSlot, 'a'>(s, a);
    commit<F, E, kSlot>(s, d, F::template eval<T>(first, get<T, B, 'b'>(s, b)));
  }
  PENUMBRA_CONTINUE(to_next);
}
template <class F, class T, Effect E, Form B>
PENUMBRA_STENCIL ternary(PENUMBRA_STENCIL_ARGUMENTS) {
  T left_value = get<T, kSlot, 'a'>(s, a), right = get<T, B, 'b'>(s, b);
  u64 third = get<u64, kSlot, 'c'>(s, c);
  commit<F, E, kSlot>(s, d, F::template eval<T>(left_value, right, third));
  PENUMBRA_CONTINUE(to_next);
}

// -- with operands in registers
// --------------------------------------------------------------------

template <class F, class T, Effect E, Form D>
PENUMBRA_STENCIL unary_tied(PENUMBRA_STENCIL_ARGUMENTS) {
  if constexpr (kHostUnary<F>) {
    host_step<F, T, E, D>(s, d, first_of<T, D, 'd'>(s, d));
  } else {
    commit<F, E, D>(s, d, F::template eval<T>(get<T, D, 'd'>(s, d)));
  }
  PENUMBRA_CONTINUE(to_next);
}
template <class F, class T, Effect E, Form D, Form B>
PENUMBRA_STENCIL binary_tied(PENUMBRA_STENCIL_ARGUMENTS) {
  constexpr bool kInSlot = kHostBinary<F> && E == Effect::Value && D == kSlot;
  if constexpr (kInSlot && B != kSlot && sizeof(T) != 4) {
    host_binary_in_slot<F, T, B>(s, b);
  } else if constexpr (kByHost<F, T, B>) {
    host_step<F, T, E, D, B>(s, d, first_of<T, D, 'd'>(s, d), b);
  } else {
    T first = get<T, D, 'd'>(s, d);
    commit<F, E, D>(s, d, F::template eval<T>(first, get<T, B, 'b'>(s, b)));
  }
  PENUMBRA_CONTINUE(to_next);
}
/// F of a (kTied: of d) by a count; flags stay where that is 0.
template <class F, class T, Effect E, Form D, Form B, bool kTied>
PENUMBRA_STENCIL counted(PENUMBRA_STENCIL_ARGUMENTS) {
  using Shift = typename F::Shift;
  u64 count = get<u8, B, 'b'>(s, b);
  u64 whole = kTied ? first_of<T, D, 'd'>(s, d) : get<T, kSlot, 'a'>(s, a);
  T first = static_cast<T>(whole);
  if (!F::sets_flags(static_cast<T>(count))) {
    if constexpr (E != Effect::Flags) put<T, D>(s, d, first);
    PENUMBRA_CONTINUE(to_next);
  }
  if constexpr (kHostShift<Shift, T>) {
    host_shift<Shift, T, true>(whole, count);
    commit_host<Shift, E, D, T>(s, d, whole);
    become_current<F, T>(s);
  } else {
    cpu::Result<T> result = F::template eval<T>(first, static_cast<T>(count));
    if constexpr (E != Effect::Flags) put<T, D>(s, d, result.value);
    commit_counted<F, E>(s, result);
  }
  PENUMBRA_CONTINUE(to_next);
}
/// ADC or SBB by the host's own, whose flags LAHF and SETO turn into an image.
template <class F, class T, Effect E>
[[gnu::always_inline]] inline cpu::Result<T> host_carry(T value, T right, u32 carry) {
#define PENUMBRA_CARRY(name, instruction)                                                     \
  if constexpr (std::is_same_v<F, cpu::name> && E == Effect::Value) {                         \
    asm("addb $255, %b1\n\t" instruction " %2, %0" : "+r"(value), "+&r"(carry) : "r"(right)); \
  } else if constexpr (std::is_same_v<F, cpu::name>) {                                        \
    asm("addb $255, %b1\n\t" instruction " %2, %0\n\tseto %%al\n\tlahf"                       \
        : "+r"(value), "+&a"(carry)                                                           \
        : "r"(right));                                                                        \
  }
  PENUMBRA_CARRY(AddCarry, "adc")
  PENUMBRA_CARRY(SubBorrow, "sbb")
#undef PENUMBRA_CARRY
  return {value, carry};
}
template <class F, class T, Effect E, Form D, Form B, Form C>
PENUMBRA_STENCIL carry_tied(PENUMBRA_STENCIL_ARGUMENTS) {
  T right = get<T, B, 'b'>(s, b);
  u32 carry = get<u8, C, 'c'>(s, c) & 1u;
  commit<F, E, D>(s, d, host_carry<F, T, E>(get<T, D, 'd'>(s, d), right, carry));
  PENUMBRA_CONTINUE(to_next);
}
/// The same where the carry is the host's.
template <class F, class T, Effect E, Form D, Form B>
PENUMBRA_STENCIL carry_tied_by_host(PENUMBRA_STENCIL_ARGUMENTS) {
  u64 value = first_of<T, D, 'd'>(s, d);
  host_binary<F, T, B>(s, value, b);
  if constexpr (E != Effect::Value) {
    u32 image;
    asm volatile("seto %%al\n\tlahf" : "=a"(image));
    store_to<u32>(&s->flag_source, image);
  }
  commit_host<F, Effect::Value, D, T>(s, d, value);
  PENUMBRA_CONTINUE(to_next);
}
template <class F, class T, Form A, Form B>
PENUMBRA_STENCIL compare(PENUMBRA_STENCIL_ARGUMENTS) {
  if constexpr (kHostBinary<F>) {
    host_step<F, T, Effect::Flags, kNone, B>(s, d, first_of<T, A, 'a'>(s, a), b);
  } else if constexpr (std::is_same_v<F, cpu::BitTestFlags> && sizeof(T) >= 4) {
    host_bit_test<T, B>(s, first_of<T, A, 'a'>(s, a), b);
  } else {
    T right = get<T, B, 'b'>(s, b);
    commit<F, Effect::Flags, kNone>(s, d, F::template eval<T>(get<T, A, 'a'>(s, a), right));
  }
  PENUMBRA_CONTINUE(to_next);
}
/// A TEST of a register with itself: the result is there.
template <class T>
PENUMBRA_STENCIL compare_with_self(PENUMBRA_STENCIL_ARGUMENTS) {
  host_compare<cpu::And, T, kRegister, kRegister>(s, a, a);
  keep_result<cpu::And, T>(s, a);
  PENUMBRA_CONTINUE(to_next);
}
template <class F, class T>
PENUMBRA_STENCIL unary_flags(PENUMBRA_STENCIL_ARGUMENTS) {
  host_step<F, T, Effect::Flags, kNone>(s, d, a);
  PENUMBRA_CONTINUE(to_next);
}
template <class F, class T, Form B>
PENUMBRA_STENCIL binary_apart(PENUMBRA_STENCIL_ARGUMENTS) {
  constexpr bool kByLea = std::is_same_v<F, cpu::Add>;
  if constexpr (kByHost<F, T, B> && !kByLea) {
    host_step<F, T, Effect::Value, kRegister, B>(s, d, a, b);
  } else {
    T first = static_cast<T>(a);
    commit<F, Effect::Value, kRegister>(s, d, F::template eval<T>(first, get<T, B, 'b'>(s, b)));
  }
  PENUMBRA_CONTINUE(to_next);
}
template <class F, class T, Form A>
PENUMBRA_STENCIL unary_apart(PENUMBRA_STENCIL_ARGUMENTS) {
  commit<F, Effect::Value, kRegister>(s, d, F::template eval<T>(get<T, A, 'a'>(s, a)));
  PENUMBRA_CONTINUE(to_next);
}
/// By the host's own, which keeps the destination where the source is 0: that is b. What is scanned
/// is a, or d where `kTied`.
template <bool kForward, bool kTied>
PENUMBRA_STENCIL scan(PENUMBRA_STENCIL_ARGUMENTS) {
  u64 found = b;
  if constexpr (kForward)
    asm volatile("bsfq %1, %0" : "+r"(found) : "r"(kTied ? d : a));
  else
    asm volatile("bsrq %1, %0" : "+r"(found) : "r"(kTied ? d : a));
  d = found;
  PENUMBRA_CONTINUE(to_next);
}
// -- the list
// --------------------------------------------------------------------------------------

using List = Listing<StencilFunction, 6000>;

template <class F>
constexpr void each_effect(F f) {
  each<Effect::Value, Effect::ValueAndFlags, Effect::Flags>(f);
}
constexpr Form destination(Effect effect) { return effect == Effect::Flags ? kNone : kSlot; }

template <class F>
constexpr void list_unary(List& list, Op op) {
  each_width([&]<class T>(T) {
    each_effect([&]<Effect E>() {
      list.add(
          {.op = code_of(op), .width = kWidthOf<T>, .effect = E, .d = destination(E), .a = kSlot},
          unary<F, T, E>);
    });
  });
}
template <class F>
constexpr void list_binary(List& list, Op op) {
  each_width([&]<class T>(T) {
    each_effect([&]<Effect E>() {
      each<kSlot, kImmediate>([&]<Form B>() {
        list.add({.op = code_of(op),
                  .width = kWidthOf<T>,
                  .effect = E,
                  .d = destination(E),
                  .a = kSlot,
                  .b = B},
                 binary<F, T, E, B>);
      });
    });
  });
}
template <class F>
constexpr void list_counted(List& list, Op op) {
  each_width([&]<class T>(T) {
    each<Effect::ValueAndFlags, Effect::Flags>([&]<Effect E>() {
      StencilKey key{.op = code_of(op), .width = kWidthOf<T>, .effect = E};
      key.d = destination(E), key.a = kSlot, key.b = kSlot;
      list.add(key, counted<F, T, E, destination(E), kSlot, false>);
    });
    each<kRegister, kSlot>([&]<Form D>() {
      each<kRegister, kSlot>([&]<Form B>() {
        StencilKey key{.op = code_of(op), .width = kWidthOf<T>, .effect = Effect::ValueAndFlags};
        key.d = D, key.b = B, key.tied = true;
        list.add(key, counted<F, T, Effect::ValueAndFlags, D, B, true>);
      });
    });
  });
}
template <class F>
constexpr void list_ternary(List& list, Op op) {
  each_width([&]<class T>(T) {
    each_effect([&]<Effect E>() {
      each<kSlot, kImmediate>([&]<Form B>() {
        list.add({.op = code_of(op),
                  .width = kWidthOf<T>,
                  .effect = E,
                  .d = destination(E),
                  .a = kSlot,
                  .b = B,
                  .c = kSlot},
                 ternary<F, T, E, B>);
      });
    });
  });
}

constexpr auto make_general() {
  List list;
#define PENUMBRA_PICK_Unary(name) list_unary<cpu::name>(list, Op::name);
#define PENUMBRA_PICK_Binary(name) list_binary<cpu::name>(list, Op::name);
#define PENUMBRA_PICK_Counted(name) list_counted<cpu::name>(list, Op::name);
#define PENUMBRA_PICK_Ternary(name) list_ternary<cpu::name>(list, Op::name);
#define PENUMBRA_PICK_Divide(name)
#define PENUMBRA_PICK_Move(name)
#define PENUMBRA_PICK_Code(name)
#define PENUMBRA_PICK_Address(name)
#define PENUMBRA_PICK_Widen(name)
#define PENUMBRA_PICK_ReadFlags(name)
#define PENUMBRA_PICK_WriteFlags(name)
#define PENUMBRA_PICK_FlagState(name)
#define PENUMBRA_PICK_Memory(name)
#define PENUMBRA_PICK_Segmented(name)
#define PENUMBRA_PICK_Check(name)
#define PENUMBRA_PICK_Hint(name)
#define PENUMBRA_PICK_Control(name)
#define PENUMBRA_OP(name, shape) PENUMBRA_PICK_##shape(name)
#include "translator/ir/ops.def"
#undef PENUMBRA_OP
  return list;
}

template <class F>
constexpr void list_tied_binary(List& list, Op op) {
  each_width([&]<class T>(T) {
    each<Effect::Value, Effect::ValueAndFlags>([&]<Effect E>() {
      each<kRegister, kSlot>([&]<Form D>() {
        each<kRegister, kSlot, kImmediate>([&]<Form B>() {
          list.add(
              {.op = code_of(op), .width = kWidthOf<T>, .effect = E, .d = D, .b = B, .tied = true},
              binary_tied<F, T, E, D, B>);
        });
      });
    });
  });
}
/// Without flags.
template <class F>
constexpr void list_tied_value(List& list, Op op) {
  auto add = [&]<class T>(T) {
    list.add({.op = code_of(op), .width = kWidthOf<T>, .d = kRegister, .tied = true},
             unary_tied<F, T, Effect::Value, kRegister>);
  };
  add(u32{});
  add(u64{});
}
template <class F>
constexpr void list_tied_unary(List& list, Op op) {
  each_width([&]<class T>(T) {
    each<Effect::Value, Effect::ValueAndFlags>([&]<Effect E>() {
      each<kRegister, kSlot>([&]<Form D>() {
        list.add({.op = code_of(op), .width = kWidthOf<T>, .effect = E, .d = D, .tied = true},
                 unary_tied<F, T, E, D>);
      });
    });
  });
}
/// What keeps no more than it has to (B: the second operand's form).
template <class F, Form B>
constexpr void list_source(List& list, Op op) {
  auto add = [&]<class T>(T) {
    constexpr Effect E = Effect::ValueAndSource;
    StencilKey key{.op = code_of(op), .width = kWidthOf<T>, .effect = E, .d = kRegister, .b = B};
    key.tied = true;
    list.add(key, binary_tied<F, T, E, kRegister, B>);
  };
  add(u32{});
  add(u64{});
}
template <class F>
constexpr void list_tied_carry(List& list, Op op) {
  auto add = [&]<class T, Effect E, Form D, Form B, Form C>() {
    StencilKey key{.op = code_of(op), .width = kWidthOf<T>, .effect = E};
    key.d = D, key.b = B, key.c = C, key.tied = true;
    list.add(key, carry_tied<F, T, E, D, B, C>);
  };
  each_width([&]<class T>(T) {
    each<Effect::Value, Effect::ValueAndFlags>([&]<Effect E>() {
      each<kRegister, kSlot>([&]<Form D>() {
        each<kRegister, kSlot, kImmediate>([&]<Form B>() {
          add.template operator()<T, E, D, B, kRegister>();
          add.template operator()<T, E, D, B, kSlot>();
          StencilKey key{.op = code_of(op), .width = kWidthOf<T>, .effect = E, .d = D, .b = B};
          key.tied = true;
          list.add(key, carry_tied_by_host<F, T, E, D, B>);
        });
      });
    });
  });
}
template <class F>
constexpr void list_compare(List& list, Op op) {
  each_width([&]<class T>(T) {
    each<kRegister, kSlot>([&]<Form A>() {
      each<kRegister, kSlot, kImmediate>([&]<Form B>() {
        if (A == kSlot && B != kRegister) return;  // is in the general list
        list.add({.op = code_of(op), .width = kWidthOf<T>, .effect = Effect::Flags, .a = A, .b = B},
                 compare<F, T, A, B>);
      });
    });
  });
}
/// Flags of a register.
template <class F>
constexpr void list_unary_flags(List& list, Op op) {
  each_width([&]<class T>(T) {
    list.add({.op = code_of(op), .width = kWidthOf<T>, .effect = Effect::Flags, .a = kRegister},
             unary_flags<F, T>);
  });
}
/// d = f(a, b) with d and a in registers, without flags.
template <class F>
constexpr void list_apart(List& list, Op op) {
  auto add = [&]<class T>(T) {
    each<kRegister, kSlot, kImmediate>([&]<Form B>() {
      list.add({.op = code_of(op), .width = kWidthOf<T>, .d = kRegister, .a = kRegister, .b = B},
               binary_apart<F, T, B>);
    });
  };
  add(u32{});
  add(u64{});
}
template <class F>
constexpr void list_unary_apart(List& list, Op op) {
  auto add = [&]<class T>(T) {
    each<kRegister, kSlot>([&]<Form A>() {
      list.add({.op = code_of(op), .width = kWidthOf<T>, .d = kRegister, .a = A},
               unary_apart<F, T, A>);
    });
  };
  add(u32{});
  add(u64{});
}

constexpr auto make_registers() {
  List list;
  list_tied_binary<cpu::Add>(list, Op::Add);
  list_tied_binary<cpu::Sub>(list, Op::Sub);
  list_tied_binary<cpu::And>(list, Op::And);
  list_tied_binary<cpu::Or>(list, Op::Or);
  list_tied_binary<cpu::Xor>(list, Op::Xor);
  list_tied_binary<cpu::Shl>(list, Op::Shl);
  list_tied_binary<cpu::Shr>(list, Op::Shr);
  list_tied_binary<cpu::Sar>(list, Op::Sar);
  list_tied_binary<cpu::RotateLeft>(list, Op::RotateLeft);
  list_tied_binary<cpu::RotateRight>(list, Op::RotateRight);
  list_tied_unary<cpu::Inc>(list, Op::Inc);
  list_tied_unary<cpu::Dec>(list, Op::Dec);
  list_tied_binary<cpu::Mul>(list, Op::Mul);
  list_tied_unary<cpu::Not>(list, Op::Not);
  list_tied_unary<cpu::Neg>(list, Op::Neg);
  list_tied_value<cpu::ByteSwap>(list, Op::ByteSwap);
  list_source<cpu::Add, kRegister>(list, Op::Add);
  list_source<cpu::Add, kSlot>(list, Op::Add);
  list_source<cpu::Sub, kRegister>(list, Op::Sub);
  list_source<cpu::Sub, kSlot>(list, Op::Sub);
  list_source<cpu::Shl, kImmediate>(list, Op::Shl);
  list_source<cpu::Shr, kImmediate>(list, Op::Shr);
  list_source<cpu::Sar, kImmediate>(list, Op::Sar);
  list_tied_carry<cpu::AddCarry>(list, Op::AddCarry);
  list_tied_carry<cpu::SubBorrow>(list, Op::SubBorrow);
  list_compare<cpu::Add>(list, Op::Add);
  list_compare<cpu::Sub>(list, Op::Sub);
  list_compare<cpu::And>(list, Op::And);
  list_compare<cpu::Or>(list, Op::Or);
  list_compare<cpu::Xor>(list, Op::Xor);
  list_unary_flags<cpu::Inc>(list, Op::Inc);
  list_unary_flags<cpu::Dec>(list, Op::Dec);
  list_unary_flags<cpu::Neg>(list, Op::Neg);
  each_width([&]<class T>(T) {
    list.add(
        {.op = code_of(Op::And), .width = kWidthOf<T>, .effect = Effect::Flags, .a = kRegister},
        compare_with_self<T>);
  });
  list_compare<cpu::BitTestFlags>(list, Op::BitTestFlags);
  list_compare<cpu::MulFlagsUnsigned>(list, Op::MulFlagsUnsigned);
  list_compare<cpu::MulFlagsSigned>(list, Op::MulFlagsSigned);
  list_apart<cpu::Add>(list, Op::Add);
  list_apart<cpu::Sub>(list, Op::Sub);
  list_apart<cpu::And>(list, Op::And);
  list_apart<cpu::Or>(list, Op::Or);
  list_apart<cpu::Xor>(list, Op::Xor);
  list_apart<cpu::Shl>(list, Op::Shl);
  list_apart<cpu::Shr>(list, Op::Shr);
  list_apart<cpu::Sar>(list, Op::Sar);
  list_apart<cpu::RotateLeft>(list, Op::RotateLeft);
  list_apart<cpu::RotateRight>(list, Op::RotateRight);
  list_apart<cpu::Mul>(list, Op::Mul);
  list_apart<cpu::MulHighUnsigned>(list, Op::MulHighUnsigned);
  list_apart<cpu::MulHighSigned>(list, Op::MulHighSigned);
  list_unary_apart<cpu::ByteSwap>(list, Op::ByteSwap);
  list_unary_apart<cpu::IsZero>(list, Op::IsZero);
  list_unary_apart<cpu::Popcnt>(list, Op::Popcnt);
  list_unary_apart<cpu::Lzcnt>(list, Op::Lzcnt);
  list_unary_apart<cpu::Tzcnt>(list, Op::Tzcnt);
  list_unary_apart<cpu::Blsi>(list, Op::Blsi);
  list_unary_apart<cpu::Blsmsk>(list, Op::Blsmsk);
  list_unary_apart<cpu::Blsr>(list, Op::Blsr);
  list_unary_apart<cpu::Neg>(list, Op::Neg);
  list_unary_apart<cpu::Not>(list, Op::Not);
  list_apart<cpu::AndNot>(list, Op::AndNot);
  list_apart<cpu::Crc32Byte>(list, Op::Crc32Byte);
  list_apart<cpu::Crc32Word>(list, Op::Crc32Word);
  list_apart<cpu::Crc32Doubleword>(list, Op::Crc32Doubleword);
  list_apart<cpu::Crc32Quadword>(list, Op::Crc32Quadword);
  list.add({.op = code_of(Op::BitScanForward), .d = kRegister, .a = kRegister, .b = kRegister},
           scan<true, false>);
  list.add({.op = code_of(Op::BitScanReverse), .d = kRegister, .a = kRegister, .b = kRegister},
           scan<false, false>);
  list.add({.op = code_of(Op::BitScanForward), .d = kRegister, .b = kRegister, .tied = true},
           scan<true, true>);
  list.add({.op = code_of(Op::BitScanReverse), .d = kRegister, .b = kRegister, .tied = true},
           scan<false, true>);
  return list;
}

PENUMBRA_LIST kGeneral = listed<make_general>();
PENUMBRA_LIST kRegisters = listed<make_registers>();

}  // namespace
}  // namespace penumbra::jit
