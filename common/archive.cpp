#include "common/archive.h"

#include <bit>

namespace penumbra {

static_assert(std::endian::native == std::endian::little);

void Archive::raw(void* bytes, size_t size) {
  if (size == 0) return;  // `bytes` may be null then
  if (!loading_) {
    auto* begin = static_cast<const u8*>(bytes);
    data_.insert(data_.end(), begin, begin + size);
    return;
  }
  if (failed_ || size > data_.size() - position_) {
    failed_ = true;
    std::memset(bytes, 0, size);
    return;
  }
  std::memcpy(bytes, data_.data() + position_, size);
  position_ += size;
}

size_t Archive::count(size_t size, size_t element_size) {
  u64 value = size;
  raw(&value, sizeof value);
  // Elements with a serialize list may take fewer bytes than their size, but at least one.
  bool fits = value <= data_.size() && (element_size != 1 || value <= data_.size() - position_);
  if (loading_ && !fits) failed_ = true;
  return failed_ ? 0 : value;
}

u64 hash_bytes(const void* bytes, size_t size, u64 seed) {
  constexpr u64 kPrime = 0x9e3779b97f4a7c15;
  u64 hash = seed ^ (size * kPrime);
  auto* cursor = static_cast<const u8*>(bytes);
  for (; size >= 8; size -= 8, cursor += 8) {
    hash = std::rotl((hash ^ load_from<u64>(cursor)) * kPrime, 29);
  }
  u64 tail = 0;
  if (size != 0) std::memcpy(&tail, cursor, size);
  hash = (hash ^ tail) * kPrime;
  return hash ^ (hash >> 32);
}

}  // namespace penumbra
