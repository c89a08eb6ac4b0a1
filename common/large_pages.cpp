#include "common/large_pages.h"

#include <sys/mman.h>

namespace penumbra {

void* aligned_place(u64 size) {
  u64 whole = size + kLargePage;
  void* place = mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (place == MAP_FAILED) return nullptr;
  u8* begin = static_cast<u8*>(place);
  u64 before = -reinterpret_cast<u64>(begin) % kLargePage;
  if (before != 0) munmap(begin, before);
  if (before != kLargePage) munmap(begin + before + size, kLargePage - before);
  return begin + before;
}

bool use_large_page(void* place) {
  constexpr int kCollapse = 25;  // MADV_COLLAPSE of madvise(2), Linux 6.1
  return madvise(place, kLargePage, kCollapse) == 0;
}

}  // namespace penumbra
