// Shadow tables with what the fast path does not need: who maps a page writable.
//
// A View is a ShadowTable and, for each of its entries, a Link in the list of all entries (of all
// views) that map the same RAM page for writing. The lists are exact: an entry is in the list of
// its page if and only if its write_tag is present. So taking a page out of every fast view costs
// what it is mapped, and no more.
// An entry that the guest may write but whose page is not plain (code, page table, dirty log) has
// the tag page | kTracked: it misses in the fast path, but a store needs no translation.
#pragma once

#include <vector>

#include "mmu/physical_memory.h"
#include "mmu/shadow_table.h"

namespace penumbra::mmu {

/// Views of one address space. Strict never holds data entries: with CR0.AM and EFLAGS.AC at CPL 3
/// every access takes the slow path, which checks alignment.
enum class ViewKind : u8 { User, Supervisor, SupervisorAc, Strict };
constexpr unsigned kViewKinds = 4;

/// What a fill grants.
struct Grant {
  u8* host = nullptr;  ///< of the page's first byte
  RamPage page = kNoPage;
  bool read = false, write = false, execute = false;
  bool plain = true;  ///< else a granted write is tracked
};

class ViewPool {
 public:
  using ViewId = u16;
  static constexpr ViewId kNone = 0xffff;
  static constexpr unsigned kMostViews = 128;
  /// Host memory is used by chunks: 128 entries are a page, their links another.
  static constexpr u64 kChunkPages = kPageSize / sizeof(ShadowEntry), kMostChunks = 4096;

  explicit ViewPool(u64 ram_pages) : writers_(ram_pages) {}

  bool exhausted() const { return free_.empty() && views_.size() == kMostViews; }
  /// An empty view; not to be called when exhausted(). Views that go back must be reset.
  ViewId take();
  void give_back(ViewId view) { free_.push_back(view); }
  /// Gives an empty view's memory back to the host.
  void reset(ViewId view);
  /// Another kChunkPages of the view's pages have their first entry.
  void count_chunk(ViewId view) {
    ++views_[view].chunks;
    ++chunks_;
  }
  /// The views use more memory of the host than they should.
  bool crowded() const { return chunks_ > kMostChunks; }
  ShadowTable& table(ViewId view) { return *views_[view].table.data(); }

  void fill(ViewId view, u64 linear, const Grant& grant);
  /// Removes what the view holds for the page of `linear`.
  void drop(ViewId view, u64 linear);
  /// The RAM page that the view lets the guest write at [linear, +size), tracked or not, else
  /// kNoPage; an access that crosses pages is not found.
  RamPage writable_page(ViewId view, u64 linear, u32 size) {
    u64 index = ShadowTable::index(linear);
    const View& v = views_[view];
    u64 tag = v.table[0].entries[index].write_tag & ~kTracked;
    return tag == page_of(linear + size - 1) ? v.links[index].page : kNoPage;
  }
  /// Gives the view a new execute_epoch.
  void renew_epoch(ViewId view) { table(view).execute_epoch = ++last_epoch_; }
  /// The page of a tracked entry has become plain: its stores may be fast again.
  void untrack(ViewId view, u64 linear);
  /// Takes the page out of every view for writing.
  void drop_writers(RamPage page);

 private:
  using SlotId = u64;  ///< view << kIndexBits | index, plus 1 in lists so that 0 means none
  static constexpr u64 kTracked = ShadowEntry::kTracked;
  struct Link {
    SlotId next, previous;  ///< valid while the write tag is a page
    RamPage page;           ///< valid while the write tag is a page, tracked or not
  };
  struct View {
    MappedArray<ShadowTable> table{1};
    MappedArray<Link> links{ShadowTable::kEntries};
    u64 chunks = 0;
  };

  static SlotId slot_id(ViewId view, u64 index) {
    return (u64{view} << ShadowTable::kIndexBits | index) + 1;
  }
  Link& link(SlotId slot) {
    return views_[(slot - 1) >> ShadowTable::kIndexBits].links[(slot - 1) & kIndexMask];
  }
  void insert(SlotId slot);
  void remove(SlotId slot);

  static constexpr u64 kIndexMask = ShadowTable::kEntries - 1;
  std::vector<View> views_;
  std::vector<ViewId> free_;
  MappedArray<SlotId> writers_;  ///< head of each RAM page's list
  u64 last_epoch_ = 0;
  u64 chunks_ = 0;  ///< of all views
};

}  // namespace penumbra::mmu
