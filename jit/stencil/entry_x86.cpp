#include "jit/stencil/entry_x86.h"

#include <cstddef>

namespace penumbra::jit {

using cpu::CpuState;

#define PENUMBRA_STATE_OFFSETS                                                                \
  [gpr] "i"(offsetof(CpuState, gpr)), [left] "i"(offsetof(CpuState, instructions_left)),      \
      [rip] "i"(offsetof(CpuState, rip)), [saved] "i"(offsetof(CpuState, saved_temporaries)), \
      [linear] "i"(offsetof(CpuState, slow_linear))

// Guest RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI: as kPinned.
#define PENUMBRA_SPILL                \
  "movq %%r9, %c[gpr](%%r12)\n\t"     \
  "movq %%r10, %c[gpr]+8(%%r12)\n\t"  \
  "movq %%r11, %c[gpr]+16(%%r12)\n\t" \
  "movq %%r14, %c[gpr]+24(%%r12)\n\t" \
  "movq %%rbp, %c[gpr]+32(%%r12)\n\t" \
  "movq %%r15, %c[gpr]+40(%%r12)\n\t" \
  "movq %%rsi, %c[gpr]+48(%%r12)\n\t" \
  "movq %%rdi, %c[gpr]+56(%%r12)\n\t" \
  "movq %%r13, %c[left](%%r12)\n\t"
#define PENUMBRA_RELOAD               \
  "movq %c[gpr](%%r12), %%r9\n\t"     \
  "movq %c[gpr]+8(%%r12), %%r10\n\t"  \
  "movq %c[gpr]+16(%%r12), %%r11\n\t" \
  "movq %c[gpr]+24(%%r12), %%r14\n\t" \
  "movq %c[gpr]+32(%%r12), %%rbp\n\t" \
  "movq %c[gpr]+40(%%r12), %%r15\n\t" \
  "movq %c[gpr]+48(%%r12), %%rsi\n\t" \
  "movq %c[gpr]+56(%%r12), %%rdi\n\t" \
  "movq %c[left](%%r12), %%r13\n\t"
// To the code at rax, which may be entered by dynamic jumps.
#define PENUMBRA_GO \
  PENUMBRA_RELOAD   \
  "movq %c[rip](%%r12), %%rdx\n\tjmpq *%%rax\n"
#define PENUMBRA_RETURN \
  "addq $8, %%rsp\n\t"  \
  "popq %%r15\n\t"      \
  "popq %%r14\n\t"      \
  "popq %%r13\n\t"      \
  "popq %%r12\n\t"      \
  "popq %%rbp\n\t"      \
  "popq %%rbx\n\t"      \
  "ret"

__attribute__((naked, noinline)) Leave enter_native(CpuState*, const u8*) {
  asm volatile(
      "pushq %%rbx\n\t"
      "pushq %%rbp\n\t"
      "pushq %%r12\n\t"
      "pushq %%r13\n\t"
      "pushq %%r14\n\t"
      "pushq %%r15\n\t"
      "subq $8, %%rsp\n\t"
      "movq %%rdi, %%r12\n\t"
      "movq %%rsi, %%rax\n\t" PENUMBRA_GO
      :
      : PENUMBRA_STATE_OFFSETS);
}

#define PENUMBRA_VECTORS(each)                                                             \
  each(0) each(1) each(2) each(3) each(4) each(5) each(6) each(7) each(8) each(9) each(10) \
      each(11) each(12) each(13) each(14) each(15)
#define PENUMBRA_SAVE_AVX(i) "vmovups %%ymm" #i ", 32*" #i "(%%rsp)\n\t"
#define PENUMBRA_RESTORE_AVX(i) "vmovups 32*" #i "(%%rsp), %%ymm" #i "\n\t"
#define PENUMBRA_SAVE_SSE(i) "movups %%xmm" #i ", 32*" #i "(%%rsp)\n\t"
#define PENUMBRA_RESTORE_SSE(i) "movups 32*" #i "(%%rsp), %%xmm" #i "\n\t"

#define PENUMBRA_VECTORS_OFFSET [wanted] "i"(offsetof(Site, wanted))

// rbx, which C++ preserves, holds the site meanwhile.
#define PENUMBRA_SLOW(name, save, restore)                                                   \
  extern "C" __attribute__((naked)) void name() {                                            \
    asm volatile(                                                                          \
        "movq %%r8, %c[saved](%%r12)\n\t"                                                  \
        "movq %%rbx, %c[saved]+8(%%r12)\n\t"                                               \
        "movq %%rdx, %c[linear](%%r12)\n\t" PENUMBRA_SPILL                                 \
        "movq %%r12, %%rdi\n\t"                                                            \
        "movq %%rax, %%rsi\n\t"                                                            \
        "movq %%rax, %%rbx\n\t"                                                            \
        "subq $520, %%rsp\n\t"                                                             \
        "cmpb $0, %c[wanted](%%rbx)\n\t"                                                  \
        "je 3f\n\t" PENUMBRA_VECTORS(save) "3:\n\t"                                        \
        "movq %%rsp, %%rdx\n\t"                                                            \
        "callq penumbra_slow_path\n\t"                                                     \
        "cmpq $1, %%rax\n\t" /* kBehindSite */                                             \
        "jb 1f\n\t"                                                                        \
        "ja 2f\n\t"                                                                        \
        "cmpb $0, %c[wanted](%%rbx)\n\t"                                                  \
        "je 3f\n\t" PENUMBRA_VECTORS(restore) "3:\n\t"                                     \
        "addq $520, %%rsp\n\t"                                                              \
        "cmpl %%eax, %%eax\n\t" /* ZF: see penumbra_slow_store_avx() */                   \
        "movq %c[saved](%%r12), %%r8\n\t"                                                  \
        "movq %c[saved]+8(%%r12), %%rbx\n\t" PENUMBRA_RELOAD                               \
        "retq\n"                                                                           \
        "2:\n\t"                                                                           \
        "addq $528, %%rsp\n\t" PENUMBRA_GO                                                 \
        "1:\n\t"                                                                           \
        "addq $528, %%rsp\n\t" /* with the return address into generated code */           \
        "movl %[stopped], %%edx\n\t" PENUMBRA_RETURN                                       \
        :                                                                                  \
        : PENUMBRA_STATE_OFFSETS, [stopped] "i"(static_cast<u64>(Leave::Reason::Stopped)), \
          PENUMBRA_VECTORS_OFFSET); \
  }
PENUMBRA_SLOW(penumbra_slow_avx, PENUMBRA_SAVE_AVX, PENUMBRA_RESTORE_AVX)
PENUMBRA_SLOW(penumbra_slow_sse, PENUMBRA_SAVE_SSE, PENUMBRA_RESTORE_SSE)

// A lean function of (state, site, linear address) that preserves most registers (preserve_most):
// guest RDX, RSI and RDI have to be put away, and vectors where the site wants any back. The site
// is in rsi behind it.
#define PENUMBRA_CALL_LEAN(function, save, restore) \
  "movq %%r11, %c[gpr]+16(%%r12)\n\t"               \
  "movq %%rsi, %c[gpr]+48(%%r12)\n\t"               \
  "movq %%rdi, %c[gpr]+56(%%r12)\n\t"               \
  "movq %%r12, %%rdi\n\t"                           \
  "movq %%rax, %%rsi\n\t"                           \
  "subq $520, %%rsp\n\t"                            \
  "cmpb $0, %c[wanted](%%rsi)\n\t"                  \
  "je 3f\n\t" PENUMBRA_VECTORS(save) "3:\n\t"       \
  "callq " function "\n\t"                          \
  "cmpb $0, %c[wanted](%%rsi)\n\t"                  \
  "je 3f\n\t" PENUMBRA_VECTORS(restore) "3:\n\t"    \
  "addq $520, %%rsp\n\t"
#define PENUMBRA_RELOAD_LEAN          \
  "movq %c[gpr]+16(%%r12), %%r11\n\t" \
  "movq %c[gpr]+48(%%r12), %%rsi\n\t" \
  "movq %c[gpr]+56(%%r12), %%rdi\n\t"

#define PENUMBRA_SLOW_STORE(name, slow, save, restore)                                    \
  extern "C" __attribute__((naked)) void name() {                                         \
    asm volatile(PENUMBRA_CALL_LEAN("penumbra_harmless_store", save,                      \
                                    restore) "movq %%rsi, %%rcx\n\t" PENUMBRA_RELOAD_LEAN \
                                             "testq %%rax, %%rax\n\t"                     \
                                             "jz 1f\n\t"                                  \
                                             "movq %%rax, %%rdx\n\t"                      \
                                             "retq\n"                                     \
                                             "1:\n\t"                                     \
                                             "movq %%rcx, %%rax\n\t"                      \
                                             "jmp " slow                                  \
                 :                                                                        \
                 : PENUMBRA_STATE_OFFSETS, PENUMBRA_VECTORS_OFFSET);                      \
  }
PENUMBRA_SLOW_STORE(penumbra_slow_store_avx, "penumbra_slow_avx", PENUMBRA_SAVE_AVX,
                    PENUMBRA_RESTORE_AVX)
PENUMBRA_SLOW_STORE(penumbra_slow_store_sse, "penumbra_slow_sse", PENUMBRA_SAVE_SSE,
                    PENUMBRA_RESTORE_SSE)

#define PENUMBRA_FLAGS(name, save, restore)                                                    \
  extern "C" __attribute__((naked)) void name() {                                              \
    asm volatile(PENUMBRA_CALL_LEAN("penumbra_make_flags", save, restore) PENUMBRA_RELOAD_LEAN \
                 "retq"                                                                        \
                 :                                                                             \
                 : PENUMBRA_STATE_OFFSETS, PENUMBRA_VECTORS_OFFSET);                           \
  }
PENUMBRA_FLAGS(penumbra_flags_avx, PENUMBRA_SAVE_AVX, PENUMBRA_RESTORE_AVX)
PENUMBRA_FLAGS(penumbra_flags_sse, PENUMBRA_SAVE_SSE, PENUMBRA_RESTORE_SSE)

// The registers that C++ may change and their words: RAX, RCX, RDX, RSI, RDI. Neither temporaries
// nor vectors are held.
extern "C" __attribute__((naked)) void penumbra_straight() {
  asm volatile(
      "movq %%r9, %c[gpr](%%r12)\n\t"
      "movq %%r10, %c[gpr]+8(%%r12)\n\t"
      "movq %%r11, %c[gpr]+16(%%r12)\n\t"
      "movq %%rsi, %c[gpr]+48(%%r12)\n\t"
      "movq %%rdi, %c[gpr]+56(%%r12)\n\t"
      "movq %%r13, %c[left](%%r12)\n\t"
      "pushq %%rax\n\t"
      "movq %%r12, %%rdi\n\t"
      "movq %%rax, %%rsi\n\t"
      "callq penumbra_perform_straight\n\t"
      "popq %%rcx\n\t"
      "movq %c[gpr](%%r12), %%r9\n\t"
      "movq %c[gpr]+8(%%r12), %%r10\n\t"
      "movq %c[gpr]+16(%%r12), %%r11\n\t"
      "movq %c[gpr]+48(%%r12), %%rsi\n\t"
      "movq %c[gpr]+56(%%r12), %%rdi\n\t"
      "movq %c[left](%%r12), %%r13\n\t"
      "testb %%al, %%al\n\t"
      "jz 1f\n\t"
      "retq\n"
      "1:\n\t"
      "movq %%rcx, %%rax\n\t"
      "jmp penumbra_slow_sse"
      :
      : PENUMBRA_STATE_OFFSETS);
}

#define PENUMBRA_LEAVE(name, reason)                                                               \
  extern "C" __attribute__((naked)) void name() {                                                  \
    asm volatile(PENUMBRA_SPILL "movl %[number], %%edx\n\t" PENUMBRA_RETURN                        \
                 :                                                                                 \
                 : PENUMBRA_STATE_OFFSETS, [number] "i"(static_cast<u64>(Leave::Reason::reason))); \
  }
PENUMBRA_LEAVE(penumbra_leave_slice, Slice)
PENUMBRA_LEAVE(penumbra_leave_stale, Stale)

// Where control goes is asked of C++: code, or nullptr to leave.
#define PENUMBRA_ASK(name, first, function)                                                 \
  extern "C" __attribute__((naked)) void name() {                                           \
    asm volatile(                                                                           \
        first PENUMBRA_SPILL                                                                \
        "movq %%r12, %%rdi\n\t"                                                             \
        "movq %%rax, %%rsi\n\t"                                                             \
        "callq " #function                                                                  \
        "\n\t"                                                                              \
        "testq %%rax, %%rax\n\t"                                                            \
        "je 1f\n\t" PENUMBRA_GO                                                             \
        "1:\n\t"                                                                            \
        "movl %[stopped], %%edx\n\t" PENUMBRA_RETURN                                        \
        :                                                                                   \
        : PENUMBRA_STATE_OFFSETS, [stopped] "i"(static_cast<u64>(Leave::Reason::Stopped))); \
  }
PENUMBRA_ASK(penumbra_link, "", penumbra_follow_exit)
PENUMBRA_ASK(penumbra_lookup, "movq %%rdx, %c[rip](%%r12)\n\t", penumbra_find_code)

}  // namespace penumbra::jit
