// The rows of cpu/instructions/vector.def and sse4.def: each lifts to a block that verifies, in
// every mode, and raises what the manual's exception tables say (SDM 2, tables 2-18 to 2-25, 23-4
// to 23-6).
#include <algorithm>
#include <map>
#include <set>

#include <catch2/catch.hpp>

#include "frontend/decoder.h"
#include "translator/lift/lifter.h"
#include "translator/lift/table.h"

namespace penumbra::translator {
namespace {

using frontend::Instruction;
using frontend::Mnemonic;

const std::map<Mnemonic, std::string> kRows = {
#define PENUMBRA_LIFT(mnemonic, feature, function, argument) {ZYDIS_MNEMONIC_##mnemonic, #mnemonic},
#define PENUMBRA_NAMED(mnemonic, feature, function, effects) {ZYDIS_MNEMONIC_##mnemonic, #mnemonic},
#include "cpu/instructions/sse4.def"
#include "cpu/instructions/vector.def"
#undef PENUMBRA_LIFT
#undef PENUMBRA_NAMED
};

CodeMode usable_mode(CodeSize size = CodeSize::Long) {
  CodeMode mode;
  mode.set_size(size);
  mode.set(CodeMode::kProtected, true);
  mode.set(CodeMode::kOsFxsr, true);
  return mode;
}

std::vector<Instruction> decode(std::vector<u8> bytes, CodeMode mode) {
  bytes.resize(15);
  auto decoded = frontend::decode(bytes, mode);
  if (!decoded || !kRows.contains(decoded->mnemonic)) return {};
  return {*decoded};
}

/// Every opcode of the maps behind 0Fh with each mandatory prefix, REX.W and ModRM of either kind,
/// and the string instructions.
std::vector<Instruction> vector_instructions(CodeMode mode) {
  std::vector<Instruction> all;
  auto add = [&](std::vector<u8> bytes) {
    for (Instruction& instruction : decode(bytes, mode)) all.push_back(instruction);
  };
  for (std::vector<u8> map : std::vector<std::vector<u8>>{{0x0f}, {0x0f, 0x38}, {0x0f, 0x3a}})
    for (u8 prefix : {0x3e, 0x66, 0xf2, 0xf3})
      for (u8 rex : {0x48, 0x40})
        for (unsigned opcode = 0; opcode < 256; ++opcode)
          for (unsigned reg = 0; reg < 8; ++reg)
            for (u8 modrm : {0xc1, 0x03}) {
              if (!mode.is_long() && rex == 0x48) continue;
              std::vector<u8> bytes{prefix};
              if (mode.is_long()) bytes.push_back(rex);
              bytes.insert(bytes.end(), map.begin(), map.end());
              bytes.insert(bytes.end(),
                           {static_cast<u8>(opcode), static_cast<u8>(modrm | reg << 3), 0x35});
              add(bytes);
            }
  add({0xa5});
  add({0xa7});
  return all;
}

Block lift(const Instruction& instruction, CodeMode mode,
           const cpu::CpuModel& model = cpu::CpuModel()) {
  Block block;
  block.mode = mode;
  Lifter lifter(block, model);
  lifter.lift(instruction, 0x100);
  lifter.finish();
  return block;
}

bool has(const Block& block, Op wanted) {
  for (const MicroOp& op : block.ops)
    if (op.op == wanted) return true;
  return false;
}

/// The vector that the block raises unconditionally, or none.
int raised(const Block& block) {
  const MicroOp& last = block.ops.back();
  return last.op == Op::Raise ? static_cast<int>(last.immediate) : -1;
}
constexpr int kNone = -1, kUd = static_cast<int>(Vector::Ud), kNm = static_cast<int>(Vector::Nm);

bool uses(const Instruction& instruction, OperandKind kind) {
  for (const Operand& operand : instruction.operands.at)
    if (operand.kind == kind) return true;
  return false;
}
bool is_named(const Instruction& instruction, CodeMode mode) {
  return has(lift(instruction, mode), Op::Call);
}

Instruction one(std::vector<u8> bytes, CodeMode mode = usable_mode()) {
  auto found = decode(bytes, mode);
  REQUIRE(found.size() == 1);
  return found[0];
}

}  // namespace

TEST_CASE("every vector row is met by an encoding") {
  std::set<Mnemonic> met;
  for (const Instruction& in : vector_instructions(usable_mode())) met.insert(in.mnemonic);
  for (const auto& [mnemonic, name] : kRows) {
    INFO(name);
    CHECK(met.contains(mnemonic));
  }
}

TEST_CASE("every vector instruction lifts to a block that verifies") {
  for (CodeSize size : {CodeSize::Long, CodeSize::Bits32, CodeSize::Bits16}) {
    for (bool unmasked : {false, true}) {
      CodeMode mode = usable_mode(size);
      mode.set(CodeMode::kSseUnmasked, unmasked);
      for (const Instruction& in : vector_instructions(mode)) {
        Block block = lift(in, mode);
        INFO(print(block));
        REQUIRE(verify(block) == "");
        REQUIRE(raised(block) == kNone);
      }
    }
  }
}

TEST_CASE("CR0.EM and CR4.OSFXSR refuse, CR0.TS traps") {
  CodeMode usable = usable_mode(), emulated = usable, switched = usable, legacy = usable;
  emulated.set(CodeMode::kEmulation, true);
  switched.set(CodeMode::kTaskSwitched, true);
  legacy.set(CodeMode::kOsFxsr, false);
  for (const Instruction& in : vector_instructions(usable)) {
    if (is_named(in, usable)) continue;
    INFO(kRows.at(in.mnemonic));
    CHECK(raised(lift(in, emulated)) == kUd);
    CHECK(raised(lift(in, switched)) == kNm);
    bool is_sse = uses(in, OperandKind::Xmm) || kRows.at(in.mnemonic).starts_with("CVT");
    CHECK(raised(lift(in, legacy)) == (is_sse ? kUd : kNone));
  }
}

TEST_CASE("MMX registers wait for the x87 unit, XMM registers do not") {
  for (const Instruction& in : vector_instructions(usable_mode())) {
    if (is_named(in, usable_mode())) continue;
    INFO(kRows.at(in.mnemonic));
    CHECK(has(lift(in, usable_mode()), Op::CheckFpu) == uses(in, OperandKind::Mmx));
  }
}

TEST_CASE("XMM forms need SSE2 where MMX has the mnemonic too") {
  cpu::CpuModel model;
  model.set(cpu::Feature::Sse2, false);
  CHECK(raised(lift(one({0x66, 0x0f, 0xfc, 0xc1}), usable_mode(), model)) == kUd);  // PADDB
  CHECK(raised(lift(one({0x0f, 0xfc, 0xc1}), usable_mode(), model)) == kNone);
  CHECK(raised(lift(one({0x66, 0x0f, 0x6e, 0xc1}), usable_mode(), model)) == kUd);  // MOVD
  CHECK(raised(lift(one({0x0f, 0x6e, 0xc1}), usable_mode(), model)) == kNone);
  CHECK(raised(lift(one({0xf2, 0x0f, 0x10, 0xc1}), usable_mode(), model)) == kUd);  // MOVSD
  CHECK(raised(lift(one({0xa5}), usable_mode(), model)) == kNone);
}

TEST_CASE("16-byte operands are checked for alignment unless the instruction says otherwise") {
  CodeMode mode = usable_mode();
  CHECK(has(lift(one({0x0f, 0x28, 0x03}), mode), Op::CheckAligned));              // MOVAPS load
  CHECK(has(lift(one({0x0f, 0x29, 0x03}), mode), Op::CheckAligned));              // MOVAPS store
  CHECK(has(lift(one({0x66, 0x0f, 0xe7, 0x03}), mode), Op::CheckAligned));        // MOVNTDQ
  CHECK(has(lift(one({0x66, 0x0f, 0xfc, 0x03}), mode), Op::CheckAligned));        // PADDB
  CHECK(has(lift(one({0x0f, 0x58, 0x03}), mode), Op::CheckAligned));              // ADDPS
  CHECK(has(lift(one({0x0f, 0xc6, 0x03, 0x00}), mode), Op::CheckAligned));        // SHUFPS
  CHECK_FALSE(has(lift(one({0x0f, 0x10, 0x03}), mode), Op::CheckAligned));        // MOVUPS
  CHECK_FALSE(has(lift(one({0xf3, 0x0f, 0x6f, 0x03}), mode), Op::CheckAligned));  // MOVDQU
  CHECK_FALSE(has(lift(one({0xf3, 0x0f, 0x58, 0x03}), mode), Op::CheckAligned));  // ADDSS
  CHECK_FALSE(has(lift(one({0x66, 0x0f, 0x16, 0x03}), mode), Op::CheckAligned));  // MOVHPD
}

TEST_CASE("an unmasked exception makes arithmetic checked, and nothing else") {
  CodeMode mode = usable_mode();
  mode.set(CodeMode::kSseUnmasked, true);
  for (std::vector<u8> bytes : std::vector<std::vector<u8>>{{0x0f, 0x58, 0xc1},
                                                            {0x0f, 0xc2, 0xc1, 0x02},
                                                            {0x0f, 0x2e, 0xc1},
                                                            {0x0f, 0x51, 0xc1},
                                                            {0xf2, 0x0f, 0x2d, 0xc1},
                                                            {0xf3, 0x0f, 0x2a, 0xc1},
                                                            {0xf2, 0x0f, 0x5a, 0xc1}}) {
    Block block = lift(one(bytes), mode);
    INFO(print(block));
    CHECK(has(block, Op::BeginSse));
    CHECK(has(block, Op::EndSse));
  }
  for (std::vector<u8> bytes : std::vector<std::vector<u8>>{
           {0x0f, 0x53, 0xc1}, {0x0f, 0x54, 0xc1}, {0x0f, 0x28, 0xc1}, {0x66, 0x0f, 0xfc, 0xc1}})
    CHECK_FALSE(has(lift(one(bytes), mode), Op::EndSse));
  CHECK_FALSE(has(lift(one({0x0f, 0x58, 0xc1}), usable_mode()), Op::BeginSse));
}

TEST_CASE("MOVSD and CMPSD are string instructions where the operands are") {
  CodeMode mode = usable_mode(CodeSize::Bits32);
  CHECK(std::string(lift(one({0xa5}, mode), mode).calls.at(0).call.name) == "movs_string");
  CHECK(std::string(lift(one({0xa7}, mode), mode).calls.at(0).call.name) == "cmps_string");
  CHECK(lift(one({0xf2, 0x0f, 0x10, 0xc1}, mode), mode).calls.empty());
  CHECK(lift(one({0xf2, 0x0f, 0xc2, 0xc1, 0x00}, mode), mode).calls.empty());
}

TEST_CASE("PEXTRW to memory belongs to SSE4.1") {
  cpu::CpuModel model;
  Instruction to_memory = one({0x66, 0x0f, 0x3a, 0x15, 0x03, 0x00});
  CHECK(raised(lift(to_memory, usable_mode(), model)) == kNone);
  model.set(cpu::Feature::Sse41, false);
  CHECK(raised(lift(to_memory, usable_mode(), model)) == kUd);
}

TEST_CASE("operands of text comparisons and of SHA, and LDDQU's, need no alignment") {
  CodeMode mode = usable_mode();
  for (std::vector<u8> bytes : std::vector<std::vector<u8>>{{0x66, 0x0f, 0x3a, 0x63, 0x03, 0x0c},
                                                            {0x66, 0x0f, 0x3a, 0x60, 0x03, 0x0c},
                                                            {0x0f, 0x38, 0xcb, 0x03},
                                                            {0xf2, 0x0f, 0xf0, 0x03}})
    CHECK_FALSE(has(lift(one(bytes), mode), Op::CheckAligned));
  CHECK(has(lift(one({0x66, 0x0f, 0x38, 0x00, 0x03}), mode), Op::CheckAligned));  // PSHUFB
  CHECK(has(lift(one({0x66, 0x0f, 0x38, 0xdc, 0x03}), mode), Op::CheckAligned));  // AESENC
}

TEST_CASE("a dot product raises the exceptions of each of its steps") {
  CodeMode mode = usable_mode();
  mode.set(CodeMode::kSseUnmasked, true);
  Block block = lift(one({0x66, 0x0f, 0x3a, 0x40, 0xc1, 0xff}), mode);
  INFO(print(block));
  auto ends = [](const MicroOp& op) { return op.op == Op::EndSse; };
  CHECK(std::count_if(block.ops.begin(), block.ops.end(), ends) == 3);
}

}  // namespace penumbra::translator
