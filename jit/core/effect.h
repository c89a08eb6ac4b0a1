// What a pure micro-op writes, and how its flags are kept: common to all engines.
#pragma once

#include "cpu/semantics/integer.h"
#include "translator/ir/micro_op.h"

namespace penumbra::jit {

enum class Effect : u8 { Value, ValueAndFlags, Flags };

constexpr Effect effect_of(const translator::MicroOp& op) {
  if (!op.sets_flags) return Effect::Value;
  return op.d == translator::kNoSlot ? Effect::Flags : Effect::ValueAndFlags;
}

/// Keeps the flags of the micro-op F as its family does (cpu/flags.h).
template <class F, Effect E, class T>
[[gnu::always_inline]] inline void commit_flags(cpu::CpuState* s, const cpu::Result<T>& result) {
  if constexpr (E != Effect::Value && F::kSetsFlags) {
    if constexpr (F::kFamily != cpu::FlagFamily::Explicit) s->flag_result = result.value;
    if constexpr (F::kFamily != cpu::FlagFamily::Logic) s->flag_source = result.source;
  }
}

}  // namespace penumbra::jit
