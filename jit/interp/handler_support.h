// What the handlers_*.cpp files share: slots, the tail call to the next uop, and leaving.
#pragma once

#include "cpu/semantics/integer.h"
#include "jit/core/effect.h"
#include "jit/interp/interpreter.h"
#include "jit/interp/uop.h"

namespace penumbra::jit {

#define PENUMBRA_TAIL(uop) [[clang::musttail]] return (uop)->handler(s, uop, t, left)
#define PENUMBRA_NEXT PENUMBRA_TAIL(u + 1)

template <class T>
inline T get(const CpuState* s, Slot slot) {
  return load_from<T>(reinterpret_cast<const u8*>(s) + slot);
}

/// Writes a register as x86 does: 8 and 16 bits leave the rest, 32 bits zero-extend.
template <class T>
inline void put(CpuState* s, Slot slot, T value) {
  u8* address = reinterpret_cast<u8*>(s) + slot;
  if constexpr (sizeof(T) == 4) {
    store_to<u64>(address, value);
  } else {
    store_to<T>(address, value);
  }
}

inline Interpreter& engine(CpuState* s) { return *static_cast<Interpreter*>(s->engine); }

/// The uop's instruction did not retire: state becomes precise in front of it.
/// Returns the slice's instructions left.
inline void stop_before(CpuState* s, const Uop* u, i64 left, Stop stop) {
  engine(s).stop_before(*s, u, left, stop);
}

/// Stops with all state current in front of the block at `rip`.
inline void stop_at(CpuState* s, u64 rip, i64 left, Stop stop) {
  s->rip = rip;
  s->instructions_left = left;
  engine(s).set_stop(stop);
}

/// The slice does not hold the block, or somebody asked to stop.
void stop_slice(CpuState* s, const BlockCode* block, i64 left);

/// What is known of the flags in front of a jump or of an op that asks for their state.
inline cpu::FlagState flag_state_of(const Uop* u) {
  return {static_cast<cpu::FlagKind>(u->extra), static_cast<cpu::FlagKind>(u->c)};
}
inline void store_flag_state(CpuState* s, const Uop* u) { s->set_flag_state(flag_state_of(u)); }

#define PENUMBRA_ENTER(block)                                                        \
  do {                                                                               \
    const BlockCode* entered = (block);                                              \
    i64 after = left - entered->count;                                               \
    if (after < __atomic_load_n(&s->stop_below, __ATOMIC_RELAXED)) [[unlikely]]      \
      return stop_slice(s, entered, left);                                           \
    [[clang::musttail]] return entered->uops[0].handler(s, entered->uops, t, after); \
  } while (0)

/// Goes through a jump uop without a dispatch of its own where it is linked.
#define PENUMBRA_THROUGH(jump)                                              \
  do {                                                                      \
    const Uop* through = (jump);                                            \
    if (through->scale != kLinked) [[unlikely]]                             \
      PENUMBRA_TAIL(through);                                               \
    store_flag_state(s, through);                                           \
    PENUMBRA_ENTER(reinterpret_cast<const BlockCode*>(through->immediate)); \
  } while (0)

template <class F, Effect E, class T>
inline void commit(CpuState* s, const Uop* u, cpu::Result<T> result) {
  if constexpr (E != Effect::Flags) put<T>(s, u->d, result.value);
  commit_flags<F, E>(s, result);
}

template <class Function>
constexpr void for_width(Width width, Function function) {
  switch (width) {
    case Width::W8:
      return function(u8{});
    case Width::W16:
      return function(u16{});
    case Width::W32:
      return function(u32{});
    default:
      return function(u64{});
  }
}

}  // namespace penumbra::jit
