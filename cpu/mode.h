// The code-mode word of a CPU state, and what follows from the mode: masks, paging notices.
//
// The word is derived here and nowhere else; it is part of every block's key (common/code_mode.h).
#pragma once

#include "common/code_mode.h"
#include "cpu/context.h"

namespace penumbra::cpu {

/// Every bit of the word. Flat segments: in 64-bit mode always, in protected mode when CS, DS, ES
/// and SS are usable with base 0, limit 4 GiB and a type that allows every access a flat program
/// makes; never in real or virtual-8086 mode.
CodeMode code_mode(const CpuState& state, bool a20_masked);

/// Size of the code that CS selects now.
CodeSize code_size(const CpuState& state);

/// What RIP is truncated to: the whole in 64-bit mode, else 32 bits, 16 in 16-bit code after a
/// 16-bit transfer (SDM 1, 3.5).
constexpr u64 rip_mask(CodeSize size) {
  return size == CodeSize::Long ? ~0ull : size == CodeSize::Bits32 ? 0xffffffffull : 0xffffull;
}

/// Sets the CPL and tells the environment when it changed.
void set_cpl(CpuContext& ctx, u8 cpl);

/// Replaces EFLAGS as a whole (bit 1 set, reserved bits cleared) and tells of AC.
void set_flags(CpuContext& ctx, u64 flags);

}  // namespace penumbra::cpu
