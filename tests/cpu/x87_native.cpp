#include "x87_native.h"

#include <sys/mman.h>

#include <cstdlib>

namespace penumbra::cpu::test {
namespace {

constexpr u8 kBefore[] = {
    0xdd, 0x27,  // frstor [rdi]
    0x51, 0x9d,  // push rcx; popfq
};
constexpr u8 kAfter[] = {
    0x9c, 0x58,  // pushfq; pop rax
    0xdd, 0x32,  // fnsave [rdx]
    0xc3,        // ret
};

}  // namespace

NativeUnit::NativeUnit() {
  // Below 4 GiB, so that the 32-bit instruction pointer of the image is whole.
  void* page = mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  if (page == MAP_FAILED) std::abort();
  code_ = static_cast<u8*>(page);
  std::memcpy(code_, kBefore, sizeof kBefore);
}

NativeUnit::~NativeUnit() { munmap(code_, kPageSize); }

void NativeUnit::place(const u8* bytes, unsigned size) {
  std::memcpy(code_ + sizeof kBefore, bytes, size);
  std::memcpy(code_ + sizeof kBefore + size, kAfter, sizeof kAfter);
}

u64 NativeUnit::address() const { return reinterpret_cast<u64>(code_) + sizeof kBefore; }

u64 NativeUnit::run(NativeImage& state, void* memory, u64 flags) const {
  NativeImage in = state;
  u64 result = 0;
  asm volatile("sub $128, %%rsp\n\tcall *%[code]\n\tadd $128, %%rsp"  // the red zone
               : "=a"(result)
               : [code] "r"(code_), "D"(&in), "S"(memory), "d"(&state), "c"(flags)
               : "memory", "cc");
  u16 control = 0x37f;
  asm volatile("fldcw %0" : : "m"(control));
  return result;
}

}  // namespace penumbra::cpu::test
