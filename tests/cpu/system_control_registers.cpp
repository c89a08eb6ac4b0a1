// Control registers, EFER and the way into long mode; SDM 3A 2.5, 9.8.5; SDM 2 MOV CRn.
#include <catch2/catch.hpp>

#include "cpu/breakpoints.h"
#include "cpu/mode.h"
#include "cpu/ops.h"
#include "cpu/system/control_registers.h"
#include "cpu/system/forms.h"
#include "fake_machine.h"

using namespace penumbra;
using namespace penumbra::cpu;
using namespace penumbra::cpu::test;

namespace {

constexpr u64 kPaged = Cr0::kPe | Cr0::kPg | Cr0::kEt;

struct ControlRow {
  const char* name;
  u64 cr0, cr4, efer;  ///< before
  u8 number;
  u64 value;
  const char* answer;
};

const ControlRow kControl[] = {
    {"PG without PE", 0, 0, 0, 0, Cr0::kPg, "#GP(0)"},
    {"NW without CD", 0, 0, 0, 0, Cr0::kNw, "#GP(0)"},
    {"CD alone", 0, 0, 0, 0, Cr0::kCd, "ok"},
    {"PG with PE", Cr0::kPe, 0, 0, 0, kPaged, "ok"},
    {"long mode needs PAE", Cr0::kPe, 0, Efer::kLme, 0, kPaged, "#GP(0)"},
    {"long mode with PAE", Cr0::kPe, Cr4::kPae, Efer::kLme, 0, kPaged, "ok"},
    {"reserved bit of CR4", 0, 0, 0, 4, bit(31), "#GP(0)"},
    {"VME is not offered", 0, 0, 0, 4, Cr4::kVme, "#GP(0)"},
    {"LA57 is not offered", 0, 0, 0, 4, Cr4::kLa57, "#GP(0)"},
    {"PKE is not offered", 0, 0, 0, 4, Cr4::kPke, "#GP(0)"},
    {"what Linux sets", 0, 0, 0, 4, 0x370ef0 & ~Cr4::kPcide & ~Cr4::kLa57, "ok"},
    {"PCIDE outside long mode", kPaged, Cr4::kPae, 0, 4, Cr4::kPae | Cr4::kPcide, "#GP(0)"},
    {"PCIDE in long mode", kPaged, Cr4::kPae, Efer::kLme | Efer::kLma, 4, Cr4::kPae | Cr4::kPcide,
     "ok"},
    {"PAE off in long mode", kPaged, Cr4::kPae, Efer::kLme | Efer::kLma, 4, 0, "#GP(0)"},
    {"CR3 beyond the physical width", kPaged, Cr4::kPae, Efer::kLme | Efer::kLma, 3, bit(40),
     "#GP(0)"},
    {"CR3 bit 63 without PCIDE", kPaged, Cr4::kPae, Efer::kLme | Efer::kLma, 3, bit(63), "#GP(0)"},
    {"CR3 bit 63 with PCIDE", kPaged, Cr4::kPae | Cr4::kPcide, Efer::kLme | Efer::kLma, 3,
     bit(63) | 0x5001, "ok"},
    {"CR8", kPaged, Cr4::kPae, Efer::kLme | Efer::kLma, 8, 15, "ok"},
    {"CR8 beyond 15", kPaged, Cr4::kPae, Efer::kLme | Efer::kLma, 8, 16, "#GP(0)"},
    {"CR1", 0, 0, 0, 1, 0, "#UD"},
    {"CR5", 0, 0, 0, 5, 0, "#UD"},
};

Operands to_control(u8 number) {
  Operands ops;
  ops.at[0] = {OperandKind::Control, number, 8, false};
  ops.at[1] = gpr_operand(0, 8);
  ops.count = 2;
  ops.length = 3;
  return ops;
}
Operands from_control(u8 number) {
  Operands ops = to_control(number);
  std::swap(ops.at[0], ops.at[1]);
  return ops;
}

/// 64-bit code where the row is in long mode, else a 32-bit segment.
void prepare(FakeMachine& m, const ControlRow& row) {
  row.efer& Efer::kLma ? m.enter_long() : m.enter_protected();
  m.state.cr0 = row.cr0 | Cr0::kEt;
  m.state.cr4 = row.cr4;
  m.state.efer = row.efer;
  m.state.reg(Reg::Rax) = row.value;
}

}  // namespace

TEST_CASE("writes of control registers are checked", "[system]") {
  for (const ControlRow& row : kControl) {
    INFO(row.name);
    FakeMachine m;
    prepare(m, row);
    CHECK(outcome_text(ops::mov_control(m.ctx, to_control(row.number))) == row.answer);
    if (std::string(row.answer) != "ok") {
      CHECK(m.state.cr0 == (row.cr0 | Cr0::kEt));
      CHECK(m.state.cr4 == row.cr4);
      CHECK(m.state.efer == row.efer);
    }
    m.state.cpl = 3;
    bool exists = std::string(row.answer) != "#UD";
    CHECK(outcome_text(ops::mov_control(m.ctx, to_control(row.number))) ==
          (exists ? "#GP(0)" : "#UD"));
  }
}

TEST_CASE("LMA follows LME and PG", "[system]") {
  FakeMachine m;
  m.enter_protected();
  m.state.cr4 = Cr4::kPae;
  REQUIRE(write_efer(m.ctx, Efer::kLme));
  CHECK_FALSE(m.state.efer & Efer::kLma);
  REQUIRE(write_cr0(m.ctx, m.state.cr0 | Cr0::kPg));
  CHECK((m.state.efer & Efer::kLma) != 0);
  CHECK(m.environment.mode_changes == 1);
  CHECK(code_mode(m.state, false).has(CodeMode::kLongActive));
  CHECK(code_mode(m.state, false).size() == CodeSize::Bits32);
  CHECK(outcome_text(write_efer(m.ctx, 0)) == "#GP(0)");
  REQUIRE(write_cr0(m.ctx, m.state.cr0 & ~Cr0::kPg));
  CHECK_FALSE(m.state.efer & Efer::kLma);
}

TEST_CASE("64-bit code cannot switch paging off", "[system]") {
  FakeMachine m;
  m.enter_long();
  CHECK(outcome_text(write_cr0(m.ctx, m.state.cr0 & ~Cr0::kPg)) == "#GP(0)");
}

TEST_CASE("a 64-bit code segment or a 16-bit TSS keeps out of long mode", "[system]") {
  FakeMachine m;
  m.enter_protected();
  m.state.cr4 = Cr4::kPae;
  m.state.efer = Efer::kLme;
  SECTION("CS.L") { m.state.seg(Segment::Cs).attributes |= SegmentRegister::kLong; }
  SECTION("TSS") { m.state.tr.attributes = 0x83; }
  CHECK(outcome_text(write_cr0(m.ctx, m.state.cr0 | Cr0::kPg)) == "#GP(0)");
}

TEST_CASE("PCIDE needs PCID 0", "[system]") {
  FakeMachine m;
  m.enter_long();
  m.state.cr3 = 0x5001;
  CHECK(outcome_text(write_cr4(m.ctx, Cr4::kPae | Cr4::kPcide)) == "#GP(0)");
  m.state.cr3 = 0x5000;
  CHECK(write_cr4(m.ctx, Cr4::kPae | Cr4::kPcide));
  CHECK(outcome_text(write_cr0(m.ctx, m.state.cr0 & ~Cr0::kPg)) == "#GP(0)");
}

TEST_CASE("CR3 keeps no bit 63 and passes it on", "[system]") {
  FakeMachine m;
  m.enter_long();
  m.state.cr4 |= Cr4::kPcide;
  REQUIRE(write_cr3(m.ctx, bit(63) | 0x5003));
  CHECK(m.state.cr3 == 0x5003);
  REQUIRE(m.environment.cr3_values.size() == 1);
  CHECK(m.environment.cr3_values[0] == (bit(63) | 0x5003));
}

TEST_CASE("reads of control registers", "[system]") {
  FakeMachine m;
  m.enter_long();
  m.state.cr2 = 0xffff800000001234;
  m.environment.cr8 = 7;
  REQUIRE(ops::mov_control(m.ctx, from_control(2)));
  CHECK(m.state.reg(Reg::Rax) == 0xffff800000001234);
  REQUIRE(ops::mov_control(m.ctx, from_control(8)));
  CHECK(m.state.reg(Reg::Rax) == 7);
  m.enter_protected();
  m.state.efer = 0;
  REQUIRE(ops::mov_control(m.ctx, from_control(2)));
  CHECK(m.state.reg(Reg::Rax) == 0x1234);
}

TEST_CASE("LMSW sets but cannot clear PE", "[system]") {
  FakeMachine m;
  m.enter_protected();
  Operands ax;
  ax.at[0] = gpr_operand(0, 2);
  m.state.reg(Reg::Rax) = Cr0::kTs | Cr0::kNe;
  REQUIRE(ops::lmsw(m.ctx, ax));
  CHECK((m.state.cr0 & 0xf) == (Cr0::kPe | Cr0::kTs));
  CHECK_FALSE(m.state.cr0 & Cr0::kNe);
  REQUIRE(ops::clts(m.ctx, {}));
  CHECK_FALSE(m.state.cr0 & Cr0::kTs);
  m.state.cpl = 3;
  CHECK(outcome_text(ops::clts(m.ctx, {})) == "#GP(0)");
  CHECK(outcome_text(ops::lmsw(m.ctx, ax)) == "#GP(0)");
  CHECK(outcome_text(ops::smsw(m.ctx, ax)) == "ok");
  m.state.cr4 |= Cr4::kUmip;
  CHECK(outcome_text(ops::smsw(m.ctx, ax)) == "#GP(0)");
}

TEST_CASE("debug registers", "[system]") {
  FakeMachine m;
  m.enter_long();
  auto write = [&](u8 number, u64 value) {
    Operands ops = to_control(number);
    ops.at[0].kind = OperandKind::Debug;
    m.state.reg(Reg::Rax) = value;
    return outcome_text(ops::mov_debug(m.ctx, ops));
  };
  CHECK(write(6, ~0u) == "ok");
  CHECK(m.state.dr6 == 0xffffefff);
  CHECK(write(7, 0) == "ok");
  CHECK(m.state.dr7 == 0x400);
  CHECK(write(7, bit(32)) == "#GP(0)");
  CHECK(write(5, 0x55) == "ok");  // DR7 by its alias
  CHECK(m.state.dr7 == 0x455);
  m.state.cr4 |= Cr4::kDe;
  CHECK(write(5, 0) == "#UD");
  CHECK(write(7, 0x2400) == "ok");
  CHECK(write(0, 1) == "#DB");  // general detect
  CHECK(code_mode(m.state, false).has(CodeMode::kBreakpoints) == false);
  m.state.dr7 = 0x401;
  CHECK(code_mode(m.state, false).has(CodeMode::kBreakpoints));
  m.state.dr7 = 0x10401;  // data writes
  CHECK_FALSE(code_mode(m.state, false).has(CodeMode::kBreakpoints));
}

namespace {

struct BreakpointRow {
  const char* name;
  u64 dr7;
  u64 address;  ///< in DR1
  u64 at;
  u32 size;
  u64 execute, write, read, port;  ///< expected causes
};

// DR1: enable bits 2 and 3, R/W bits 20 and 21, LEN bits 22 and 23.
const BreakpointRow kBreakpoints[] = {
    {"execute", 0x4, 0x5000, 0x5000, 1, 2, 0, 0, 0},
    {"global enable", 0x8, 0x5000, 0x5000, 1, 2, 0, 0, 0},
    {"disabled", 0x1, 0x5000, 0x5000, 1, 0, 0, 0, 0},
    {"execute elsewhere", 0x4, 0x5000, 0x5001, 1, 0, 0, 0, 0},
    {"write of one byte", 0x100004, 0x5003, 0x5000, 4, 0, 2, 0, 0},
    {"write beside it", 0x100004, 0x5003, 0x5000, 3, 0, 0, 0, 0},
    {"four bytes, aligned", 0xd00004, 0x5003, 0x5000, 1, 0, 2, 0, 0},
    {"eight bytes", 0x900004, 0x5000, 0x5007, 1, 0, 2, 0, 0},
    {"read and write", 0x300004, 0x5000, 0x4fff, 2, 0, 2, 2, 0},
    {"two bytes of ports", 0x600004, 0x60, 0x61, 1, 0, 0, 0, 2},
};

}  // namespace

TEST_CASE("which breakpoints an access matches", "[system]") {
  for (const BreakpointRow& row : kBreakpoints) {
    INFO(row.name);
    FakeMachine m;
    m.enter_long();
    m.state.cr4 |= Cr4::kDe;
    m.state.dr[1] = row.address;
    m.state.dr7 = row.dr7;
    CHECK(instruction_breakpoints(m.state, row.at) == row.execute);
    CHECK(data_breakpoints(m.state, row.at, row.size, true) == row.write);
    CHECK(data_breakpoints(m.state, row.at, row.size, false) == row.read);
    CHECK(port_breakpoints(m.state, static_cast<u16>(row.at), row.size) == row.port);
    m.state.cr4 = 0;
    CHECK(port_breakpoints(m.state, static_cast<u16>(row.at), row.size) == 0);
    m.state.set_flags(Flag::kRf);
    CHECK(instruction_breakpoints(m.state, row.at) == 0);
  }
}

TEST_CASE("OUT to a watched port leaves a debug trap", "[system]") {
  FakeMachine m;
  m.enter_long();
  m.state.cr4 |= Cr4::kDe;
  m.state.dr[0] = 0x80;
  m.state.dr7 = 0x20001;
  Operands out;
  out.at[0] = {OperandKind::Immediate, 0, 1, false};
  out.at[1] = gpr_operand(0, 1);
  out.immediate = 0x81;
  REQUIRE(ops::out(m.ctx, out));
  CHECK(m.state.pending_debug == 0);
  out.immediate = 0x80;
  REQUIRE(ops::out(m.ctx, out));
  CHECK(m.state.pending_debug == 1);
}

TEST_CASE("code-mode word", "[system]") {
  FakeMachine m;
  SECTION("reset is 16-bit, not flat") {
    CodeMode mode = code_mode(m.state, true);
    CHECK(mode.size() == CodeSize::Bits16);
    CHECK(mode.cpl() == 0);
    CHECK(mode.has(CodeMode::kA20Masked));
    CHECK_FALSE(mode.has(CodeMode::kFlatSegments));
    CHECK_FALSE(mode.has(CodeMode::kProtected));
    CHECK(((mode.word >> CodeMode::kXcr0) & 7) == 1);
  }
  SECTION("flat protected mode") {
    m.enter_protected();
    CodeMode mode = code_mode(m.state, false);
    CHECK(mode.size() == CodeSize::Bits32);
    CHECK(mode.has(CodeMode::kStack32));
    CHECK(mode.has(CodeMode::kFlatSegments));
    m.state.seg(Segment::Es).base = 16;
    CHECK_FALSE(code_mode(m.state, false).has(CodeMode::kFlatSegments));
    m.run_at(0);
    m.state.seg(Segment::Ds) = {0, 0, SegmentRegister::kUnusable, 0};
    CHECK_FALSE(code_mode(m.state, false).has(CodeMode::kFlatSegments));
  }
  SECTION("64-bit mode") {
    m.enter_long();
    m.run_at(3);
    m.state.mxcsr = 0x1f00;
    CodeMode mode = code_mode(m.state, false);
    CHECK(mode.is_long());
    CHECK(mode.cpl() == 3);
    CHECK(mode.has(CodeMode::kFlatSegments));
    CHECK(mode.has(CodeMode::kSseUnmasked));
  }
  SECTION("virtual-8086 mode") {
    m.enter_v86();
    CodeMode mode = code_mode(m.state, false);
    CHECK(mode.real_or_v86());
    CHECK(mode.size() == CodeSize::Bits16);
  }
}
