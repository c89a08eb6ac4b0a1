// What a pure micro-op writes, and how its flags are kept: common to all engines.
#pragma once

#include "cpu/semantics/integer.h"
#include "translator/ir/micro_op.h"

namespace penumbra::jit {

/// ValueAndSource: of the flags what cannot be told from the value later.
enum class Effect : u8 { Value, ValueAndFlags, Flags, ValueAndSource };

constexpr Effect effect_of(const translator::MicroOp& op) {
  if (!op.sets_flags) return Effect::Value;
  return op.d == translator::kNoSlot ? Effect::Flags : Effect::ValueAndFlags;
}

/// Of what a family keeps beside the result, only one bit counts.
constexpr bool keeps_one_bit(cpu::FlagFamily family) {
  return family == cpu::FlagFamily::Carry || family == cpu::FlagFamily::Multiply ||
         family == cpu::FlagFamily::ShiftLeft || family == cpu::FlagFamily::ShiftRight ||
         family == cpu::FlagFamily::ShiftArithmetic;
}

/// Keeps the flags of the micro-op F as its family does (cpu/flags.h).
template <class F, Effect E, class T>
[[gnu::always_inline]] inline void commit_flags(cpu::CpuState* s, const cpu::Result<T>& result) {
  if constexpr (E != Effect::Value && F::kSetsFlags) {
    constexpr bool kPartial = cpu::is_partial(F::kFamily);
    u64& second = kPartial ? s->flag_patch : s->flag_source;
    if constexpr (!kPartial && cpu::has_width(F::kFamily)) {
      s->flag_result = result.value;
    }
    if constexpr (keeps_one_bit(F::kFamily)) {
      store_to<u8>(reinterpret_cast<u8*>(&second), static_cast<u8>(result.source));
    } else if constexpr (F::kFamily != cpu::FlagFamily::Logic) {
      second = result.source;
    }
  }
}

/// What F keeps at T's width becomes what is current at run time.
template <class F, class T>
[[gnu::always_inline]] inline void become_current(cpu::CpuState* s) {
  constexpr Width kWidth = static_cast<Width>(__builtin_ctz(sizeof(T)));
  constexpr cpu::FlagKind kKind = cpu::flag_kind(F::kFamily, kWidth);
  if constexpr (cpu::is_partial(kKind)) {
    s->flag_modifier = kKind;
  } else {
    s->flag_kind = kKind;
    s->flag_modifier = cpu::FlagKind::None;
  }
}

/// The same behind a count that is not 0.
template <class F, Effect E, class T>
[[gnu::always_inline]] inline void commit_counted(cpu::CpuState* s, const cpu::Result<T>& result) {
  commit_flags<F, E>(s, result);
  if constexpr (E != Effect::Value) become_current<F, T>(s);
}

}  // namespace penumbra::jit
