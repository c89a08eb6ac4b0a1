// One view of a shadow page table: the tagged table that generated code probes inline.
//
// One compare covers presence, page crossing and canonical form: the page of the access's last byte
// must equal the tag found at the index of its first byte. So a page must not be held if it shares
// its index with the page below it, from which an access could cross: confusable(). A zero-filled
// table is empty: tag 0 is page 0, whose index is 0, and init() marks that entry as absent. The
// page below page 0, from which a 64-bit access wraps, has that index, too. kAbsent never equals
// a page. Only pages that were executed have an execute_tag.
#pragma once

#include <bit>

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
  static constexpr u32 kIndexBits = 15, kEntryShift = 5;
  static constexpr u64 kEntries = 1ull << kIndexBits;

  /// Names this view together with its mapping of executed pages, for caches of code that reach
  /// over pages. While the number is the same, every page that was translated for execution under
  /// it still translates to the same host page. Data, new pages and evictions leave it alone; no
  /// two views of an Mmu have the same one, none returns to an old one, and 0 is never used.
  u64 execute_epoch;
  alignas(64) ShadowEntry entries[kEntries];

  /// Makes a zero-filled table empty.
  void init() { entries[0] = {kAbsent, kAbsent, kAbsent, 0}; }

  /// Bytes from entries[0] to the entry of `linear`: rotate, xor, shift, mask. Bits 12..26 of the
  /// address are folded with bits 27..41, so that streams a power of two apart do not collide.
  static constexpr u64 offset(u64 linear) {
    static_assert(sizeof(ShadowEntry) == 1 << kEntryShift);
    u64 folded = linear ^ std::rotr(linear, kIndexBits);
    return (folded >> (12 - kEntryShift)) & ((kEntries - 1) << kEntryShift);
  }
  static constexpr u64 index(u64 linear) { return offset(linear) >> kEntryShift; }

  /// Whether the page of `linear` has the index of the page below it: where a carry into it changes
  /// every bit that offset() folds, so at multiples of 2^41. Where addresses have 32 bits nothing
  /// lies below page 0, and it may be held.
  static constexpr bool confusable(u64 linear) {
    constexpr u64 kClearBits = ((1ull << (2 * kIndexBits - 1)) - 1) << 12;
    return (linear & kClearBits) == 0;
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
