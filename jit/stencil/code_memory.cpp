#include "jit/stencil/code_memory.h"

#include <sys/mman.h>

#include "common/large_pages.h"
#include "common/log.h"

namespace penumbra::jit {

namespace {

/// Where no large page can be mapped: writing some bytes again must not map two megabytes.
void* unaligned_place(u64 size) {
  void* place = aligned_place(size + kLargePage);
  if (place == nullptr) return nullptr;
  u8* begin = static_cast<u8*>(place);
  munmap(begin, kPageSize);
  munmap(begin + kPageSize + size, kLargePage - kPageSize);
  return begin + kPageSize;
}

}  // namespace

CodeMemory::CodeMemory(u64 size, u32 regions)
    : size_(size), region_size_(size / regions), regions_(regions) {
  // Of no file: perf looks for names of code only in such memory. mremap(2): a size of 0 maps
  // shared pages once more.
  int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
  void* places[] = {unaligned_place(size), aligned_place(size)};
  PENUMBRA_ASSERT(places[0] != nullptr && places[1] != nullptr);
  void* write = mmap(places[0], size, PROT_READ | PROT_WRITE, flags, -1, 0);
  PENUMBRA_ASSERT(write != MAP_FAILED);
  void* execute = mremap(write, 0, size, MREMAP_MAYMOVE | MREMAP_FIXED, places[1]);
  PENUMBRA_ASSERT(execute != MAP_FAILED && mprotect(execute, size, PROT_READ | PROT_EXEC) == 0);
  write_ = static_cast<u8*>(write);
  execute_ = static_cast<u8*>(execute);
}

CodeMemory::~CodeMemory() {
  munmap(write_, size_);
  munmap(execute_, size_);
}

void CodeMemory::commit(u32 size) {
  u64 before = begin_ + used_;
  used_ += (size + 15u) & ~15u;
  u64 end = begin_ + used_;
  use_large_pages(before, end);
  // What was written before is hardly changed any more: it need not stay mapped for writing.
  if (before / kWritten != end / kWritten) madvise(write_, page_of(end), MADV_DONTNEED);
}

/// For those that are full at `end` and were not at `begin`.
void CodeMemory::use_large_pages(u64 begin, u64 end) {
  for (u64 at = begin / kLargePage; at < end / kLargePage; ++at) {
    use_large_page(execute_ + at * kLargePage);
  }
}

void CodeMemory::next_region() {
  region_ = oldest_region();
  begin_ = region_ * region_size_;
  used_ = region_ == 0 ? reserved_ : 0;
}

}  // namespace penumbra::jit
