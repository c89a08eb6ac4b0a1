// Accesses in two pages that the view in force both grants: nothing to translate or to check.
//
// The tags of a view know no limits of segments: those are checked before.
#pragma once

#include "common/guest_memory.h"
#include "common/short_bytes.h"
#include "mmu/shadow_table.h"

namespace penumbra::mmu {

/// Where the two parts of an access are; false: one is not granted, or there is only one.
struct Across {
  u8 *low = nullptr, *high = nullptr;
  u32 first = 0;  ///< bytes of the lower part

  explicit operator bool() const { return low != nullptr && high != nullptr; }
  void read(void* out, u32 size) const {
    copy_short(out, low, first);
    copy_short(static_cast<u8*>(out) + first, high, size - first);
  }
  void write(const void* in, u32 size) const {
    copy_short(low, in, first);
    copy_short(high, static_cast<const u8*>(in) + first, size - first);
  }
};

inline Across across(const ShadowTable& view, u64 linear, u32 size, Access access) {
  u32 first = static_cast<u32>(kPageSize - (linear & kPageMask));
  if (first >= size) return {};
  u64 second = linear + first;
  if (access == Access::Read) {
    return {view.for_read(linear, first), view.for_read(second, size - first), first};
  }
  return {view.for_write(linear, first), view.for_write(second, size - first), first};
}

}  // namespace penumbra::mmu
