// What guest instructions become, as printed IR, and what the passes may and may not remove.
#include <catch2/catch.hpp>
#include <vector>

#include "translator/lift/lifter.h"
#include "translator/translate.h"

namespace penumbra::translator {
namespace {

Block block_of(std::vector<u8> code, BehindJump behind_jump = BehindJump::End) {
  code.resize(kPageSize, 0xcc);
  CodeMode mode;
  mode.set_size(CodeSize::Long);
  mode.set(CodeMode::kProtected, true);
  mode.set(CodeMode::kFlatSegments, true);
  mode.set(CodeMode::kOsFxsr, true);
  cpu::CpuModel model;
  auto block = translate({code, 0, {}}, mode, model, 64, behind_jump);
  REQUIRE(block);
  REQUIRE(verify(*block) == "");
  return *block;
}

std::string ir(const std::vector<u8>& code) {
  auto code_and_end = code;
  code_and_end.insert(code_and_end.end(), {0x0f, 0x0b});  // ud2 ends the block
  std::string text = print(block_of(code_and_end));
  return text.substr(0, text.rfind("\n+") + 1);
}

TEST_CASE("moves and arithmetic are one micro-op", "[lift]") {
  CHECK(ir({0x48, 0x89, 0xc3}) == "+000 (3 bytes)\n    rbx = Move.64 rax\n");
  CHECK(ir({0x01, 0xd8}) == "+000 (2 bytes)\n    rax = Add.32 !flags rax, rbx\n");
  CHECK(ir({0x83, 0xe8, 0x01}) == "+000 (3 bytes)\n    rax = Sub.32 !flags rax, 0x1\n");
  CHECK(ir({0x0f, 0xb6, 0xc4}) == "+000 (3 bytes)\n    rax = ZeroExtend.32 rax+1\n");
}

TEST_CASE("a memory destination stores before it sets flags", "[lift]") {
  CHECK(ir({0x01, 0x43, 0x08}) ==
        "+000 (3 bytes)\n"
        "    t0 = LoadForWrite.32 [rbx + 0x8]\n"
        "    t1 = Add.32 t0, rax\n"
        "    Store.32 [rbx + 0x8], t1\n"
        "    Add.32 !flags t0, rax\n");
}

TEST_CASE("a value that is only moved is computed where it goes", "[lift]") {
  CHECK(ir({0x48, 0x8d, 0x43, 0x08}) == "+000 (4 bytes)\n    rax = Lea.64 [rbx + 0x8]\n");
  CHECK(ir({0x8d, 0x43, 0x08}) == "+000 (3 bytes)\n    rax = Lea.32 [rbx + 0x8]\n");
  CHECK(ir({0x0f, 0xc8}) == "+000 (2 bytes)\n    rax = ByteSwap.32 rax\n");
  std::string high = ir({0x48, 0xf7, 0xe3});  // mul rbx: RDX is an operand of both halves
  CHECK(high.find("    rax = Mul.64 rax, rbx\n    rdx = Move.64 t0\n") != std::string::npos);
}

TEST_CASE("PUSH stores before it moves RSP", "[lift]") {
  CHECK(ir({0x53}) ==
        "+000 (1 bytes)\n"
        "    Store.64 [rsp + -0x8], rbx\n"
        "    rsp = Lea.64 [rsp + -0x8]\n");
}

TEST_CASE("GS-relative loads add the base in the address", "[lift]") {
  CHECK(ir({0x65, 0x48, 0x8b, 0x43, 0x10}) ==
        "+000 (5 bytes)\n    rax = Load.64 [rbx + gs.base + 0x10]\n");
}

TEST_CASE("flags overwritten at once are not computed", "[flags]") {
  std::string text = ir({0x01, 0xd8, 0x29, 0xd8});  // add eax, ebx; sub eax, ebx
  CHECK(text.find("Add.32 rax") != std::string::npos);
  CHECK(text.find("Sub.32 !flags") != std::string::npos);
}

TEST_CASE("flags stay where something between may fault", "[flags]") {
  std::string text = ir({0x01, 0xd8, 0x8b, 0x0e, 0x29, 0xd8});  // add; mov ecx, [rsi]; sub
  CHECK(text.find("Add.32 ?flags") != std::string::npos);
}

TEST_CASE("what keeps a flag does not read it", "[flags]") {
  std::string text = ir({0xff, 0xc0, 0x29, 0xd8});  // inc eax; sub eax, ebx
  CHECK(text.find("Inc.32 rax") != std::string::npos);
  CHECK(ir({0x29, 0xd8, 0xff, 0xc0}) ==  // sub eax, ebx; inc eax
        "+000 (2 bytes)\n    rax = Sub.32 !flags rax, rbx\n"
        "+002 (2 bytes)\n    rax = Inc.32 !flags rax\n");
}

TEST_CASE("flags of which only others are read are not computed", "[flags]") {
  std::string text = ir({0x0f, 0xba, 0xe0, 0x03, 0xff, 0xc9, 0xf9});  // bt eax, 3; dec ecx; stc
  CHECK(text.find("BitTestFlags.32") == std::string::npos);
  CHECK(text.find("Dec.32 !flags") != std::string::npos);
}

TEST_CASE("a definition of some flags makes room on top of another", "[flags]") {
  std::string kept = ir({0xff, 0xc0});  // inc eax
  CHECK(kept.find("KeepFlags") != std::string::npos);
  std::string moved = ir({0xff, 0xc0, 0x0f, 0xaf, 0xca});  // inc eax; imul ecx, edx
  CHECK(moved.find("    flag_result = Move.64 flag_patch\n    rcx = Mul.32 !flags rcx, rdx\n") !=
        std::string::npos);
  std::string mixed = ir({0x0f, 0xaf, 0xca, 0x0f, 0xba, 0xe0, 0x03});  // imul ecx, edx; bt eax, 3
  CHECK(mixed.find("ExplicitFlags") != std::string::npos);
  std::string counted = ir({0x29, 0xd8, 0xd3, 0xe0});  // sub eax, ebx; shl eax, cl
  CHECK(counted.find("StoreFlagState") != std::string::npos);
}

TEST_CASE("compare and branch are one micro-op", "[flags]") {
  std::string text = print(block_of({0x48, 0x39, 0xd8, 0x74, 0x10}));  // cmp rax, rbx; je +16
  CHECK(text.find("BranchSub.64 !flags rax, rbx, z, +0x15") != std::string::npos);
  CHECK(text.find("BranchFlags") == std::string::npos);
}

TEST_CASE("a block goes on behind a branch forwards, not behind one that closes a loop",
          "[jumps]") {
  // test eax, eax; je +2; mov ebx, eax; ud2
  std::vector<u8> forwards = {0x85, 0xc0, 0x74, 0x02, 0x89, 0xc3, 0x0f, 0x0b};
  CHECK(block_of(forwards).instructions.size() == 2);
  Block block = block_of(forwards, BehindJump::GoOn);
  CHECK(block.instructions.size() == 4);
  CHECK(block.ops.front().op == Op::BranchAnd);
  // nop; test eax, eax; jne -4; ud2
  CHECK(
      block_of({0x90, 0x85, 0xc0, 0x75, 0xfc, 0x0f, 0x0b}, BehindJump::GoOn).instructions.size() ==
      3);
}

TEST_CASE("a loop to the block's start is there several times, its branch the other way",
          "[jumps]") {
  Block block = block_of({0xff, 0xc8, 0x75, 0xfc}, BehindJump::GoOn);  // dec eax; jne -4
  CHECK(block.instructions.size() == 16);                              // eight rounds
  CHECK(block.end == 4);
  const MicroOp* first = nullptr;
  for (const MicroOp& op : block.ops) {
    if (first == nullptr && op.op == Op::BranchFlags) first = &op;
  }
  REQUIRE(first != nullptr);
  CHECK(first->condition == Condition::Z);
  CHECK(first->immediate == 4);
}

TEST_CASE("a block goes on where a jump forwards goes, not behind a call", "[jumps]") {
  std::vector<u8> jumps = {0xeb, 0x01, 0x90, 0x89, 0xc3, 0x0f, 0x0b};  // jmp +1; nop; mov; ud2
  CHECK(block_of(jumps).instructions.size() == 1);
  Block block = block_of(jumps, BehindJump::GoOn);
  REQUIRE(block.instructions.size() == 3);
  CHECK(block.instructions[1].offset == 3);
  std::vector<u8> calls = {0xe8, 1, 0, 0, 0, 0x90, 0x89, 0xc3, 0x0f, 0x0b};
  CHECK(block_of(calls, BehindJump::GoOn).instructions.size() == 1);
}

TEST_CASE("flags are cold where results and kept operands tell them", "[flags]") {
  auto is_cold = [](std::vector<u8> definition) {
    definition.insert(definition.end(), {0x8b, 0x0e, 0x85, 0xc0});  // mov ecx, [rsi]; test eax, eax
    return ir(definition).find("?flags") != std::string::npos;
  };
  CHECK(is_cold({0x39, 0xd8, 0x0f, 0x94, 0xc2}));  // cmp eax, ebx; sete dl
  CHECK(is_cold({0xff, 0xc0}));                    // inc eax
  CHECK(is_cold({0xc1, 0xe0, 0x03}));              // shl eax, 3
  CHECK(is_cold({0x03, 0x07}));                    // add eax, [rdi]
  CHECK_FALSE(is_cold({0x01, 0xc0}));              // add eax, eax
  CHECK_FALSE(is_cold({0xd3, 0xe0}));              // shl eax, cl
}

TEST_CASE("flags are cold where only slow paths and side exits want them", "[flags]") {
  auto printed = [](std::vector<u8> code) {
    code.insert(code.end(), {0x85, 0xc0, 0x0f, 0x0b});  // test eax, eax; ud2
    return print(block_of(code, BehindJump::GoOn));
  };
  CHECK(printed({0x01, 0xd8, 0x8b, 0x0e}).find("Add.32 ?flags") != std::string::npos);
  CHECK(printed({0x39, 0xd8, 0x74, 0x10, 0x8b, 0x0e}).find("BranchSub.32 ?flags") !=
        std::string::npos);
  // add eax, ebx; mov ebx, [rsi]; mov ecx, [rsi]: the second load finds an operand gone
  CHECK(printed({0x01, 0xd8, 0x8b, 0x1e, 0x8b, 0x0e}).find("Add.32 !flags") != std::string::npos);
  // add eax, ebx; mov ebx, ecx; setc cl: who reads it needs the operands
  CHECK(printed({0x01, 0xd8, 0x89, 0xcb, 0x0f, 0x92, 0xc1}).find("Add.32 !flags") !=
        std::string::npos);
}

TEST_CASE("an unknown encoding raises #UD, an overlong one #GP", "[lift]") {
  Block undefined = block_of({0x0f, 0x04});
  CHECK(undefined.ops.back().op == Op::Raise);
  CHECK(undefined.ops.back().immediate == 6);
  CHECK(undefined.end == 15);  // another byte there may make it another instruction
  Block overlong = block_of(std::vector<u8>(16, 0x66));
  CHECK(overlong.ops.back().immediate == 13);
}

TEST_CASE("an instruction that crosses the page waits for the next one", "[lift]") {
  std::vector<u8> page(kPageSize, 0x90), next(kPageSize, 0);
  page[kPageSize - 1] = 0xb8;  // mov eax, imm32
  CodeMode mode;
  mode.set_size(CodeSize::Long);
  mode.set(CodeMode::kProtected, true);
  cpu::CpuModel model;
  CodeView view{page, static_cast<u16>(kPageSize - 1), {}};
  CHECK_FALSE(translate(view, mode, model, 64));
  view.next_page = next;
  auto block = translate(view, mode, model, 64);
  REQUIRE(block);
  CHECK(block->crosses_page);
  CHECK(block->instructions.size() == 1);
  CHECK(block->end == kPageSize + 4);
  view.start = kPageSize - 4;  // what precedes it ends in front of it
  block = translate(view, mode, model, 64);
  REQUIRE(block);
  CHECK(block->end == kPageSize - 1);
}

TEST_CASE("the policy alone decides what becomes of sensitive instructions", "[sensitive]") {
  frontend::Instruction sgdt;
  sgdt.mnemonic = ZYDIS_MNEMONIC_SGDT;
  sgdt.operands.length = 3;
  frontend::Instruction hlt;
  hlt.mnemonic = ZYDIS_MNEMONIC_HLT;
  hlt.operands.length = 1;
  cpu::CpuModel model;
  auto lifted = [&](const frontend::Instruction& instruction, SensitivePolicy policy) {
    Block block;
    block.mode.set_size(CodeSize::Long);
    Lifter lifter(block, model, policy);
    lifter.lift(instruction, 0);
    return block.ops.front().op;
  };
  CHECK(lifted(sgdt, {}) == Op::Call);
  CHECK(lifted(hlt, {}) == Op::Call);
  SensitivePolicy classical{SensitiveAction::Call, SensitiveAction::Trap};
  CHECK(lifted(sgdt, classical) == Op::Call);
  CHECK(lifted(hlt, classical) == Op::Raise);
}

TEST_CASE("the verifier sees a fault behind a commit", "[verify]") {
  Block block;
  block.instructions.push_back({0, 1});
  block.ops.push_back({.op = Op::Move, .d = gpr_slot(0), .a = gpr_slot(1)});
  block.ops.push_back({.op = Op::Load, .d = temporary_slot(0), .a = gpr_slot(0), .b = kZeroSlot});
  block.ops.push_back({.op = Op::Jump, .immediate = 1});
  CHECK(verify(block) == "instruction 0: may fault behind an architectural write");
  block.ops[1] = {.op = Op::Move, .d = gpr_slot(0), .a = temporary_slot(3)};
  CHECK(verify(block) == "instruction 0: temporary read before written");
  block.ops.pop_back();
  block.ops.pop_back();
  CHECK(verify(block) == "instruction 0: the last micro-op does not leave");
}

}  // namespace
}  // namespace penumbra::translator
