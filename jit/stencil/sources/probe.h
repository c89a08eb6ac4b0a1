// The inline probe of the shadow table.
#pragma once

#include <bit>

#include "cpu/state.h"
#include "mmu/shadow_table.h"

namespace penumbra::jit {

/// ShadowTable::entry(), in two registers: the table is looked at last.
[[gnu::always_inline]] inline const mmu::ShadowEntry& entry_of(const cpu::CpuState* s, u64 linear) {
  u64 index = std::rotr(linear, 10);
  asm("" : "+r"(index));
  index = static_cast<u32>(index) & ~3u;
  static_assert(mmu::ShadowTable::offset(0x7fff'1234'5000) ==
                (0x7fff'1234'5000 >> 10) % 0x1'0000'0000 / 4 * 32);
  u64 entry = reinterpret_cast<u64>(s->table);
  asm("leaq (%0,%1,8), %0" : "+r"(entry) : "r"(index));
  constexpr u64 kEntries = offsetof(mmu::ShadowTable, entries);
  return *reinterpret_cast<const mmu::ShadowEntry*>(entry + kEntries);
}

}  // namespace penumbra::jit
