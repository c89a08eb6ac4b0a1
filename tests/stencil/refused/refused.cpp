// One function for each thing that a stencil may not do, under the keys that refusal_test.cpp
// knows.

#include "jit/stencil/source.h"
#include "tests/stencil/keys.h"

namespace penumbra::jit::test {

extern "C" {
extern char unknown_symbol[];
void unknown_function();
PENUMBRA_STENCIL to_nowhere(PENUMBRA_STENCIL_ARGUMENTS);
}

namespace {

#define NEXT PENUMBRA_CONTINUE(to_next)
#define STENCIL(name) PENUMBRA_STENCIL name(PENUMBRA_STENCIL_ARGUMENTS)
/// A stencil of one instruction.
#define INSTRUCTION(name, ...) \
  STENCIL(name) {              \
    asm volatile(__VA_ARGS__); \
    NEXT;                      \
  }

INSTRUCTION(calls, "call unknown_function")
INSTRUCTION(returns, "ret")
INSTRUCTION(pushes, "push %rax")
INSTRUCTION(uses_stack, "lea 8(%%rsp), %%rax" :: : "rax")
INSTRUCTION(uses_stack_slot, "mov %rax, -8(%rsp)")
INSTRUCTION(halts, "hlt")
INSTRUCTION(sets_direction, "std")
INSTRUCTION(makes_system_call, "syscall")
INSTRUCTION(asks_cpu, "cpuid" :: : "rax", "rcx", "rdx", "rbx")
INSTRUCTION(reads_clock, "rdtsc" :: : "rax", "rdx")
INSTRUCTION(traps, "ud2")
INSTRUCTION(uses_x87, "fld1")
INSTRUCTION(uses_mmx, "pxor %mm0, %mm0")
INSTRUCTION(moves_string, "rep movsb")
INSTRUCTION(uses_rdi_silently, "maskmovdqu %xmm8, %xmm9")
INSTRUCTION(uses_thread_segment, "mov %%fs:0, %%rax" :: : "rax")
INSTRUCTION(loads_segment, "mov %eax, %ds")
INSTRUCTION(changes_state_register, "inc %r12")
INSTRUCTION(changes_left, "inc %r13")
INSTRUCTION(takes_high_byte, "movzbl %%ah, %%edi" :: : "rdi")
INSTRUCTION(jumps_if_zero, "jrcxz 1f\n nop\n1:")
INSTRUCTION(clears_vectors, "vzeroupper")
INSTRUCTION(uses_own_address, "lea 0(%%rip), %%rax" :: : "rax")
INSTRUCTION(asks_linker, "mov hole_a@GOTPCREL(%%rip), %%rax" :: : "rax")
INSTRUCTION(uses_unknown_symbol, "mov $unknown_symbol, %%eax" :: : "rax")
INSTRUCTION(jumps_out, "jmp .-4096")
INSTRUCTION(jumps_beside, "jmp to_next+8")
INSTRUCTION(jumps_into_instruction, "jmp 1f+1\n1: mov $1, %%eax" :: : "rax")

STENCIL(goes_nowhere) { PENUMBRA_CONTINUE(to_nowhere); }

STENCIL(jumps_anywhere) {
  [[clang::musttail]] return reinterpret_cast<StencilFunction*>(a)(s, left, d, a, b, c);
}

STENCIL(never_ends) {
  for (;;) asm volatile("");
}

STENCIL(falls_off) {
  asm volatile("mov $1, %%eax" ::: "rax");
  __builtin_unreachable();
}

STENCIL(looks_up) {
  static const u8 kTable[16] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3};
  d = kTable[a & 15];
  NEXT;
}

STENCIL(looks_up_far) {
  static const u64 kTable[] = {3, 1, 4, 1, 5, 9, 2, 6};
  d = kTable[a & 7];
  NEXT;
}

STENCIL(fine) { NEXT; }

[[gnu::used, gnu::section(".stencil_index")]] const StencilEntry kIndex[] = {
    {1, calls},
    {2, returns},
    {3, pushes},
    {4, uses_stack},
    {5, uses_stack_slot},
    {6, halts},
    {7, sets_direction},
    {8, makes_system_call},
    {9, asks_cpu},
    {10, reads_clock},
    {11, traps},
    {12, uses_x87},
    {13, uses_mmx},
    {14, moves_string},
    {15, uses_rdi_silently},
    {16, uses_thread_segment},
    {17, loads_segment},
    {18, changes_state_register},
    {19, changes_left},
    {20, takes_high_byte},
    {21, jumps_if_zero},
    {22, clears_vectors},
    {23, uses_own_address},
    {24, asks_linker},
    {25, uses_unknown_symbol},
    {26, jumps_out},
    {27, jumps_beside},
    {28, jumps_into_instruction},
    {29, goes_nowhere},
    {30, jumps_anywhere},
    {31, never_ends},
    {32, falls_off},
    {33, looks_up},
    {34, looks_up_far},
    {35, fine},
};

}  // namespace
}  // namespace penumbra::jit::test
