#include "tests/oracle/engine/linear_map.h"

namespace penumbra::oracle {
namespace {

constexpr u64 kPresent = 1, kWritable = 2, kUser = 4, kAccessed = 0x20, kDirty = 0x40;
constexpr u64 kNoExecute = 1ull << 63, kAddress = 0x000ffffffffff000;

}  // namespace

LinearMap::LinearMap(mmu::AddressSpace& space, u64 arena, u64 size)
    : space_(space), arena_(arena), end_(arena + size), next_(arena + kPageSize) {}

u64 LinearMap::read(u64 physical) const {
  u64 entry = 0;
  space_.read({physical}, &entry, sizeof entry);
  return entry;
}

void LinearMap::write(u64 physical, u64 entry) { space_.write({physical}, &entry, sizeof entry); }

u64 LinearMap::leaf_of(u64 linear) {
  auto known = leaf_tables_.find(linear >> 21);
  u64 table = known != leaf_tables_.end() ? known->second : arena_;
  if (known == leaf_tables_.end()) {
    for (unsigned shift = 39; shift > 12; shift -= 9) {
      u64 slot = table + ((linear >> shift) & 511) * 8;
      u64 entry = read(slot);
      if ((entry & kPresent) == 0) {
        if (next_ == end_) return 0;
        entry = next_ | kPresent | kWritable | kUser | kAccessed;
        next_ += kPageSize;
        write(slot, entry);
      }
      table = entry & kAddress;
    }
    leaf_tables_[linear >> 21] = table;
  }
  return table + ((linear >> 12) & 511) * 8;
}

bool LinearMap::map(u64 linear, u64 physical, Rights rights) {
  u64 slot = leaf_of(linear);
  if (slot == 0) return false;
  write(slot, physical | kPresent | kAccessed | kDirty | (rights.writable ? kWritable : 0) |
                  (rights.user ? kUser : 0) | (rights.executable ? 0 : kNoExecute));
  return true;
}

void LinearMap::unmap(u64 linear) {
  if (u64 slot = leaf_of(linear)) write(slot, 0);
}

void LinearMap::reset() {
  const std::vector<u8> zeros(kPageSize, 0);
  for (u64 page = arena_; page < next_; page += kPageSize)
    space_.write({page}, zeros.data(), kPageSize);
  next_ = arena_ + kPageSize;
  leaf_tables_.clear();
}

}  // namespace penumbra::oracle
