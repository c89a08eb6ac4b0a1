// What of the CPU's state decides how linear addresses translate.
#pragma once

#include "common/types.h"

namespace penumbra::mmu {

struct PagingContext {
  u64 cr0 = 0, cr3 = 0, cr4 = 0, efer = 0;
  u32 pkru = 0;
  u8 cpl = 0;
  bool ac = false;  ///< EFLAGS.AC: allows supervisor access to user pages under SMAP; #AC at CPL 3

  friend bool operator==(const PagingContext&, const PagingContext&) = default;
};

}  // namespace penumbra::mmu
