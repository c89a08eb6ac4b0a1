// What the sources of stencils share: operands by their form, results, lists of instances.
//
// Operands come from registers (holes), slots of CpuState (offsets of undefined symbols, never
// compared as addresses) or constants (through asm, so that the compiler assumes nothing of them).
#pragma once

#include <array>
#include <utility>

#include "cpu/semantics/integer.h"
#include "cpu/state.h"
#include "jit/stencil/key.h"
#include "jit/stencil/source.h"

namespace penumbra::jit {

using cpu::CpuState;

/// hole_immediate as T: sign-extended from 32 bits where T has 64.
template <class T>
[[gnu::always_inline]] inline T immediate() {
  if constexpr (sizeof(T) == 8) {
    return opaque_signed(hole_immediate);
  } else {
    return static_cast<T>(opaque<Width::W32>(hole_immediate));
  }
}

template <char kOperand>
[[gnu::always_inline]] inline u8* slot_of(CpuState* s) {
  if constexpr (kOperand == 'd') return slot<u8>(s, hole_d);
  if constexpr (kOperand == 'a') return slot<u8>(s, hole_a);
  if constexpr (kOperand == 'b') return slot<u8>(s, hole_b);
  if constexpr (kOperand == 'c') return slot<u8>(s, hole_c);
}

/// The value of an operand, which is in `held` where its form is Register.
template <class T, Form F, char kOperand>
[[gnu::always_inline]] inline T get(CpuState* s, u64 held) {
  if constexpr (F == Form::Register) return static_cast<T>(held);
  if constexpr (F == Form::Slot) return load_from<T>(slot_of<kOperand>(s));
  if constexpr (F == Form::Immediate) return immediate<T>();
  return T{};
}

/// Writes a register as x86 does: 8 and 16 bits leave the rest, 32 bits zero-extend.
template <class T>
[[gnu::always_inline]] inline void put_register(u64& held, T value) {
  if constexpr (sizeof(T) == 1) {
    asm("movb %b1, %b0" : "+r"(held) : "r"(u32{value}));
  } else if constexpr (sizeof(T) == 2) {
    asm("movw %w1, %w0" : "+r"(held) : "r"(u32{value}));
  } else {
    held = value;
  }
}
template <class T>
[[gnu::always_inline]] inline void put_slot(u8* where, T value) {
  if constexpr (sizeof(T) == 4) {
    store_to<u64>(where, value);
  } else {
    store_to<T>(where, value);
  }
}
template <class T, Form F>
[[gnu::always_inline]] inline void put(CpuState* s, u64& d, T value) {
  if constexpr (F == Form::Register) put_register<T>(d, value);
  if constexpr (F == Form::Slot) put_slot<T>(slot_of<'d'>(s), value);
}

/// Writes what the micro-op F makes: a value, flags, or both.
template <class F, Effect E, Form D, class T>
[[gnu::always_inline]] inline void commit(CpuState* s, u64& d, cpu::Result<T> result) {
  if constexpr (E != Effect::Flags) put<T, D>(s, d, result.value);
  commit_flags<F, E>(s, result);
}

/// a + (b << scale) + displacement, at 64 bits: the displacement is sign-extended.
template <Form A, Form B, unsigned kScale, bool kDisplaced = true>
[[gnu::always_inline]] inline u64 address(CpuState* s, u64 a, u64 b) {
  u64 sum;
  if constexpr (A == Form::None && B == Form::None) {
    sum = opaque_signed(hole_displacement);
  } else {
    sum = get<u64, A, 'a'>(s, a) + (get<u64, B, 'b'>(s, b) << kScale);
    if constexpr (A == Form::Slot || B == Form::Slot) asm("" : "+r"(sum));
    if constexpr (kDisplaced) sum += reinterpret_cast<u64>(hole_displacement);
  }
  asm("" : "+r"(sum));
  return sum;
}

template <class T>
constexpr Width kWidthOf = sizeof(T) == 1   ? Width::W8
                           : sizeof(T) == 2 ? Width::W16
                           : sizeof(T) == 4 ? Width::W32
                                            : Width::W64;

// -- lists of instances
// ----------------------------------------------------------------------------

/// An entry of the index as the extracting tool reads it.
template <class Function>
struct IndexEntry {
  u64 key;
  Function* function;
};

/// Collects entries while compiling; `kMost` only has to be enough.
template <class Function, size_t kMost>
struct Listing {
  std::array<IndexEntry<Function>, kMost> at{};
  size_t count = 0;
  constexpr void add(const StencilKey& key, Function* function) {
    at[count++] = {key.encode(), function};
  }
};

/// The list that kMake returns, without the unused rest.
template <auto kMake>
constexpr auto listed() {
  constexpr auto kAll = kMake();
  std::array<std::remove_cvref_t<decltype(kAll.at[0])>, kAll.count> list{};
  for (size_t i = 0; i < list.size(); ++i) list[i] = kAll.at[i];
  return list;
}
#define PENUMBRA_LIST [[gnu::used, gnu::section(".stencil_index")]] constexpr auto

/// Calls f<V>() for each value.
template <auto... kValues, class F>
constexpr void each(F f) {
  (f.template operator()<kValues>(), ...);
}
/// Calls f(T{}) for the type of each width.
template <class F>
constexpr void each_width(F f) {
  f(u8{});
  f(u16{});
  f(u32{});
  f(u64{});
}
template <class F>
constexpr void each_condition(F f) {
  [&]<unsigned... C>(std::integer_sequence<unsigned, C...>) {
    (f.template operator()<static_cast<Condition>(C)>(), ...);
  }(std::make_integer_sequence<unsigned, 16>());
}

constexpr Form kRegister = Form::Register, kSlot = Form::Slot, kImmediate = Form::Immediate,
               kNone = Form::None;

}  // namespace penumbra::jit
