// All shadow page tables of one vCPU: one per (root, paging mode), least recently used ones go.
//
// Keeps them true: hears of every store to a page-table page and drops exactly the translations
// that came through the changed entries (see must_drop() for changes that cannot matter). A table
// is therefore never stale, which the manual permits: the processor may drop a TLB entry at any
// time (SDM 3A 4.10.4), so a TLB that always agrees with memory is one of those it describes.
// Hence MOV to CR3, INVLPG and INVPCID have nothing to flush, PCIDs and global pages need no tags,
// and an address space that the guest returns to is as warm as it was left.
#pragma once

#include "mmu/mmu.h"
#include "mmu/shadow_space.h"

namespace penumbra::mmu {

class ShadowCache final : public ShadowListener {
 public:
  static constexpr unsigned kMostSpaces = 64;

  ShadowCache(PhysicalMemory& memory, Mmu::Counters& counters);
  ~ShadowCache() override;

  /// The space of a root and mode, perhaps in place of the least recently used one.
  ShadowSpace& space(const Root& root, const PagingMode& mode);
  /// A view of it; may take the views of spaces that were used less recently, never of `space`.
  ShadowTable& view(ShadowSpace& space, ViewKind kind) {
    if (ShadowTable* table = space.table(kind)) [[likely]]
      return *table;
    return new_view(space, kind);
  }

  void fill(ShadowSpace& space, ViewKind kind, u64 linear, const Grant& grant) {
    view(space, kind);
    space.fill(kind, linear, grant);
    if (views_.crowded()) [[unlikely]]
      make_room(space);
  }
  /// ViewPool::writable_page() for a store that is about to happen; the view must exist.
  RamPage writable_page(const ShadowSpace& space, ViewKind kind, u64 linear, u32 size);

  void drop_writers(RamPage page) override { views_.drop_writers(page); }
  void table_written(RamPage page, u32 offset, u32 size, const u8* old) override;
  void retire_table(RamPage page) override;
  void drop_everything() override;

  /// Whether changing a present or absent entry from `old` to `now` can make a shadow entry wrong.
  static bool must_drop(const PagingMode& mode, unsigned level, u64 old, u64 now);

 private:
  ShadowTable& new_view(ShadowSpace& space, ViewKind kind);
  ShadowSpace* known_space(u64 hash, const Root& root, u64 key);
  /// The space used least recently of those with views, or nullptr.
  ShadowSpace* least_recent_but(const ShadowSpace& except);
  void make_room(ShadowSpace& space);
  void entries_written(const TableUses::Use& use, RamPage page, u32 offset, u32 size,
                       const u8* old);
  void retire(ShadowSpace& space);

  PhysicalMemory& memory_;
  Mmu::Counters& counters_;
  ViewPool views_;
  TableUses uses_;
  std::vector<ShadowSpace> spaces_;
  std::array<u64, kMostSpaces> hashes_{};  ///< of root and mode of each space: a quick no
  std::array<u8, kMostSpaces> recent_{};   ///< by hash: the space to try first
  std::vector<TableUses::Use> written_;    ///< scratch of table_written
  u64 clock_ = 0;
};

}  // namespace penumbra::mmu
