#include "integer_native.h"

#include <sys/mman.h>

#include <cstdlib>

namespace penumbra::cpu::test {
namespace {

constexpr u16 kUserCode32 = 0x23;  // Linux's compatibility-mode code segment
constexpr u32 kFarPointer = 64, kCode32 = 128, kStackTop = 2 * kPageSize;

constexpr u8 kEnter[] = {
    0x48, 0x87, 0xe2,  // xchg rdx, rsp: the low stack
    0xff, 0x1e,        // call far [rsi]
    0x48, 0x87, 0xe2,  // xchg rdx, rsp
    0xc3,              // ret
};
constexpr u8 kBefore[] = {0x51, 0x9d};       // push ecx; popfd
constexpr u8 kAfter[] = {0x9c, 0x59, 0xcb};  // pushfd; pop ecx; retf

}  // namespace

bool host_is_reference() {
  u32 eax = 0, ebx = 0, ecx = 0, edx = 0;
  asm("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
  return ebx == 0x68747541;  // "Auth" of AuthenticAMD
}

bool Native32::available() {
  u32 rights = 0;
  u8 readable = 0;
  asm("lar %2, %0\n\tsetz %1" : "=r"(rights), "=q"(readable) : "r"(u32{kUserCode32}) : "cc");
  constexpr u32 kPresentCode = 1u << 15 | 1u << 12 | 1u << 11, kLong = 1u << 21;
  return readable && (rights & kPresentCode) == kPresentCode && !(rights & kLong);
}

Native32::Native32() {
  void* page = mmap(nullptr, kStackTop, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  if (page == MAP_FAILED) std::abort();
  page_ = static_cast<u8*>(page);
  std::memcpy(page_, kEnter, sizeof kEnter);
  store_to<u32>(page_ + kFarPointer, static_cast<u32>(reinterpret_cast<u64>(page_)) + kCode32);
  store_to<u16>(page_ + kFarPointer + 4, kUserCode32);
  std::memcpy(page_ + kCode32, kBefore, sizeof kBefore);
}

Native32::~Native32() { munmap(page_, kStackTop); }

void Native32::place(std::span<const u8> instruction) {
  u8* code = page_ + kCode32 + sizeof kBefore;
  std::memcpy(code, instruction.data(), instruction.size());
  std::memcpy(code + instruction.size(), kAfter, sizeof kAfter);
}

Native32::Registers Native32::run(Registers in) const {
  u64 rax = in.eax, rcx = in.flags;
  u64 stack = reinterpret_cast<u64>(page_) + kStackTop - 16;
  u64 pointer = reinterpret_cast<u64>(page_) + kFarPointer;
  asm volatile("sub $128, %%rsp\n\tcall *%[code]\n\tadd $128, %%rsp"
               : "+a"(rax), "+c"(rcx), "+d"(stack), "+S"(pointer)
               : [code] "D"(page_)
               : "memory", "cc", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15");
  return {static_cast<u32>(rax), static_cast<u32>(rcx)};
}

}  // namespace penumbra::cpu::test
