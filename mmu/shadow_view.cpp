#include "mmu/shadow_view.h"

namespace penumbra::mmu {
namespace {

/// Whether a write tag is a page: zero-filled entries hold tag 0, which no fill ever writes at
/// their index except for index 0, where init puts kAbsent (shadow_table.h).
bool writable(const ShadowEntry& entry, u64 index) {
  return entry.write_tag != ShadowTable::kAbsent && (entry.write_tag != 0 || index == 0);
}

}  // namespace

ViewPool::ViewId ViewPool::take() {
  if (!free_.empty()) {
    ViewId view = free_.back();
    free_.pop_back();
    return view;
  }
  View& view = views_.emplace_back();
  view.table[0].init();
  view.links[0].tracked_tag = ShadowTable::kAbsent;
  return static_cast<ViewId>(views_.size() - 1);
}

void ViewPool::insert(SlotId slot) {
  Link& added = link(slot);
  SlotId& head = writers_[added.page];
  added.next = head;
  added.previous = 0;
  if (head) link(head).previous = slot;
  head = slot;
}

void ViewPool::remove(SlotId slot) {
  const Link& gone = link(slot);
  if (gone.next) link(gone.next).previous = gone.previous;
  if (gone.previous) {
    link(gone.previous).next = gone.next;
  } else {
    writers_[gone.page] = gone.next;
  }
}

void ViewPool::fill(ViewId view, u64 linear, const Grant& grant) {
  u64 index = ShadowTable::index(linear), page = page_of(linear);
  ShadowEntry& entry = table(view).entries[index];
  SlotId slot = slot_id(view, index);
  if (writable(entry, index)) remove(slot);
  entry.read_tag = grant.read ? page : ShadowTable::kAbsent;
  entry.write_tag = grant.write ? page : ShadowTable::kAbsent;
  entry.execute_tag = grant.execute ? page : ShadowTable::kAbsent;
  entry.addend = reinterpret_cast<u64>(grant.host) - page;
  Link& side = link(slot);
  side.tracked_tag = grant.tracked ? page : ShadowTable::kAbsent;
  side.page = grant.page;
  if (grant.write) insert(slot);
}

void ViewPool::untrack(ViewId view, u64 linear) {
  u64 index = ShadowTable::index(linear);
  SlotId slot = slot_id(view, index);
  Link& side = link(slot);
  if (side.tracked_tag != page_of(linear)) return;
  table(view).entries[index].write_tag = std::exchange(side.tracked_tag, ShadowTable::kAbsent);
  insert(slot);
}

void ViewPool::drop(ViewId view, u64 linear) {
  u64 index = ShadowTable::index(linear), page = page_of(linear);
  ShadowEntry& entry = table(view).entries[index];
  if (entry.read_tag != page && entry.write_tag != page && entry.execute_tag != page) return;
  SlotId slot = slot_id(view, index);
  if (writable(entry, index)) remove(slot);
  link(slot).tracked_tag = ShadowTable::kAbsent;
  entry.read_tag = entry.write_tag = entry.execute_tag = ShadowTable::kAbsent;
}

void ViewPool::drop_writers(RamPage page) {
  for (SlotId slot = writers_[page]; slot; slot = link(slot).next) {
    View& view = views_[(slot - 1) >> ShadowTable::kIndexBits];
    ShadowEntry& entry = view.table[0].entries[(slot - 1) & kIndexMask];
    link(slot).tracked_tag = std::exchange(entry.write_tag, ShadowTable::kAbsent);
  }
  writers_[page] = 0;
}

}  // namespace penumbra::mmu
