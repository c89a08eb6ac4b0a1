// Unit vectors of the decoder: bytes -> fields, in all three code sizes.
#include "frontend/decoder.h"

#include <catch2/catch.hpp>
#include <string_view>
#include <vector>

#include "frontend/listing.h"

namespace penumbra::frontend {
namespace {

std::vector<u8> bytes_of(std::string_view text) {
  std::vector<u8> bytes;
  for (size_t i = 0; i + 1 < text.size(); i += text[i + 2 < text.size() ? i + 2 : i] == ' ' ? 3 : 2)
    bytes.push_back(static_cast<u8>(std::stoul(std::string(text.substr(i, 2)), nullptr, 16)));
  return bytes;
}

CodeMode protected_mode(CodeSize size) {
  CodeMode mode;
  mode.set_size(size);
  mode.set(CodeMode::kProtected, true);
  return mode;
}

Instruction good(std::string_view text, CodeSize size = CodeSize::Long) {
  auto bytes = bytes_of(text);
  auto result = decode(bytes, protected_mode(size));
  INFO(text);
  REQUIRE(result.has_value());
  CHECK(result->length() == bytes.size());
  return *result;
}

DecodeError bad(std::string_view text, CodeMode mode = protected_mode(CodeSize::Long)) {
  auto result = decode(bytes_of(text), mode);
  INFO(text);
  REQUIRE_FALSE(result.has_value());
  return result.error();
}

bool is_ud(const DecodeError& error) {
  return error.kind == DecodeError::Kind::Exception && error.fault == Fault::ud();
}

constexpr auto kBits16 = CodeSize::Bits16, kBits32 = CodeSize::Bits32;

}  // namespace

TEST_CASE("register and memory operands of an ALU instruction") {
  auto in = good("48 03 44 b3 80");  // add rax, [rbx + rsi * 4 - 80h]
  CHECK(in.mnemonic == ZYDIS_MNEMONIC_ADD);
  CHECK(in.operands.count == 2);
  CHECK(in.operands.at[0].kind == OperandKind::Gpr);
  CHECK(in.operands.at[0].reg == 0);
  CHECK(in.operands.at[0].size == 8);
  CHECK(in.operands.at[1].is_memory());
  CHECK(in.operands.at[1].size == 8);
  CHECK(in.operands.memory.base == 3);
  CHECK(in.operands.memory.index == 6);
  CHECK(in.operands.memory.scale == 2);
  CHECK(in.operands.memory.displacement == -128);
  CHECK(in.operands.memory.segment == Segment::Ds);
  CHECK(in.operands.width == Width::W64);
  CHECK(in.operands.address_width == Width::W64);
}

TEST_CASE("byte registers with and without REX") {
  CHECK(good("88 e0").operands.at[1].kind == OperandKind::GprHigh);
  CHECK(good("88 e0").operands.at[1].reg == 0);
  CHECK(good("88 f8").operands.at[1].reg == 3);
  CHECK(good("40 88 e0").operands.at[1].kind == OperandKind::Gpr);
  CHECK(good("40 88 e0").operands.at[1].reg == 4);
  CHECK(good("44 88 f8").operands.at[1].reg == 15);
  CHECK(good("88 e0").operands.width == Width::W8);
}

TEST_CASE("segments follow the base register and the override") {
  CHECK(good("8b 45 00").operands.memory.segment == Segment::Ss);
  CHECK(good("8b 04 24").operands.memory.segment == Segment::Ss);
  CHECK(good("65 8b 45 00").operands.memory.segment == Segment::Gs);
  CHECK(good("26 8b 45 00").operands.memory.segment == Segment::Ss);
  CHECK(good("26 8b 45 00", kBits32).operands.memory.segment == Segment::Es);
  CHECK(good("8b 46 00", kBits16).operands.memory.segment == Segment::Ss);
  CHECK(good("2e 8b 46 00", kBits16).operands.memory.segment == Segment::Cs);
}

TEST_CASE("16-bit addressing") {
  auto in = good("8b 42 fe", kBits16);  // mov ax, [bp + si - 2]
  CHECK(in.operands.memory.base == 5);
  CHECK(in.operands.memory.index == 6);
  CHECK(in.operands.memory.displacement == -2);
  CHECK(in.operands.address_width == Width::W16);
  CHECK(in.operands.width == Width::W16);
  CHECK(good("67 8b 00", kBits16).operands.address_width == Width::W32);
  CHECK(good("66 8b 00", kBits16).operands.width == Width::W32);
}

TEST_CASE("RIP-relative and absolute memory") {
  auto in = good("8b 05 fc ff ff ff");
  CHECK(in.operands.memory.base == MemoryForm::kRip);
  CHECK(in.operands.memory.displacement == -4);
  CHECK(good("67 8b 05 fc ff ff ff").operands.address_width == Width::W32);
  CHECK(good("8b 04 25 00 00 00 80").operands.memory.base == MemoryForm::kNone);
  CHECK(good("8b 04 25 00 00 00 80").operands.memory.displacement == -0x80000000ll);
  CHECK(good("48 a1 88 77 66 55 44 33 22 11").operands.memory.displacement == 0x1122334455667788ll);
}

TEST_CASE("immediates are sign-extended where the manual says so") {
  CHECK(good("83 c0 ff").operands.immediate == ~0ull);
  CHECK(good("48 c7 c0 ff ff ff ff").operands.immediate == ~0ull);
  CHECK(good("48 b8 ff ff ff ff 00 00 00 00").operands.immediate == 0xffffffff);
  CHECK(good("c0 e0 ff").operands.immediate == 0xff);
  CHECK(good("cd 80").operands.immediate == 0x80);
  CHECK(good("c2 fe ff").operands.immediate == 0xfffe);
  CHECK(good("d1 e0").operands.immediate == 1);
  CHECK(good("d1 e0").operands.count == 2);
}

TEST_CASE("branches are relative to the next instruction and obey 66h") {
  auto in = good("e8 fb ff ff ff");
  CHECK(in.operands.at[0].kind == OperandKind::Relative);
  CHECK(in.operands.immediate == static_cast<u64>(-5));
  CHECK(in.operands.width == Width::W64);
  CHECK(good("66 e8 fd ff").operands.width == Width::W16);
  CHECK(good("66 74 00").operands.width == Width::W16);
  CHECK(good("66 c3").operands.width == Width::W16);
  CHECK(good("66 48 c3").operands.width == Width::W64);
  CHECK(good("66 ff 10").operands.at[0].size == 2);
  CHECK(good("ff 10").operands.at[0].size == 8);
  CHECK(good("e8 fb ff ff ff", kBits32).operands.width == Width::W32);
}

TEST_CASE("far pointers and the second immediate") {
  auto in = good("9a 01 02 03 04 05 06", kBits32);
  CHECK(in.operands.at[0].kind == OperandKind::FarPointer);
  CHECK(in.operands.immediate == 0x04030201);
  CHECK(in.operands.selector == 0x0605);
  in = good("c8 34 12 1f");
  CHECK(in.operands.immediate == 0x1234);
  CHECK(in.operands.selector == 0x1f);
  CHECK(in.operands.width == Width::W64);
}

TEST_CASE("REX.W leaves far pointers at 32 bits") {
  auto in = good("48 ff 28");
  CHECK(in.operands.width == Width::W32);
  CHECK(in.operands.at[0].size == 6);
  CHECK(good("66 ff 28").operands.at[0].size == 4);
  CHECK(good("48 0f b4 03").operands.width == Width::W32);
  CHECK(good("48 cb").operands.width == Width::W64);
}

TEST_CASE("hidden operands come behind the explicit ones") {
  auto in = good("f7 e1");  // mul ecx
  CHECK(in.operands.count == 1);
  CHECK(in.operands.at[1].hidden);
  CHECK(in.operands.at[1].kind == OperandKind::Gpr);
  CHECK(in.operands.at[1].reg == 0);
  CHECK(in.operands.at[2].reg == 2);
  in = good("66 0f 38 14 00");  // blendvps xmm0, [rax], <xmm0>
  CHECK(in.operands.count == 2);
  CHECK(in.operands.at[2].kind == OperandKind::Xmm);
  CHECK(in.operands.at[2].hidden);
  CHECK(good("50").operands.at[1].kind == OperandKind::None);
}

TEST_CASE("string instructions keep the source's segment, and what repeats them") {
  auto in = good("65 f3 48 a5");
  CHECK(in.mnemonic == ZYDIS_MNEMONIC_MOVSQ);
  CHECK(in.operands.repeat == Repeat::Rep);
  CHECK(in.operands.memory.base == 6);
  CHECK(in.operands.memory.segment == Segment::Gs);
  CHECK(in.operands.at[0].is_memory());
  CHECK(in.operands.at[0].hidden);
  CHECK(in.operands.at[0].size == 8);
  CHECK(in.operands.count == 0);
  CHECK(good("f2 a4").operands.repeat == Repeat::Rep);
  CHECK(good("f2 a6").operands.repeat == Repeat::Repne);
  CHECK(good("f2 f3 ae").operands.repeat == Repeat::Rep);
  CHECK(good("f3 f2 ae").operands.repeat == Repeat::Repne);
  CHECK(good("f3 6d").operands.repeat == Repeat::Rep);
  CHECK(good("aa").operands.repeat == Repeat::None);
  CHECK(good("aa").operands.memory.segment == Segment::Es);
}

TEST_CASE("mandatory prefixes are no repeats") {
  CHECK(good("f3 0f 10 c1").mnemonic == ZYDIS_MNEMONIC_MOVSS);
  CHECK(good("f3 0f 10 c1").operands.repeat == Repeat::None);
  CHECK(good("f3 90").mnemonic == ZYDIS_MNEMONIC_PAUSE);
  CHECK(good("f3 41 90").mnemonic == ZYDIS_MNEMONIC_XCHG);
  CHECK(good("f3 41 90").operands.at[0].reg == 8);
  CHECK(good("f3 41 90").operands.count == 2);
  CHECK(good("f3 c3").operands.repeat == Repeat::None);
}

TEST_CASE("F2 and F3 choose the condition of LOOPE and LOOPNE") {
  CHECK(good("e1 02").mnemonic == ZYDIS_MNEMONIC_LOOPE);
  CHECK(good("f2 e1 02").mnemonic == ZYDIS_MNEMONIC_LOOPNE);
  CHECK(good("f3 e1 02").mnemonic == ZYDIS_MNEMONIC_LOOPE);
  CHECK(good("f3 e0 02").mnemonic == ZYDIS_MNEMONIC_LOOPE);
  CHECK(good("f3 f2 e0 02").mnemonic == ZYDIS_MNEMONIC_LOOPNE);
  CHECK(good("f2 e2 02").mnemonic == ZYDIS_MNEMONIC_LOOP);
}

TEST_CASE("LOCK is for memory destinations of read-modify-write instructions") {
  CHECK(good("f0 01 00").operands.lock);
  CHECK(good("f0 0f c7 0f").operands.lock);
  CHECK_FALSE(good("01 00").operands.lock);
  CHECK(is_ud(bad("f0 01 c0")));
  CHECK(is_ud(bad("f0 03 00")));
  CHECK(is_ud(bad("f0 90")));
  CHECK(is_ud(bad("f0 0f a3 00")));
}

TEST_CASE("LOCK MOV CR0 is MOV CR8") {
  auto in = good("f0 0f 20 c1", kBits32);
  CHECK(in.operands.at[1].kind == OperandKind::Control);
  CHECK(in.operands.at[1].reg == 8);
  CHECK(good("f0 0f 22 c1").operands.at[0].reg == 8);
  CHECK(is_ud(bad("f0 0f 20 d8")));
}

TEST_CASE("at most 15 bytes") {
  std::string prefixes14, prefixes15;
  for (int i = 0; i < 14; ++i) prefixes14 += "66 ";
  prefixes15 = prefixes14 + "66 ";
  CHECK(good(prefixes14 + "90").length() == 15);
  auto error = bad(prefixes15 + "90");
  CHECK(error.kind == DecodeError::Kind::Exception);
  CHECK(error.fault == Fault::gp());
  CHECK(bad(prefixes14 + "0f a2").fault == Fault::gp());
  CHECK(bad(prefixes14).kind == DecodeError::Kind::Truncated);
  CHECK(bad(prefixes15).fault == Fault::gp());
}

TEST_CASE("truncated instructions ask for more bytes") {
  for (const char* text : {"", "48", "0f", "8b", "8b 04", "e8 00 00 00", "0f 3a 0f c1"}) {
    INFO(text);
    CHECK(bad(text).kind == DecodeError::Kind::Truncated);
  }
}

TEST_CASE("encodings that the reference CPU does not have") {
  CHECK(is_ud(bad("0f 0f c0 b4")));        // 3DNow!
  CHECK(is_ud(bad("62 f1 7c 48 28 c0")));  // EVEX
  CHECK(is_ud(bad("0f 0d c8")));           // PREFETCHW of a register
  CHECK(is_ud(bad("8e c8")));              // MOV CS
  CHECK(is_ud(bad("06")));                 // PUSH ES in 64-bit mode
  CHECK(is_ud(bad("66 c5 f8 28 c0")));     // prefix before VEX
  CodeMode real;
  real.set_size(kBits16);
  CHECK(is_ud(bad("c5 f8 77", real)));                        // VEX in real mode
  CHECK(good("f3 0f 1e fa").mnemonic == ZYDIS_MNEMONIC_NOP);  // ENDBR64 without CET
}

TEST_CASE("segment, control, debug and vector registers") {
  CHECK(good("8e e0").operands.at[0].kind == OperandKind::Segment);
  CHECK(good("8e e0").operands.at[0].reg == 4);
  CHECK(good("0f 22 e0").operands.at[0].kind == OperandKind::Control);
  CHECK(good("0f 22 e0").operands.at[0].reg == 4);
  CHECK(good("0f 23 f8").operands.at[0].kind == OperandKind::Debug);
  CHECK(good("0f 23 f8").operands.at[0].reg == 7);
  CHECK(good("44 0f 28 c1").operands.at[0].reg == 8);
  CHECK(good("44 0f 28 c1").operands.at[0].size == 16);
  CHECK(good("0f 6f ca").operands.at[0].kind == OperandKind::Mmx);
  CHECK(good("d8 c3").operands.at[1].kind == OperandKind::X87);
  CHECK(good("d8 c3").operands.at[1].reg == 3);
  CHECK(good("db 28").operands.at[0].size == 10);
}

TEST_CASE("far transfers are told from near ones") {
  CHECK(good("ff 28").operands.far);
  CHECK(good("cb").operands.far);
  CHECK(good("ca 08 00").operands.far);
  CHECK(good("9a 01 02 03 04 05 06", kBits32).operands.far);
  CHECK(good("ea 01 02 03 04", kBits16).operands.far);
  CHECK_FALSE(good("ff 20").operands.far);
  CHECK_FALSE(good("c3").operands.far);
  CHECK_FALSE(good("e8 00 00 00 00").operands.far);
}

TEST_CASE("x87 instructions carry their opcode") {
  CHECK(good("d9 74 24 a0").operands.x87_opcode == 0x174);
  CHECK(good("48 d8 c2").operands.x87_opcode == 0x0c2);
  CHECK(good("0f 6f ca").operands.x87_opcode == 0);
}

TEST_CASE("address-only operands have no size") {
  CHECK(good("48 8d 00").operands.at[1].size == 0);
  CHECK(good("0f 01 38").operands.at[0].size == 0);
  CHECK(good("0f ae 00").operands.at[0].size == 512);
}

TEST_CASE("a listing holds every byte once") {
  auto bytes = bytes_of("90 06 48 01 d8");
  CHECK(list_guest(bytes, 0x1000, CodeSize::Long) ==
        "000000001000  90                              nop\n"
        "000000001001  06                              .byte 0x06\n"
        "000000001002  48 01 d8                        add rax, rbx\n");
  CHECK(list_guest(bytes_of("b8 34 12"), 0, kBits16).find("mov ax, 0x1234") != std::string::npos);
  CHECK_FALSE(list_host(bytes).empty());
}

}  // namespace penumbra::frontend
