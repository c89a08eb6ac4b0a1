// The shadow page table of one guest address space: its views and what they depend on.
//
// Linear memory is kept by regions of 2 MiB. A region remembers which of its pages may be in a view
// (`filled`) and which of those were executed, so that a change of one renews the views' epochs.
// Once a walk succeeded it also has the path of page-table pages that leads to it: the rights of
// the upper levels and where its leaf entries are. The path is a paging-structure cache, valid
// because every page on it is write-tracked (TableUses) and all its accessed bits are set; a change
// of an upper entry forgets the regions below it. Tables outside RAM and ROM read as all ones and
// never change.
#pragma once

#include <vector>

#include "mmu/shadow_view.h"
#include "mmu/table_uses.h"
#include "mmu/walker.h"

namespace penumbra::mmu {

class ShadowSpace {
 public:
  static constexpr unsigned kRegionShift = 21;
  static constexpr u64 kRegionSize = 1ull << kRegionShift;
  static constexpr size_t kMostRegions = 4096;

  struct Region {
    u64 base = 0;
    u64 filled[8] = {};
    u64 executed[8] = {};  ///< of the filled pages, those that were translated for execution
    u16 chunks = 0;  ///< bits 4 k to 4 k + 3: of the view of kind k, where it ever had an entry
    bool has_path = false;  ///< without it nothing is filled
    u8 levels = 0;          ///< table pages on the path, root first; 0 with paging off
    std::array<RamPage, kMostLevels> tables{};
    Rights upper;       ///< before the leaf entry
    TableEntry leaf{};  ///< of a page table: any entry; of a large page: its own
  };

  ShadowSpace(ViewPool& views, TableUses& uses, u16 id) : views_(views), uses_(uses), id_(id) {
    view_.fill(ViewPool::kNone);
  }

  /// Makes an empty space belong to a root and a mode.
  void adopt(const Root& root, const PagingMode& mode);
  bool matches(const Root& root, u64 mode_key) const {
    return used_ && mode_key_ == mode_key && root_ == root;
  }
  bool used() const { return used_; }
  bool has_views() const;
  const Root& root() const { return root_; }
  const PagingMode& mode() const { return mode_; }

  ViewPool::ViewId view(ViewKind kind) const { return view_[static_cast<u8>(kind)]; }
  /// nullptr: there is no such view.
  ShadowTable* table(ViewKind kind) const { return table_[static_cast<u8>(kind)]; }
  void set_view(ViewKind kind, ViewPool::ViewId view) {
    view_[static_cast<u8>(kind)] = view;
    table_[static_cast<u8>(kind)] = &views_.table(view);
  }

  /// The region of `linear` where the path to its leaf entries is known, else nullptr.
  const Region* known_path(u64 linear);
  /// Where the leaf entry for `linear` is in its table.
  u16 leaf_offset(const Region& region, u64 linear) const;
  /// Keeps the path of a full walk whose accessed bits are set.
  void learn(u64 linear, const Walk& walk);
  /// Puts a page into a view; its region's path is known.
  void fill(ViewKind kind, u64 linear, const Grant& grant);
  /// Whether the page was translated for execution and has not changed since.
  bool executed(u64 linear);

  /// Forgets the page of `linear`; its table entry changed.
  void drop_page(u64 linear);
  /// Forgets everything in [base, base + size), with the paths; an upper or large entry changed.
  void drop_range(u64 base, u64 size);
  /// Forgets everything. The views stay, without memory.
  void clear();
  /// Gives the views back; the space no longer matches any root.
  void retire();

  u64 last_used = 0;

 private:
  Region* find(u64 linear) {
    u64 base = linear & ~(kRegionSize - 1);
    if (last_ < regions_.size() && regions_[last_].base == base) return &regions_[last_];
    return find_in_buckets(base);
  }
  Region* find_in_buckets(u64 base);
  Region& find_or_add(u64 linear);
  void rehash(size_t buckets);
  size_t bucket_of(u64 base) const;
  void drop_pages(Region& region);
  void drop_in_views(u64 linear);
  void renew_epochs();
  void count_chunk(Region& region, ViewKind kind, unsigned page);
  void forget_path(Region& region);
  TableUses::Use use_of(const Region& region, u8 step) const;

  ViewPool& views_;
  TableUses& uses_;
  u16 id_;
  bool used_ = false;
  Root root_;
  PagingMode mode_;
  u64 mode_key_ = 0;
  std::array<ViewPool::ViewId, kViewKinds> view_;
  std::array<ShadowTable*, kViewKinds> table_{};
  std::vector<Region> regions_;
  size_t last_ = 0;           ///< index of the region found last
  std::vector<u16> buckets_;  ///< open addressing: index into regions_ + 1, 0 = free
};

}  // namespace penumbra::mmu
