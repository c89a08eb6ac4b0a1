// Guest bytes -> optimised block: decode, lift, optimise. The translator's table of contents.
#pragma once

#include <bitset>
#include <optional>
#include <span>

#include "cpu/model.h"
#include "frontend/decode_cache.h"
#include "translator/ir/block.h"

namespace penumbra::translator {

/// A set of bytes of a code page.
using PageBytes = std::bitset<kPageSize>;

struct CodeView {
  std::span<const u8> page;  ///< the 4,096 bytes of the code page
  u16 start = 0;             ///< offset of the first instruction
  /// Bytes of the following page, for an instruction that crosses; empty until asked for.
  std::span<const u8> next_page;
  /// Bytes that the guest keeps changing: an immediate there may be loaded when the block runs
  /// (Block::loaded). nullptr: none.
  const PageBytes* changing = nullptr;
  /// Decodes, where there is one.
  frontend::DecodeCache* decoder = nullptr;
};

/// What follows a direct jump within the page.
enum class BehindJump : bool {
  End,   ///< nothing: the block ends
  GoOn,  ///< the likely path, for a few jumps: past branches forwards, round a loop to the start
};

/// Translates from `code.start` up to a control transfer, the page's end or `most` instructions.
/// Nothing when the first instruction crosses into next_page and that is empty: the caller fetches
/// that page (which may fault) and calls again.
std::optional<Block> translate(const CodeView& code, CodeMode mode, const cpu::CpuModel& model,
                               u32 most, BehindJump behind_jump = BehindJump::End);

}  // namespace penumbra::translator
