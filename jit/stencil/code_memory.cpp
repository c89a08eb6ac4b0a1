#include "jit/stencil/code_memory.h"

#include <sys/mman.h>

#include "common/log.h"

namespace penumbra::jit {

CodeMemory::CodeMemory(u64 size, u32 regions)
    : size_(size), region_size_(size / regions), regions_(regions) {
  // Of no file: perf looks for names of code only in such memory. mremap(2): a size of 0 maps
  // shared pages once more.
  int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE;
  void* write = mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, -1, 0);
  PENUMBRA_ASSERT(write != MAP_FAILED);
  void* execute = mremap(write, 0, size, MREMAP_MAYMOVE);
  PENUMBRA_ASSERT(execute != MAP_FAILED && mprotect(execute, size, PROT_READ | PROT_EXEC) == 0);
  write_ = static_cast<u8*>(write);
  execute_ = static_cast<u8*>(execute);
}

CodeMemory::~CodeMemory() {
  munmap(write_, size_);
  munmap(execute_, size_);
}

void CodeMemory::next_region() {
  region_ = oldest_region();
  begin_ = region_ * region_size_;
  used_ = region_ == 0 ? reserved_ : 0;
}

}  // namespace penumbra::jit
