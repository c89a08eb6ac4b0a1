#include "mmu/shadow_view.h"

namespace penumbra::mmu {
namespace {

/// Whether a write tag is a page: zero-filled entries hold tag 0, which no fill ever writes at
/// their index except for index 0, where init puts kAbsent (shadow_table.h).
bool writable(const ShadowEntry& entry, u64 index) {
  return (entry.write_tag & kPageMask) == 0 && (entry.write_tag != 0 || index == 0);
}

}  // namespace

ViewPool::ViewId ViewPool::take() {
  if (free_.empty()) {
    views_.emplace_back().table[0].init();
    free_.push_back(static_cast<ViewId>(views_.size() - 1));
  }
  ViewId view = free_.back();
  free_.pop_back();
  renew_epoch(view);
  return view;
}

void ViewPool::reset(ViewId id) {
  View& view = views_[id];
  if (!view.chunks) return;
  view.table.clear();
  view.links.clear();
  view.table[0].init();
  chunks_ -= std::exchange(view.chunks, 0);
  renew_epoch(id);
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
  entry.write_tag = !grant.write ? ShadowTable::kAbsent : grant.plain ? page : page | kTracked;
  entry.execute_tag = grant.execute ? page : ShadowTable::kAbsent;
  entry.addend = reinterpret_cast<u64>(grant.host) - page;
  if (!grant.write) return;
  link(slot).page = grant.page;
  if (grant.plain) insert(slot);
}

void ViewPool::untrack(ViewId view, u64 linear) {
  u64 index = ShadowTable::index(linear);
  ShadowEntry& entry = table(view).entries[index];
  if (entry.write_tag != (page_of(linear) | kTracked)) return;
  entry.write_tag = page_of(linear);
  insert(slot_id(view, index));
}

void ViewPool::drop(ViewId view, u64 linear) {
  u64 index = ShadowTable::index(linear), page = page_of(linear);
  ShadowEntry& entry = table(view).entries[index];
  if (entry.read_tag != page && entry.execute_tag != page) return;
  if (writable(entry, index)) remove(slot_id(view, index));
  entry.read_tag = entry.write_tag = entry.execute_tag = ShadowTable::kAbsent;
}

void ViewPool::drop_writers(RamPage page) {
  for (SlotId slot = writers_[page]; slot; slot = link(slot).next) {
    View& view = views_[(slot - 1) >> ShadowTable::kIndexBits];
    view.table[0].entries[(slot - 1) & kIndexMask].write_tag |= kTracked;
  }
  writers_[page] = 0;
}

}  // namespace penumbra::mmu
