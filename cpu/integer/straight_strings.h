// REP MOVS and REP STOS as they mostly are, at once: in 64-bit mode, upwards, within what is left
// of the slice and within one page of plain RAM at each pointer.
//
// The named operations try this first, and so may an engine from within its own code. A Host has
//   u8* direct(u64 linear, u32 size, Access)   as GuestMemory::direct()
//   u64 iterations_allowed()                   before something may have to happen
//   void charge(u64 bytes)                     as Environment::charge_repeat()
#pragma once

#include "common/guest_memory.h"
#include "common/short_bytes.h"
#include "cpu/integer/bulk_memory.h"
#include "cpu/operand_access.h"

namespace penumbra::cpu {

/// A REP instruction has started `bytes` bytes: counts one instruction a 64.
inline void charge_repeated(CpuState& state, u64 bytes) {
  state.repeat_bytes += bytes;
  state.instructions_left -= static_cast<i64>(state.repeat_bytes / 64);
  state.repeat_bytes %= 64;
}

struct StraightMovs {
  template <class Host>
  static bool perform(CpuState& state, const Host& host, const Operands& ops, u64 size) {
    u64& rsi = state.reg(Reg::Rsi);
    u64& rdi = state.reg(Reg::Rdi);
    u32 bytes = static_cast<u32>(size);
    u64 source = rsi + segment_base(state, ops.memory.segment);
    const u8* from = host.direct(source, bytes, Access::Read);
    u8* to = from == nullptr ? nullptr : host.direct(rdi, bytes, Access::Write);
    if (to == nullptr) return false;
    bool apart = static_cast<u64>(to - from) >= size;
    if (size <= kShort && apart) {
      copy_short(to, from, size);
    } else {
      copy_elements(to, from, size >> static_cast<unsigned>(ops.width), ops.width, false);
    }
    rsi += size;
    rdi += size;
    return true;
  }
  static constexpr u64 kShort = 256;
};

struct StraightStos {
  template <class Host>
  static bool perform(CpuState& state, const Host& host, const Operands& ops, u64 size) {
    u64& rdi = state.reg(Reg::Rdi);
    u8* to = host.direct(rdi, static_cast<u32>(size), Access::Write);
    if (to == nullptr) return false;
    u64 ones = ~0ull / mask(ops.width);  // one in each element of a word
    u64 value = state.reg(Reg::Rax) & mask(ops.width);
    if (size <= kShort) {
      fill_short(to, value * ones, size);
    } else {
      fill_elements(to, value, size >> static_cast<unsigned>(ops.width), ops.width);
    }
    rdi += size;
    return true;
  }
  static constexpr u64 kShort = 256;
};

/// False: it is not that simple, nothing is done yet.
template <class Operation, class Host>
bool run_straight(CpuState& state, const Host& host, const Operands& ops) {
  u64 count = state.reg(Reg::Rcx);
  bool simple =
      ops.address_width == Width::W64 && ops.repeat != Repeat::None && count - 1 < kPageSize;
  if (!simple || !in_long_mode(state) || state.flag(Flag::kDf)) return false;
  u64 size = count << static_cast<unsigned>(ops.width);
  if (size > kPageSize || count > host.iterations_allowed()) return false;
  if (!Operation::perform(state, host, ops, size)) return false;
  state.reg(Reg::Rcx) = 0;
  host.charge(size);
  return true;
}

}  // namespace penumbra::cpu
