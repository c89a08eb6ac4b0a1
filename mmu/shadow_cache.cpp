#include "mmu/shadow_cache.h"

#include <algorithm>
#include <bit>

namespace penumbra::mmu {

ShadowCache::ShadowCache(PhysicalMemory& memory, Mmu::Counters& counters)
    : memory_(memory), counters_(counters), views_(memory.ram_pages()), uses_(memory) {
  for (u16 id = 0; id < kMostSpaces; ++id) spaces_.emplace_back(views_, uses_, id);
  memory_.add_listener(this);
}

ShadowCache::~ShadowCache() { memory_.remove_listener(this); }

ShadowSpace* ShadowCache::known_space(u64 hash, const Root& root, u64 key) {
  u8& recent = recent_[hash / (~0ull / kMostSpaces + 1)];
  if (spaces_[recent].matches(root, key)) return &spaces_[recent];
  for (u8 i = 0; i < kMostSpaces; ++i) {
    if (hashes_[i] != hash || !spaces_[i].matches(root, key)) continue;
    recent = i;
    return &spaces_[i];
  }
  return nullptr;
}

ShadowSpace& ShadowCache::space(const Root& root, const PagingMode& mode) {
  const auto& value = root.value;
  u64 key = mode.key();
  u64 hash =
      key ^ value[0] ^ std::rotl(value[1], 16) ^ std::rotl(value[2], 32) ^ std::rotl(value[3], 48);
  hash *= 0x9e3779b97f4a7c15;
  ShadowSpace* space = known_space(hash, root, key);
  if (!space) {
    space = &*std::ranges::min_element(spaces_, {}, &ShadowSpace::last_used);
    if (space->used()) retire(*space);
    space->adopt(root, mode);
    hashes_[space - spaces_.data()] = hash;
    ++counters_.tables;
  }
  space->last_used = ++clock_;
  return *space;
}

ShadowSpace* ShadowCache::least_recent_but(const ShadowSpace& except) {
  ShadowSpace* oldest = nullptr;
  for (ShadowSpace& space : spaces_) {
    if (&space == &except || !space.has_views()) continue;
    if (!oldest || space.last_used < oldest->last_used) oldest = &space;
  }
  return oldest;
}

/// Takes the memory of views from the spaces used least recently, in the end from `space` itself.
void ShadowCache::make_room(ShadowSpace& space) {
  while (views_.crowded()) {
    ShadowSpace* oldest = least_recent_but(space);
    if (!oldest) return space.clear();
    retire(*oldest);
  }
}

void ShadowCache::retire(ShadowSpace& space) {
  space.retire();
  space.last_used = 0;
  ++counters_.evictions;
}

ShadowTable& ShadowCache::new_view(ShadowSpace& space, ViewKind kind) {
  if (views_.exhausted()) retire(*least_recent_but(space));  // one space has four at most
  space.set_view(kind, views_.take());
  return *space.table(kind);
}

RamPage ShadowCache::writable_page(const ShadowSpace& space, ViewKind kind, u64 linear, u32 size) {
  RamPage page = views_.writable_page(space.view(kind), linear, size);
  if (page == kNoPage) return kNoPage;
  if (memory_.plain(page)) views_.untrack(space.view(kind), linear);
  return page;
}

void ShadowCache::drop_everything() {
  ++counters_.flushes;
  for (ShadowSpace& space : spaces_) space.clear();
}

// -- stores to page tables -----------------------------------------------------------------------

void ShadowCache::table_written(RamPage page, u32 offset, u32 size, const u8* old) {
  ++counters_.table_writes;
  const std::vector<TableUses::Use>& uses = uses_.of(page);
  if (uses.size() == 1) {
    TableUses::Use use = uses.front();
    return entries_written(use, page, offset, size, old);
  }
  written_ = uses;  // drops change the list
  for (const TableUses::Use& use : written_) entries_written(use, page, offset, size, old);
}

void ShadowCache::retire_table(RamPage page) {
  written_ = uses_.of(page);
  for (const TableUses::Use& use : written_) {
    const PagingMode& mode = spaces_[use.space].mode();
    spaces_[use.space].drop_range(use.base, 1ull << (mode.shift(use.level) + mode.index_bits));
  }
}

void ShadowCache::entries_written(const TableUses::Use& use, RamPage page, u32 offset, u32 size,
                                  const u8* old) {
  ShadowSpace& space = spaces_[use.space];
  const PagingMode& mode = space.mode();
  const u8* now = memory_.page_host(page);
  unsigned shift = mode.shift(use.level);
  u32 old_start = offset & ~7u;
  for (u32 at = offset & ~(u32{use.entry_bytes} - 1); at < offset + size; at += use.entry_bytes) {
    u64 before = 0, after = 0;
    std::memcpy(&before, old + (at - old_start), use.entry_bytes);
    std::memcpy(&after, now + at, use.entry_bytes);
    if (!must_drop(mode, use.level, before, after)) continue;
    u64 linear = use.base + (u64{at / use.entry_bytes} << shift);
    use.level == 1 ? space.drop_page(linear) : space.drop_range(linear, 1ull << shift);
  }
}

bool ShadowCache::must_drop(const PagingMode& mode, unsigned level, u64 old, u64 now) {
  // SDM 3A 4.10.2.3: entries that are not present are never cached.
  if (!(old & Entry::kPresent)) return false;
  u64 changed = old ^ now, gained = changed & now;
  u64 harmless = Entry::kWriteThrough | Entry::kCacheDisable | Entry::kGlobal;
  harmless |= Bits<11, 9>::kMask | (gained & Entry::kAccessed);
  if (mode.kind == PagingKind::Long) harmless |= Bits<58, 52>::kMask;
  // Leaf entries are read again at each fill: what allows more may wait until then.
  harmless |=
      mode.is_leaf(level, old) ? gained & (Entry::kWritable | Entry::kDirty) : Entry::kDirty;
  return (changed & ~harmless) != 0;
}

}  // namespace penumbra::mmu
