#include "tests/stencil/runner.h"

#include <sys/mman.h>
#include <unistd.h>

namespace penumbra::jit::test {
namespace {

static_assert(offsetof(Registers, vectors) == 128);
static_assert(offsetof(Registers, has_avx) == 640);
static_assert(offsetof(Registers, way) == 648);
static_assert(offsetof(Registers, flags) == 656);

/// Saves what the caller keeps, loads all registers and jumps. The code never touches the stack, so
/// its top is the address of the registers when an exit below is reached.
asm(R"(
  .text
  .macro for_general what
  \what 0, %rax
  \what 1, %rcx
  \what 2, %rdx
  \what 3, %rbx
  \what 5, %rbp
  \what 6, %rsi
  \what 8, %r8
  \what 9, %r9
  \what 10, %r10
  \what 11, %r11
  \what 12, %r12
  \what 13, %r13
  \what 14, %r14
  \what 15, %r15
  .endm
  .macro load_general number, register
  movq \number*8(%rdi), \register
  .endm
  .macro store_general number, register
  movq \register, \number*8(%rdi)
  .endm
  .macro load_vectors move, prefix
  .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
  \move 128+\number*32(%rdi), %\prefix\number
  .endr
  .endm
  .macro store_vectors move, prefix
  .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
  \move %\prefix\number, 128+\number*32(%rdi)
  .endr
  .endm

penumbra_test_enter:
  pushq %rbx
  pushq %rbp
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  pushq %rsi
  pushq %rdi
  cmpq $0, 640(%rdi)
  je 1f
  load_vectors vmovdqu, ymm
  jmp 2f
1:
  load_vectors movdqu, xmm
2:
  pushq 656(%rdi)
  popfq
  for_general load_general
  movq 56(%rdi), %rdi
  jmpq *8(%rsp)

  .irp way, 0, 1, 2, 3, 4
penumbra_test_leave_\way:
  pushq $\way
  jmp penumbra_test_leave
  .endr

penumbra_test_leave:
  xchgq %rdi, 8(%rsp)
  for_general store_general
  popq 648(%rdi)
  popq 56(%rdi)
  pushfq
  popq 656(%rdi)
  cmpq $0, 640(%rdi)
  je 1f
  store_vectors vmovdqu, ymm
  vzeroupper
  jmp 2f
1:
  store_vectors movdqu, xmm
2:
  popq %rsi
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbp
  popq %rbx
  ret
)");

extern "C" void penumbra_test_enter(Registers* registers, const u8* code);
extern "C" void penumbra_test_leave_0();
extern "C" void penumbra_test_leave_1();
extern "C" void penumbra_test_leave_2();
extern "C" void penumbra_test_leave_3();
extern "C" void penumbra_test_leave_4();

}  // namespace

Way way_of(HoleKind kind) {
  return static_cast<Way>(static_cast<u32>(kind) - static_cast<u32>(HoleKind::Taken) +
                          static_cast<u32>(Way::Taken));
}

Runner::Runner() {
  int file = memfd_create("stencils", 0);
  PENUMBRA_ASSERT(file >= 0 && ftruncate(file, kSize) == 0);
  void* write = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  void* run = mmap(nullptr, kSize, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
  close(file);
  PENUMBRA_ASSERT(write != MAP_FAILED && run != MAP_FAILED);
  write_ = static_cast<u8*>(write);
  run_ = static_cast<u8*>(run);
  void (*exits[])() = {penumbra_test_leave_0, penumbra_test_leave_1, penumbra_test_leave_2,
                       penumbra_test_leave_3, penumbra_test_leave_4};
  for (u64 way = 0; way < std::size(exits); way++)
    write_jump(kThunks + 16 * way, reinterpret_cast<u64>(exits[way]));
}

Runner::~Runner() {
  munmap(write_, kSize);
  munmap(run_, kSize);
}

/// jmp *0(%rip), with the address behind it.
void Runner::write_jump(u64 offset, u64 target) {
  constexpr u8 kJump[] = {0xff, 0x25, 0, 0, 0, 0};
  std::memcpy(write_ + offset, kJump, sizeof kJump);
  std::memcpy(write_ + offset + sizeof kJump, &target, sizeof target);
}

void Runner::place(const StencilTables& tables, const Stencil& stencil, StencilFill fill) {
  PENUMBRA_ASSERT(tables.constants.size() <= kThunks);
  std::memcpy(write_ + kConstants, tables.constants.data(), tables.constants.size());
  fill[HoleKind::Constants] = run_address(kConstants);
  copy(tables, stencil, fill, write_ + kCode, run_address(kCode));
  for (const Hole& hole : tables.continuations(stencil)) {
    u64 thunk = kThunks + 16 * static_cast<u64>(way_of(hole.kind));
    link(write_ + kCode + hole.offset, run_address(kCode + hole.offset), run_address(thunk));
  }
  write_jump(kCode + stencil.size, reinterpret_cast<u64>(penumbra_test_leave_0));
}

void Runner::run(Registers& registers) const { penumbra_test_enter(&registers, run_ + kCode); }

}  // namespace penumbra::jit::test
