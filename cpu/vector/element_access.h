// Elements of gathers and masked moves in memory.
//
// The reference vendor does not check their alignment, whatever EFLAGS.AC says (#AC); the pages are
// asked for as for any other access.
#pragma once

#include "cpu/context.h"

namespace penumbra::cpu {

/// Whether a whole access of T might raise #AC; bytes never do.
template <class T>
bool goes_by_bytes(const CpuState& state, u64 linear) {
  return linear % sizeof(T) != 0 && state.flag(Flag::kAc);
}

template <class T>
Expected<T> load_element(CpuContext& ctx, u64 linear) {
  if (!goes_by_bytes<T>(ctx.state, linear)) return ctx.memory.load<T>(linear);
  u8 bytes[sizeof(T)];
  for (u32 i = 0; i < sizeof(T); ++i) {
    TRY_ASSIGN(bytes[i], ctx.memory.load<u8>(linear + i));
  }
  return load_from<T>(bytes);
}

/// Checks a store that may follow.
template <class T>
Expected<> probe_element(CpuContext& ctx, u64 linear) {
  bool by_bytes = goes_by_bytes<T>(ctx.state, linear);
  u32 piece = by_bytes ? 1 : sizeof(T);
  for (u32 i = 0; i < sizeof(T); i += piece)
    TRY(ctx.memory.probe(linear + i, piece, Access::Write, Privilege::Current));
  return {};
}

template <class T>
Expected<> store_element(CpuContext& ctx, u64 linear, T value) {
  if (!goes_by_bytes<T>(ctx.state, linear)) return ctx.memory.store<T>(linear, value);
  u8 bytes[sizeof(T)];
  store_to(bytes, value);
  for (u32 i = 0; i < sizeof(T); ++i) TRY(ctx.memory.store<u8>(linear + i, bytes[i]));
  return {};
}

}  // namespace penumbra::cpu
