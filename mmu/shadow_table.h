// One view of a shadow page table: the tagged table that generated code probes inline.
//
// One compare covers presence, page crossing and canonical form: the page of the access's last byte
// must equal the tag found at the index of its first byte. A zero-filled table is empty: tag 0 is
// page 0, whose index is 0, and init() marks the entries at the indices of page 0 and of the last
// page (an access that wraps) as absent. Two adjacent pages never share an index. kAbsent never
// equals a page.
#pragma once

#include "common/types.h"

namespace penumbra::mmu {

struct ShadowEntry {
  /// A page address, or kAbsent, which never matches. A write_tag with bit 0 set does not match
  /// either: the guest may write, but each store has consequences (shadow_view.h).
  u64 read_tag, write_tag, execute_tag;
  u64 addend;  ///< host address - guest linear address
};
static_assert(sizeof(ShadowEntry) == 32);

struct ShadowTable {
  static constexpr u64 kAbsent = ~0ull;
  static constexpr u32 kIndexBits = 15;
  static constexpr u64 kEntries = 1ull << kIndexBits;

  ShadowEntry entries[kEntries];

  /// Makes a zero-filled table empty.
  void init() {
    for (u64 page : {0ull, ~0ull}) entry(page) = {kAbsent, kAbsent, kAbsent, 0};
  }

  /// Hashed so that streams a power of two apart do not collide; index(0) == 0.
  static constexpr u64 index(u64 linear) {
    u64 page = linear >> 12;
    return (page ^ (page >> 9) ^ (page >> 22)) & (kEntries - 1);
  }
  ShadowEntry& entry(u64 linear) { return entries[index(linear)]; }
  const ShadowEntry& entry(u64 linear) const { return entries[index(linear)]; }

  /// Host address of an access that needs no slow path, else nullptr.
  u8* for_read(u64 linear, u32 size) const {
    const ShadowEntry& e = entry(linear);
    if (page_of(linear + size - 1) != e.read_tag) [[unlikely]]
      return nullptr;
    return reinterpret_cast<u8*>(linear + e.addend);
  }
  u8* for_write(u64 linear, u32 size) const {
    const ShadowEntry& e = entry(linear);
    if (page_of(linear + size - 1) != e.write_tag) [[unlikely]]
      return nullptr;
    return reinterpret_cast<u8*>(linear + e.addend);
  }
  /// Host address of the code byte at `linear`, else nullptr.
  const u8* for_execute(u64 linear) const {
    const ShadowEntry& e = entry(linear);
    if (page_of(linear) != e.execute_tag) [[unlikely]]
      return nullptr;
    return reinterpret_cast<const u8*>(linear + e.addend);
  }
};

}  // namespace penumbra::mmu
