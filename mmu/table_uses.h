// Which shadow translations depend on which page-table page.
//
// A Use says: address space `space` reaches this page as a table of `level` for the linear range
// that starts at `base`. It counts the regions (shadow_space.h) whose path goes through it; with
// the last one it goes, and with a page's last use the page stops being a page table, so memory
// that the guest reuses for data becomes fast to write again.
#pragma once

#include <vector>

#include "mmu/physical_memory.h"

namespace penumbra::mmu {

class TableUses {
 public:
  struct Use {
    u64 base;
    u32 count;
    u16 space;
    u8 level;
    u8 entry_bytes;
  };

  explicit TableUses(PhysicalMemory& memory);
  ~TableUses();

  void add(RamPage page, const Use& use);
  void remove(RamPage page, const Use& use);
  /// Uses of a page; valid until the next add() or remove().
  const std::vector<Use>& of(RamPage page) const { return lists_[list_of_[page]]; }

 private:
  static bool same(const Use& a, const Use& b) {
    return a.base == b.base && a.space == b.space && a.level == b.level;
  }
  u32 new_list();

  PhysicalMemory& memory_;
  MappedArray<u32> list_of_;             ///< by RAM page; 0: the empty list
  std::vector<std::vector<Use>> lists_;  ///< [0] stays empty
  std::vector<u32> free_;
};

}  // namespace penumbra::mmu
