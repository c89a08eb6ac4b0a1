// What identifies a translated block, and where its bytes are: common to all engines' blocks.
#pragma once

#include "common/types.h"

namespace penumbra::jit {

/// Key of a block: the host address of its first byte stands for the physical address.
struct BlockKey {
  const u8* code = nullptr;
  u32 mode = 0;  ///< CodeMode word; kSingle: at most one instruction
  static constexpr u32 kSingle = 1u << 31;
  friend bool operator==(const BlockKey&, const BlockKey&) = default;
};

struct BlockPlace {
  BlockKey key;
  GuestPhys physical;  ///< of the first byte
  u32 size = 0;        ///< bytes in the first page
  bool crosses_page = false;
  GuestPhys next_page{};   ///< of the second page where crosses_page
  u32 next_page_size = 0;  ///< bytes in it
  const u8* next_page_code = nullptr;

  /// Whether the block has bytes in [begin, end).
  bool overlaps(u64 begin, u64 end) const {
    u64 first = physical.value;
    if (first < end && begin < first + size) return true;
    return crosses_page && next_page.value < end && begin < next_page.value + next_page_size;
  }
};

}  // namespace penumbra::jit
