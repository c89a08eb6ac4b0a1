// Extraction of functions given as bytes: the form of the code and what the tables say of it.

#include <llvm/BinaryFormat/ELF.h>

#include <catch2/catch.hpp>

#include "jit/stencil/extract/listing.h"

namespace penumbra::jit::extract {
namespace {

Relocation jump(u32 offset, const char* symbol) {
  return {.offset = offset,
          .type = llvm::ELF::R_X86_64_PLT32,
          .symbol = symbol,
          .addend = -4,
          .is_undefined = true};
}

ExtractedStencil extracted(std::vector<u8> code, std::vector<Relocation> relocations) {
  Result<ExtractedStencil> stencil =
      extract({.key = 7, .name = "f", .code = std::move(code), .relocations = relocations});
  INFO((stencil ? "" : stencil.error()));
  REQUIRE(stencil.has_value());
  return *stencil;
}

TEST_CASE("the jump to what follows is dropped, and operands are open") {
  ExtractedStencil stencil =
      extracted({0x4e, 0x8d, 0x34, 0x3f, 0xe9, 0, 0, 0, 0}, {jump(5, "to_next")});
  CHECK(stencil.falls_through);
  CHECK(stencil.continuations.empty());
  CHECK(stencil.code == std::vector<u8>{0x48, 0x8d, 0x04, 0x00});
  CHECK(listing(stencil) ==
        "0x7 f\n  4 bytes; reads a b; writes d; not in rbp: b\n"
        "    0  lea r14, [rdi+r15*1]\n");
}

TEST_CASE("a prefix goes behind the others") {
  // mov %di, (%rax): 66 89 38
  ExtractedStencil stencil = extracted({0x66, 0x89, 0x38, 0xe9, 0, 0, 0, 0}, {jump(4, "to_next")});
  CHECK(stencil.code == std::vector<u8>{0x66, 0x40, 0x89, 0x00});
}

TEST_CASE("a branch is inverted so that what follows comes last") {
  // cmp %rdi, %r15; jae to_next; jmp to_taken
  ExtractedStencil stencil = extracted({0x49, 0x39, 0xff, 0x0f, 0x83, 0, 0, 0, 0, 0xe9, 0, 0, 0, 0},
                                       {jump(5, "to_next"), jump(10, "to_taken")});
  CHECK(stencil.falls_through);
  CHECK(listing(stencil) ==
        "0x7 f\n  9 bytes; reads a b; writes\n"
        "    0  cmp r15, rdi\n    3  jb 0x0000000000000009  [taken]\n");
}

TEST_CASE("a jump to a jump to a continuation goes there itself") {
  // test %r15, %r15; je 1f; mov %r15, %r14; jmp to_next; 1: jmp to_slow
  ExtractedStencil stencil = extracted(
      {0x4d, 0x85, 0xff, 0x74, 0x08, 0x4d, 0x89, 0xfe, 0xe9, 0, 0, 0, 0, 0xe9, 0, 0, 0, 0},
      {jump(9, "to_next"), jump(14, "to_slow")});
  CHECK(listing(stencil) ==
        "0x7 f\n  12 bytes; reads a; writes d\n"
        "    0  test r15, r15\n    3  jz 0x0000000000000009  [slow]\n    9  mov r14, r15\n");
}

TEST_CASE("a block that goes on to what follows moves to the end") {
  // test %r15, %r15; je 1f; mov %r15, %r14; jmp to_next; 1: inc %rax; jmp to_slow
  ExtractedStencil stencil = extracted({0x4d, 0x85, 0xff, 0x74, 0x08, 0x4d, 0x89, 0xfe, 0xe9, 0, 0,
                                        0,    0,    0x48, 0xff, 0xc0, 0xe9, 0,    0,    0,    0},
                                       {jump(9, "to_next"), jump(17, "to_slow")});
  CHECK(listing(stencil) ==
        "0x7 f\n  16 bytes; reads a; writes d; clobbers r0\n"
        "    0  test r15, r15\n    3  jnz 0x000000000000000D\n    5  inc rax\n"
        "    8  jmp 0x000000000000000D  [slow]\n    d  mov r14, r15\n");
}

TEST_CASE("operands that may not share a register are told") {
  // mov %r15, %r14; sub %rdi, %r14
  ExtractedStencil stencil =
      extracted({0x4d, 0x89, 0xfe, 0x49, 0x29, 0xfe, 0xe9, 0, 0, 0, 0}, {jump(7, "to_next")});
  Stencil table{.conflicts = stencil.effects.conflicts};
  CHECK(table.may_share(StencilOperand::D, StencilOperand::A));
  CHECK(!table.may_share(StencilOperand::D, StencilOperand::B));
  CHECK(table.may_share(StencilOperand::D, StencilOperand::C));
}

}  // namespace
}  // namespace penumbra::jit::extract
