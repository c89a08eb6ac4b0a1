#include "jit/stencil/code_memory.h"

#include <sys/mman.h>

#include "common/log.h"

namespace penumbra::jit {
namespace {

constexpr u64 kLargePage = 2 << 20;
#ifndef MADV_COLLAPSE
constexpr int MADV_COLLAPSE = 25;  // madvise(2), Linux 6.1
#endif

/// A place for `size` bytes at a large page's boundary, kept free.
void* aligned_place(u64 size) {
  u64 whole = size + kLargePage;
  void* place = mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  PENUMBRA_ASSERT(place != MAP_FAILED);
  u8* begin = static_cast<u8*>(place);
  u64 before = -reinterpret_cast<u64>(begin) % kLargePage;
  if (before != 0) munmap(begin, before);
  munmap(begin + before + size, kLargePage - before);
  return begin + before;
}

}  // namespace

CodeMemory::CodeMemory(u64 size, u32 regions)
    : size_(size), region_size_(size / regions), regions_(regions) {
  // Of no file: perf looks for names of code only in such memory. mremap(2): a size of 0 maps
  // shared pages once more.
  int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
  void* write = mmap(aligned_place(size), size, PROT_READ | PROT_WRITE, flags, -1, 0);
  PENUMBRA_ASSERT(write != MAP_FAILED);
  void* execute = mremap(write, 0, size, MREMAP_MAYMOVE | MREMAP_FIXED, aligned_place(size));
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
  use_large_pages(before, begin_ + used_);
}

/// For those that are full at `end` and were not at `begin`. Where the host refuses, all stays as
/// it is.
void CodeMemory::use_large_pages(u64 begin, u64 end) {
  for (u64 at = begin / kLargePage; at < end / kLargePage; ++at) {
    for (u8* mapping : {write_, execute_})
      madvise(mapping + at * kLargePage, kLargePage, MADV_COLLAPSE);
  }
}

void CodeMemory::next_region() {
  region_ = oldest_region();
  begin_ = region_ * region_size_;
  used_ = region_ == 0 ? reserved_ : 0;
}

}  // namespace penumbra::jit
