// Asks, for a store to a page that is absent for writing, whether it has consequences after all.
//
// A page that holds code is absent in every fast view, but most stores to such a page hit data
// beside the code. Valid as long as the AddressSpace; cheap enough for a slow path of generated
// code.
#pragma once

#include "mmu/code_bytes.h"
#include "mmu/shadow_table.h"

namespace penumbra::mmu {

class StoreFilter {
 public:
  StoreFilter(const u8* ram, const u8* flags, u8 code_flag, const u8* code)
      : ram_(ram), flags_(flags), code_(code), code_flag_(code_flag) {}

  /// Where to write [linear, +size), size at most CodeBytes::kMostAtOnce, if the view lets the
  /// guest write there and code is all that the page is tracked for, and none of these bytes are.
  u8* harmless(const ShadowTable& view, u64 linear, u32 size) const {
    const ShadowEntry& entry = view.entry(linear);
    if ((page_of(linear + size - 1) | ShadowEntry::kTracked) != entry.write_tag) return nullptr;
    u8* host = reinterpret_cast<u8*>(linear + entry.addend);
    u64 offset = static_cast<u64>(host - ram_);
    bool plain =
        flags_[offset / kPageSize] == code_flag_ && !CodeBytes::any_of(code_, offset, size);
    return plain ? host : nullptr;
  }

 private:
  const u8 *ram_, *flags_, *code_;
  u8 code_flag_;
};

}  // namespace penumbra::mmu
