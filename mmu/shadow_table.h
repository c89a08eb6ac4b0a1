// One view of a shadow page table: the tagged table that generated code probes inline.
//
// So large that it is indexed by the page number itself, and all of it but the touched pages is
// virtual (MappedArray). One compare covers presence, page crossing and canonical form: the page of
// the access's last byte must equal the tag found at the index of its first byte. A zero-filled
// table is empty: tag 0 is page 0, and init() marks the entries at the indices of page 0 and of the
// last page (an access that wraps) as absent. Two adjacent pages never share an index. kAbsent
// never equals a page. Only pages that were executed have an execute_tag.
#pragma once

#include "common/types.h"

namespace penumbra::mmu {

struct ShadowEntry {
  /// A page address, or kAbsent, which never matches. A write_tag with kTracked set does not match
  /// either: the guest may write, but stores may have consequences (shadow_view.h).
  static constexpr u64 kTracked = 1;
  u64 read_tag, write_tag, execute_tag;
  u64 addend;  ///< host address - guest linear address
};
static_assert(sizeof(ShadowEntry) == 32);

struct ShadowTable {
  static constexpr u64 kAbsent = ~0ull;
  static constexpr u32 kIndexBits = 30;
  static constexpr u64 kEntries = 1ull << kIndexBits;

  /// Names this view together with its mapping of executed pages, for caches of code that reach
  /// over pages. While the number is the same, every page that was translated for execution under
  /// it still translates to the same host page. Data, new pages and evictions leave it alone; no
  /// two views of an Mmu have the same one, none returns to an old one, and 0 is never used.
  u64 execute_epoch;
  alignas(64) ShadowEntry entries[kEntries];

  /// Makes a zero-filled table empty.
  void init() {
    for (u64 page : {0ull, ~0ull}) entry(page) = {kAbsent, kAbsent, kAbsent, 0};
  }

  /// Bits 12..41 of the address. Streams that are a power of two apart do not collide, up to 2 TiB.
  static constexpr u64 index(u64 linear) { return (linear >> 12) & (kEntries - 1); }
  /// Bytes from entries[0] to the entry of `linear`: shift, mask (in 32 bits), and a scale of 8 for
  /// the host's addressing mode.
  static constexpr u64 offset(u64 linear) {
    static_assert(sizeof(ShadowEntry) == 32 && kIndexBits == 30);
    return u64{static_cast<u32>(linear >> 10) & ~3u} * 8;
  }

  ShadowEntry& entry(u64 linear) {
    return *reinterpret_cast<ShadowEntry*>(reinterpret_cast<u8*>(entries) + offset(linear));
  }
  const ShadowEntry& entry(u64 linear) const {
    return const_cast<ShadowTable*>(this)->entry(linear);
  }

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
  /// Host address of a store that the guest may do, perhaps with consequences, else nullptr.
  u8* for_tracked_write(u64 linear, u32 size) const {
    const ShadowEntry& e = entry(linear);
    if (page_of(linear + size - 1) != (e.write_tag & ~ShadowEntry::kTracked)) return nullptr;
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
