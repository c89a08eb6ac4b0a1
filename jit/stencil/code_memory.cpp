#include "jit/stencil/code_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"

namespace penumbra::jit {

CodeMemory::CodeMemory(u64 size, u32 regions)
    : size_(size), region_size_(size / regions), regions_(regions) {
  int file = memfd_create("penumbra-code", MFD_CLOEXEC);
  PENUMBRA_ASSERT(file >= 0 && ftruncate(file, static_cast<off_t>(size)) == 0);
  void* write = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
  void* execute = mmap(nullptr, size, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_NORESERVE, file, 0);
  PENUMBRA_ASSERT(write != MAP_FAILED && execute != MAP_FAILED);
  close(file);
  write_ = static_cast<u8*>(write);
  execute_ = static_cast<u8*>(execute);
}

CodeMemory::~CodeMemory() {
  munmap(write_, size_);
  munmap(execute_, size_);
}

void CodeMemory::next_region() {
  total_ += used_;
  region_ = oldest_region();
  begin_ = region_ * region_size_;
  used_ = region_ == 0 ? reserved_ : 0;
}

}  // namespace penumbra::jit
