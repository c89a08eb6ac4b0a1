#include "mmu/shadow_space.h"

#include <algorithm>
#include <bit>

namespace penumbra::mmu {
namespace {

constexpr u64 region_base(u64 linear) { return linear & ~(ShadowSpace::kRegionSize - 1); }
constexpr unsigned page_in_region(u64 linear) { return (linear >> 12) & 511; }

}  // namespace

void ShadowSpace::adopt(const Root& root, const PagingMode& mode) {
  root_ = root;
  mode_ = mode;
  mode_key_ = mode.key();
  used_ = true;
}

bool ShadowSpace::has_views() const {
  return std::ranges::any_of(view_, [](auto view) { return view != ViewPool::kNone; });
}

// -- regions -------------------------------------------------------------------------------------

size_t ShadowSpace::bucket_of(u64 base) const {
  u64 hash = (base >> kRegionShift) * 0x9e3779b97f4a7c15;
  return (hash >> 32) & (buckets_.size() - 1);
}

ShadowSpace::Region* ShadowSpace::find_in_buckets(u64 base) {
  if (buckets_.empty()) return nullptr;
  for (size_t at = bucket_of(base); buckets_[at]; at = (at + 1) & (buckets_.size() - 1)) {
    size_t index = buckets_[at] - 1u;
    if (regions_[index].base != base) continue;
    last_ = index;
    return &regions_[index];
  }
  return nullptr;
}

void ShadowSpace::rehash(size_t buckets) {
  buckets_.assign(buckets, 0);
  for (size_t i = 0; i < regions_.size(); ++i) {
    size_t at = bucket_of(regions_[i].base);
    while (buckets_[at]) at = (at + 1) & (buckets - 1);
    buckets_[at] = static_cast<u16>(i + 1);
  }
}

ShadowSpace::Region& ShadowSpace::find_or_add(u64 linear) {
  if (Region* region = find(linear)) return *region;
  if (regions_.size() == kMostRegions) clear();
  regions_.emplace_back().base = region_base(linear);
  size_t wanted = std::max<size_t>(64, std::bit_ceil(2 * regions_.size()));
  if (buckets_.size() < wanted) {
    rehash(wanted);
  } else {
    size_t at = bucket_of(region_base(linear));
    while (buckets_[at]) at = (at + 1) & (buckets_.size() - 1);
    buckets_[at] = static_cast<u16>(regions_.size());
  }
  return regions_.back();
}

// -- paths ---------------------------------------------------------------------------------------

const ShadowSpace::Region* ShadowSpace::known_path(u64 linear) {
  const Region* region = find(linear);
  return region && region->levels && region->leaf.page != kNoPage ? region : nullptr;
}

u16 ShadowSpace::leaf_offset(const Region& region, u64 linear) const {
  if (region.leaf.level != 1) return region.leaf.offset;
  u64 index = (linear >> 12) & ((1u << mode_.index_bits) - 1);
  return static_cast<u16>(index * mode_.entry_bytes);
}

TableUses::Use ShadowSpace::use_of(const Region& region, u8 step) const {
  u8 level = static_cast<u8>(mode_.levels - step);
  unsigned covered = mode_.shift(level) + mode_.index_bits;
  return {region.base >> covered << covered, 0, id_, level, mode_.entry_bytes};
}

void ShadowSpace::learn(u64 linear, const Walk& walk) {
  Region& region = find_or_add(linear);
  if (region.has_path) return;
  region.has_path = true;
  region.levels = walk.count;
  region.upper = {};
  for (u8 step = 0; step < walk.count; ++step) {
    region.tables[step] = walk.entries[step].page;
    if (region.tables[step] != kNoPage) uses_.add(region.tables[step], use_of(region, step));
    if (step + 1 < walk.count) region.upper = region.upper.with(walk.entries[step].value);
  }
  if (walk.count) region.leaf = walk.leaf();
}

void ShadowSpace::forget_path(Region& region) {
  if (!region.has_path) return;
  region.has_path = false;
  for (u8 step = 0; step < region.levels; ++step)
    if (region.tables[step] != kNoPage) uses_.remove(region.tables[step], use_of(region, step));
  region.levels = 0;
}

// -- fills and drops -----------------------------------------------------------------------------

void ShadowSpace::fill(ViewKind kind, u64 linear, const Grant& grant) {
  Region* region = find(linear);
  PENUMBRA_ASSERT(region && region->has_path);
  unsigned page = page_in_region(linear);
  region->filled[page / 64] |= bit(page % 64);
  if (grant.execute) region->executed[page / 64] |= bit(page % 64);
  count_chunk(*region, kind, page);
  views_.fill(view(kind), linear, grant);
}

void ShadowSpace::count_chunk(Region& region, ViewKind kind, unsigned page) {
  constexpr unsigned kChunks = 512 / ViewPool::kChunkPages;
  static_assert(kChunks * kViewKinds <= 16);
  u16 chunk =
      static_cast<u16>(1u << (static_cast<u8>(kind) * kChunks + page / ViewPool::kChunkPages));
  if (region.chunks & chunk) return;
  region.chunks |= chunk;
  views_.count_chunk(view(kind));
}

bool ShadowSpace::executed(u64 linear) {
  Region* region = find(linear);
  unsigned page = page_in_region(linear);
  return region && (region->executed[page / 64] & bit(page % 64));
}

void ShadowSpace::renew_epochs() {
  for (ViewPool::ViewId view : view_)
    if (view != ViewPool::kNone) views_.renew_epoch(view);
}

void ShadowSpace::drop_in_views(u64 linear) {
  for (ViewPool::ViewId view : view_)
    if (view != ViewPool::kNone) views_.drop(view, linear);
}

void ShadowSpace::drop_page(u64 linear) {
  Region* region = find(linear);
  unsigned page = page_in_region(linear);
  if (!region || !(region->filled[page / 64] & bit(page % 64))) return;
  region->filled[page / 64] &= ~bit(page % 64);
  if (region->executed[page / 64] & bit(page % 64)) renew_epochs();
  region->executed[page / 64] &= ~bit(page % 64);
  drop_in_views(linear);
}

void ShadowSpace::drop_pages(Region& region) {
  for (unsigned word = 0; word < 8; ++word) {
    for (u64 left = region.filled[word]; left; left &= left - 1)
      drop_in_views(region.base + (word * 64 + std::countr_zero(left)) * kPageSize);
    if (region.executed[word]) renew_epochs();
    region.filled[word] = region.executed[word] = 0;
  }
}

void ShadowSpace::drop_range(u64 base, u64 size) {
  constexpr u64 kFewRegions = 4;
  if (size <= kFewRegions * kRegionSize) {
    for (u64 at = base; at - base < size; at += kRegionSize)
      if (Region* region = find(at)) {
        drop_pages(*region);
        forget_path(*region);
      }
    return;
  }
  for (Region& region : regions_)
    if (region.base - base < size) {
      drop_pages(region);
      forget_path(region);
    }
}

void ShadowSpace::clear() {
  for (Region& region : regions_) {
    drop_pages(region);
    forget_path(region);
  }
  regions_.clear();
  buckets_.clear();
  for (ViewPool::ViewId view : view_)
    if (view != ViewPool::kNone) views_.reset(view);
}

void ShadowSpace::retire() {
  clear();
  for (ViewPool::ViewId& view : view_)
    if (view != ViewPool::kNone) views_.give_back(std::exchange(view, ViewPool::kNone));
  table_.fill(nullptr);
  used_ = false;
}

}  // namespace penumbra::mmu
