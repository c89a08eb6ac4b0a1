// Fast calls, flags, ports, tables, selector queries, waiting; SDM 2, APM 3.
#include <catch2/catch.hpp>

#include "cpu/ops.h"
#include "cpu/system/forms.h"
#include "cpu/system/io.h"
#include "fake_machine.h"

using namespace penumbra;
using namespace penumbra::cpu;
using namespace penumbra::cpu::test;

namespace {

Operands sized(Width width) {
  Operands ops;
  ops.width = width;
  ops.length = 2;
  return ops;
}
Operands register_operands(u8 number, u16 size) {
  Operands ops = sized(size == 8 ? Width::W64 : size == 4 ? Width::W32 : Width::W16);
  ops.at[0] = gpr_operand(number, size);
  ops.count = 1;
  return ops;
}
Operands two_registers(u16 size) {
  Operands ops = register_operands(0, size);
  ops.at[1] = gpr_operand(3, size);
  ops.count = 2;
  return ops;
}

}  // namespace

TEST_CASE("SYSCALL and SYSRET", "[system]") {
  FakeMachine m;
  m.enter_long();
  m.run_at(3);
  m.state.star = 0x0013'0008'0000'0000;
  m.state.lstar = 0xffffffff80001000;
  m.state.sfmask = Flag::kIf | Flag::kTf;
  m.state.set_flags(Flag::kIf | Flag::kCf | Flag::kRf | 2);
  REQUIRE(*ops::syscall(m.ctx, sized(Width::W64)) == Next::Branch);
  CHECK(m.state.rip == 0xffffffff80001000);
  CHECK(m.state.reg(Reg::Rcx) == 0x5002);
  CHECK(m.state.reg(Reg::R11) == (Flag::kIf | Flag::kCf | 2));
  CHECK(m.state.flags() == (Flag::kCf | 2));
  CHECK(m.state.cpl == 0);
  CHECK(m.state.seg(Segment::Cs).selector == 8);
  CHECK(m.state.seg(Segment::Ss).selector == 0x10);
  CHECK(in_long_mode(m.state));
  SECTION("back to 64-bit code") {
    REQUIRE(ops::sysret(m.ctx, sized(Width::W64)));
    CHECK(m.state.rip == 0x5002);
    CHECK(m.state.seg(Segment::Cs).selector == 0x23);
    CHECK(m.state.seg(Segment::Ss).selector == 0x1b);
    CHECK(in_long_mode(m.state));
    CHECK(m.state.flags() == (Flag::kIf | Flag::kCf | 2));
    CHECK(m.state.cpl == 3);
    CHECK(outcome_text(ops::sysret(m.ctx, sized(Width::W64))) == "#GP(0)");
  }
  SECTION("back to 32-bit code") {
    m.state.reg(Reg::Rcx) = 0x1'0000'7000;
    REQUIRE(ops::sysret(m.ctx, sized(Width::W32)));
    CHECK(m.state.rip == 0x7000);
    CHECK(m.state.seg(Segment::Cs).selector == 0x13);
    CHECK_FALSE(in_long_mode(m.state));
  }
  SECTION("not canonical: AMD faults at CPL 3, at the fetch") {
    m.state.reg(Reg::Rcx) = 1ull << 47;
    REQUIRE(ops::sysret(m.ctx, sized(Width::W64)));
    CHECK(m.state.cpl == 3);
    CHECK(m.state.rip == 1ull << 47);
  }
  SECTION("refused without SCE") {
    m.state.efer &= ~Efer::kSce;
    CHECK(outcome_text(ops::syscall(m.ctx, sized(Width::W64))) == "#UD");
    CHECK(outcome_text(ops::sysret(m.ctx, sized(Width::W64))) == "#UD");
  }
}

TEST_CASE("SYSCALL from compatibility mode goes to CSTAR", "[system]") {
  FakeMachine m;
  m.enter_long();
  m.run_at(3);
  m.state.seg(Segment::Cs).attributes = 0xc0fb;
  m.state.cstar = 0xffffffff80002000;
  REQUIRE(ops::syscall(m.ctx, sized(Width::W32)));
  CHECK(m.state.rip == 0xffffffff80002000);
  CHECK(in_long_mode(m.state));
}

TEST_CASE("SYSENTER and SYSEXIT exist outside long mode only", "[system]") {
  FakeMachine m;
  m.enter_protected();
  m.run_at(3);
  m.state.sysenter_cs = 8;
  m.state.sysenter_esp = 0x9000;
  m.state.sysenter_eip = 0x7000;
  m.state.set_flags(Flag::kIf);
  REQUIRE(ops::sysenter(m.ctx, sized(Width::W32)));
  CHECK(m.state.rip == 0x7000);
  CHECK(m.state.reg(Reg::Rsp) == 0x9000);
  CHECK(m.state.cpl == 0);
  CHECK_FALSE(m.state.flag(Flag::kIf));
  m.state.reg(Reg::Rcx) = 0xb000;
  m.state.reg(Reg::Rdx) = 0x5000;
  REQUIRE(ops::sysexit(m.ctx, sized(Width::W32)));
  CHECK(m.state.cpl == 3);
  CHECK(m.state.seg(Segment::Cs).selector == 0x1b);
  CHECK(m.state.seg(Segment::Ss).selector == 0x23);
  CHECK(outcome_text(ops::sysexit(m.ctx, sized(Width::W32))) == "#GP(0)");
  m.state.sysenter_cs = 3;
  CHECK(outcome_text(ops::sysenter(m.ctx, sized(Width::W32))) == "#GP(0)");
  m.enter_long();
  CHECK(outcome_text(ops::sysenter(m.ctx, sized(Width::W32))) == "#UD");
  CHECK(outcome_text(ops::sysexit(m.ctx, sized(Width::W32))) == "#UD");
}

TEST_CASE("SWAPGS and the base instructions", "[system]") {
  FakeMachine m;
  m.enter_long();
  m.state.kernel_gs_base = 0xffff888000000000;
  REQUIRE(ops::swapgs(m.ctx, {}));
  CHECK(m.state.seg(Segment::Gs).base == 0xffff888000000000);
  CHECK(m.state.kernel_gs_base == 0);
  CHECK(outcome_text(ops::rdfsbase(m.ctx, register_operands(0, 8))) == "#UD");
  m.state.cr4 |= Cr4::kFsgsbase;
  REQUIRE(ops::rdgsbase(m.ctx, register_operands(0, 8)));
  CHECK(m.state.reg(Reg::Rax) == 0xffff888000000000);
  REQUIRE(ops::rdgsbase(m.ctx, register_operands(1, 4)));
  CHECK(m.state.reg(Reg::Rcx) == 0);
  m.state.reg(Reg::Rax) = 1ull << 47;
  CHECK(outcome_text(ops::wrfsbase(m.ctx, register_operands(0, 8))) == "#GP(0)");
  CHECK(outcome_text(ops::wrfsbase(m.ctx, register_operands(0, 4))) == "ok");
  m.state.cpl = 3;
  CHECK(outcome_text(ops::swapgs(m.ctx, {})) == "#GP(0)");
  m.enter_protected();
  m.state.efer = 0;
  CHECK(outcome_text(ops::swapgs(m.ctx, {})) == "#UD");
}

// -- flags
// -------------------------------------------------------------------------------------------

namespace {

struct PopfRow {
  const char* name;
  u8 cpl, iopl;
  bool v86;
  Width width;
  u64 image;
  const char* answer;
  u64 after;
};

const PopfRow kPopf[] = {
    {"CPL 0 takes IOPL and IF", 0, 0, false, Width::W32, Flag::kIopl | Flag::kIf, "ok",
     Flag::kIopl | Flag::kIf},
    {"CPL 3 takes neither", 3, 0, false, Width::W32, Flag::kIopl | Flag::kIf, "ok", 0},
    {"IOPL 3 allows IF", 3, 3, false, Width::W32, Flag::kIf, "ok", Flag::kIopl | Flag::kIf},
    {"RF and VM are not taken", 0, 0, false, Width::W32, Flag::kRf | Flag::kVm, "ok", 0},
    {"16-bit leaves AC and ID", 0, 0, false, Width::W16, Flag::kAc | Flag::kId | Flag::kCf, "ok",
     Flag::kCf},
    {"virtual-8086 below IOPL 3", 3, 0, true, Width::W16, 0, "#GP(0)", Flag::kVm},
    {"virtual-8086 with IOPL 3", 3, 3, true, Width::W16, Flag::kIf, "ok",
     Flag::kVm | Flag::kIopl | Flag::kIf},
};

}  // namespace

TEST_CASE("POPF takes what the level allows", "[system]") {
  for (const PopfRow& row : kPopf) {
    INFO(row.name);
    FakeMachine m;
    row.v86 ? m.enter_v86() : m.enter_protected();
    if (!row.v86) m.run_at(row.cpl);
    m.state.set_flags((row.v86 ? Flag::kVm : 0) | u64{row.iopl} << 12);
    u64 base = row.v86 ? 0x5000 : 0;
    m.memory.put<u32>(base + m.state.reg(Reg::Rsp), static_cast<u32>(row.image));
    CHECK(outcome_text(ops::popf(m.ctx, sized(row.width))) == row.answer);
    CHECK(m.state.flags() == (row.after | 2));
  }
}

TEST_CASE("PUSHF shows neither RF nor VM", "[system]") {
  FakeMachine m;
  m.enter_v86();
  m.state.set_flags(Flag::kVm | Flag::kRf | Flag::kIopl | Flag::kZf);
  REQUIRE(ops::pushf(m.ctx, sized(Width::W32)));
  CHECK(m.memory.get<u32>(0x5000 + 0x7fc) == (Flag::kIopl | Flag::kZf | 2));
  m.state.set_flags(Flag::kVm);
  CHECK(outcome_text(ops::pushf(m.ctx, sized(Width::W16))) == "#GP(0)");
}

TEST_CASE("CLI and STI ask IOPL, STI shadows once", "[system]") {
  FakeMachine m;
  m.enter_long();
  REQUIRE(ops::sti(m.ctx, {}));
  CHECK(m.state.interrupt_shadow == 1);
  m.state.interrupt_shadow = 0;
  REQUIRE(ops::sti(m.ctx, {}));
  CHECK(m.state.interrupt_shadow == 0);
  REQUIRE(ops::cli(m.ctx, {}));
  CHECK_FALSE(m.state.flag(Flag::kIf));
  m.run_at(3);
  CHECK(outcome_text(ops::cli(m.ctx, {})) == "#GP(0)");
  CHECK(outcome_text(ops::sti(m.ctx, {})) == "#GP(0)");
  m.state.set_flags(Flag::kIopl);
  CHECK(outcome_text(ops::sti(m.ctx, {})) == "ok");
  CHECK(outcome_text(ops::stac(m.ctx, {})) == "#UD");
  m.run_at(0);
  int before = m.environment.changes;
  REQUIRE(ops::stac(m.ctx, {}));
  CHECK(m.state.flag(Flag::kAc));
  CHECK(m.environment.changes == before + 1);
  REQUIRE(ops::clac(m.ctx, {}));
  CHECK_FALSE(m.state.flag(Flag::kAc));
}

// -- ports
// -------------------------------------------------------------------------------------------

TEST_CASE("the I/O permission bitmap", "[system]") {
  FakeMachine m;
  m.enter_protected();
  m.run_at(3);
  m.state.tr.limit = 0x68 + 32;
  m.memory.put<u16>(FakeMachine::kTss + 102, 0x68);
  for (u32 i = 0; i < 32; ++i) m.memory.put<u8>(FakeMachine::kTss + 0x68 + i, 0xff);
  m.memory.put<u16>(FakeMachine::kTss + 0x68 + 8, 0xfe3f);  // ports 46h, 47h, 48h
  auto text = [&](u16 port, u32 size) { return outcome_text(check_port(m.ctx, port, size)); };
  CHECK(text(0x46, 1) == "ok");
  CHECK(text(0x45, 1) == "#GP(0)");
  CHECK(text(0x47, 2) == "ok");  // over a byte of the map
  CHECK(text(0x48, 2) == "#GP(0)");
  CHECK(text(0x46, 4) == "#GP(0)");
  m.memory.put<u8>(FakeMachine::kTss + 0x68 + 31, 0);
  CHECK(text(0xf8, 1) == "ok");
  m.state.tr.limit -= 1;
  CHECK(text(0xf8, 1) == "#GP(0)");  // the second byte must lie within the limit too
  CHECK(text(0xf00, 1) == "#GP(0)");
  m.state.set_flags(Flag::kIopl);
  CHECK(text(0xf00, 1) == "ok");
  m.state.set_flags(Flag::kIopl | Flag::kVm);
  CHECK(text(0xf00, 1) == "#GP(0)");
  m.state.set_flags(0);
  m.state.tr.attributes = 0x83;  // a 16-bit TSS has no map
  CHECK(text(0x46, 1) == "#GP(0)");
}

TEST_CASE("IN and OUT", "[system]") {
  FakeMachine m;
  m.enter_long();
  Operands in;
  in.at[0] = gpr_operand(0, 1);
  in.at[1] = {OperandKind::Immediate, 0, 1, false};
  in.immediate = 0x60;
  m.environment.ports[0x60] = 0x5a;
  m.state.reg(Reg::Rax) = 0xffff'ffff'ffff'ff00;
  REQUIRE(ops::in(m.ctx, in));
  CHECK(m.state.reg(Reg::Rax) == 0xffff'ffff'ffff'ff5a);
  in.at[0].size = 4;
  REQUIRE(ops::in(m.ctx, in));
  CHECK(m.state.reg(Reg::Rax) == 0x5a);
  Operands out;
  out.at[0] = gpr_operand(2, 2);
  out.at[1] = gpr_operand(0, 2);
  m.state.reg(Reg::Rdx) = 0x3f8;
  m.state.reg(Reg::Rax) = 0x12345678;
  REQUIRE(ops::out(m.ctx, out));
  CHECK(m.environment.ports[0x3f8] == 0x5678);
  m.run_at(3);
  CHECK(outcome_text(ops::out(m.ctx, out)) == "#GP(0)");
}

// -- tables and selectors
// ----------------------------------------------------------------------------

TEST_CASE("descriptor-table registers", "[system]") {
  FakeMachine m;
  m.enter_long();
  m.memory.put<u16>(0x2000, 0x7f);
  m.memory.put<u64>(0x2002, 0xffff800000001000);
  Operands memory = memory_operands(0x2000, 10, Width::W64);
  REQUIRE(ops::lgdt(m.ctx, memory));
  CHECK(m.state.gdtr.base == 0xffff800000001000);
  CHECK(m.state.gdtr.limit == 0x7f);
  m.memory.put<u64>(0x2002, 1ull << 47);
  CHECK(outcome_text(ops::lidt(m.ctx, memory)) == "#GP(0)");
  REQUIRE(ops::sgdt(m.ctx, memory));
  CHECK(m.memory.get<u64>(0x2002) == 0xffff800000001000);
  m.run_at(3);
  CHECK(outcome_text(ops::lgdt(m.ctx, memory)) == "#GP(0)");
  CHECK(outcome_text(ops::sidt(m.ctx, memory)) == "ok");
  m.state.cr4 |= Cr4::kUmip;
  CHECK(outcome_text(ops::sidt(m.ctx, memory)) == "#GP(0)");
  m.enter_protected();
  m.state.efer = 0;
  m.run_at(0);
  m.memory.put<u32>(0x2002, 0x12345678);
  REQUIRE(ops::lidt(m.ctx, memory_operands(0x2000, 6, Width::W16)));
  CHECK(m.state.idtr.base == 0x345678);
  REQUIRE(ops::lidt(m.ctx, memory_operands(0x2000, 6, Width::W32)));
  CHECK(m.state.idtr.base == 0x12345678);
}

namespace {

struct SystemSegmentRow {
  const char* name;
  u16 selector;
  u8 access;
  const char* lldt_answer;
  const char* ltr_answer;
};

const SystemSegmentRow kSystemSegments[] = {
    {"LDT", 0x40, access_byte(2, 0, true), "ok", "#GP(40)"},
    {"TSS", 0x40, access_byte(9, 0, true), "#GP(40)", "ok"},
    {"busy TSS", 0x40, access_byte(11, 0, true), "#GP(40)", "#GP(40)"},
    {"data", 0x40, access_byte(kReadWrite, 0), "#GP(40)", "#GP(40)"},
    {"absent LDT", 0x40, access_byte(2, 0, true, false), "#NP(40)", "#GP(40)"},
    {"absent TSS", 0x40, access_byte(9, 0, true, false), "#GP(40)", "#NP(40)"},
    {"null", 0x00, 0, "ok", "#GP(0)"},
    {"in the LDT", 0x44, 0, "#GP(44)", "#GP(44)"},
    {"beyond the table", 0x1000, 0, "#GP(1000)", "#GP(1000)"},
};

}  // namespace

TEST_CASE("LLDT and LTR", "[system]") {
  for (const SystemSegmentRow& row : kSystemSegments) {
    INFO(row.name);
    FakeMachine m;
    m.enter_long();
    m.memory.put<u64>(FakeMachine::kGdt + 0x40, descriptor(0x4400, 0x67, row.access, 0));
    m.memory.put<u64>(FakeMachine::kGdt + 0x48, 0xffff8000);
    m.state.reg(Reg::Rax) = row.selector;
    auto lldt = ops::lldt(m.ctx, register_operands(0, 2));
    CHECK(outcome_text(lldt) == row.lldt_answer);
    if (lldt && row.selector) CHECK(m.state.ldtr.base == 0xffff800000004400);
    auto ltr = ops::ltr(m.ctx, register_operands(0, 2));
    CHECK(outcome_text(ltr) == row.ltr_answer);
    if (ltr) CHECK((m.descriptor_at(0x40) >> 40 & 15) == 11);
    m.state.cpl = 3;
    CHECK(outcome_text(ops::ltr(m.ctx, register_operands(0, 2))) == "#GP(0)");
    m.state.cr0 &= ~Cr0::kPe;
    CHECK(outcome_text(ops::lldt(m.ctx, register_operands(0, 2))) == "#UD");
  }
}

namespace {

struct QueryRow {
  const char* name;
  u8 cpl;
  u16 selector;
  u8 access;
  bool lar, lsl, verr, verw;
};

// The descriptor at 40h, in 32-bit mode.
const QueryRow kQueries[] = {
    {"data", 0, 0x40, access_byte(kReadWrite, 0), true, true, true, true},
    {"read-only data", 0, 0x40, access_byte(kReadOnly, 0), true, true, true, false},
    {"code", 0, 0x40, access_byte(kCodeRead, 0), true, true, true, false},
    {"execute-only", 0, 0x40, access_byte(kExecuteOnly, 0), true, true, false, false},
    {"out of reach", 3, 0x40, access_byte(kReadWrite, 2), false, false, false, false},
    {"RPL", 0, 0x41, access_byte(kReadWrite, 0), false, false, false, false},
    {"conforming", 3, 0x43, access_byte(kConforming, 0), true, true, true, false},
    {"call gate", 0, 0x40, access_byte(12, 0, true), true, false, false, false},
    {"task gate", 0, 0x40, access_byte(5, 0, true), true, false, false, false},
    {"interrupt gate", 0, 0x40, access_byte(14, 0, true), false, false, false, false},
    {"LDT", 0, 0x40, access_byte(2, 0, true), true, true, false, false},
    {"TSS", 0, 0x40, access_byte(9, 0, true), true, true, false, false},
    {"16-bit TSS", 0, 0x40, access_byte(1, 0, true), true, true, false, false},
    {"null", 0, 0x03, 0, false, false, false, false},
    {"beyond", 0, 0x1000, 0, false, false, false, false},
    {"absent data", 0, 0x40, access_byte(kReadWrite, 0, false, false), true, true, true, true},
};

}  // namespace

TEST_CASE("LAR, LSL, VERR and VERW", "[system]") {
  for (const QueryRow& row : kQueries) {
    INFO(row.name);
    FakeMachine m;
    m.enter_protected();
    m.run_at(row.cpl);
    m.set_descriptor(0x40, descriptor(0, 0x12, row.access, kPages));
    auto ask = [&](NamedOperation query) {
      m.state.reg(Reg::Rax) = 0xdead;
      m.state.reg(Reg::Rbx) = row.selector;
      CHECK(outcome_text(query(m.ctx, two_registers(4))) == "ok");
      return m.state.arithmetic_flags() == Flag::kZf;
    };
    CHECK(ask(ops::lar) == row.lar);
    CHECK(m.state.reg(Reg::Rax) == (row.lar ? 0x800000u | u32{row.access} << 8 : 0xdead));
    CHECK(ask(ops::lsl) == row.lsl);
    CHECK(m.state.reg(Reg::Rax) == (row.lsl ? 0x12fffu : 0xdead));
    auto verify = [&](NamedOperation query) {
      m.state.reg(Reg::Rax) = row.selector;
      CHECK(outcome_text(query(m.ctx, register_operands(0, 2))) == "ok");
      return m.state.arithmetic_flags() == Flag::kZf;
    };
    CHECK(verify(ops::verr) == row.verr);
    CHECK(verify(ops::verw) == row.verw);
    m.state.cr0 &= ~Cr0::kPe;
    CHECK(outcome_text(ops::lar(m.ctx, two_registers(4))) == "#UD");
  }
}

TEST_CASE("ARPL raises the RPL", "[system]") {
  FakeMachine m;
  m.enter_protected();
  m.state.reg(Reg::Rax) = 0x40;
  m.state.reg(Reg::Rbx) = 0x03;
  REQUIRE(ops::arpl(m.ctx, two_registers(2)));
  CHECK(m.state.reg(Reg::Rax) == 0x43);
  CHECK(m.state.arithmetic_flags() == Flag::kZf);
  REQUIRE(ops::arpl(m.ctx, two_registers(2)));
  CHECK(m.state.arithmetic_flags() == 0);
}

TEST_CASE("far pointers load a segment and a register", "[system]") {
  FakeMachine m;
  m.enter_protected();
  m.memory.put<u32>(0x2000, 0x12345678);
  m.memory.put<u16>(0x2004, FakeMachine::kData3);
  Operands les = memory_operands(0x2000, 6, Width::W32);
  les.at[1] = les.at[0];
  les.at[0] = gpr_operand(7, 4);
  REQUIRE(ops::les(m.ctx, les));
  CHECK(m.state.reg(Reg::Rdi) == 0x12345678);
  CHECK(m.state.seg(Segment::Es).selector == FakeMachine::kData3);
  m.memory.put<u16>(0x2004, 0x1000);
  m.memory.put<u32>(0x2000, 0);
  CHECK(outcome_text(ops::les(m.ctx, les)) == "#GP(1000)");
  CHECK(m.state.reg(Reg::Rdi) == 0x12345678);
}

TEST_CASE("PUSH and POP of segment registers", "[system]") {
  FakeMachine m;
  m.enter_protected();
  Operands es = sized(Width::W32);
  es.at[0] = segment_operand(Segment::Es);
  u64 rsp = m.state.reg(Reg::Rsp);
  REQUIRE(ops::push_segment(m.ctx, es));
  CHECK(m.state.reg(Reg::Rsp) == rsp - 4);
  CHECK(m.memory.get<u32>(rsp - 4) == FakeMachine::kData0);
  m.memory.put<u32>(rsp - 4, 0x1000);
  CHECK(outcome_text(ops::pop_segment(m.ctx, es)) == "#GP(1000)");
  CHECK(m.state.reg(Reg::Rsp) == rsp - 4);
  m.memory.put<u32>(rsp - 4, FakeMachine::kData3);
  REQUIRE(ops::pop_segment(m.ctx, es));
  CHECK(m.state.reg(Reg::Rsp) == rsp);
  CHECK(m.state.seg(Segment::Es).selector == FakeMachine::kData3);
}

TEST_CASE("HLT, INVLPG, INVPCID, CLFLUSH", "[system]") {
  FakeMachine m;
  m.enter_long();
  CHECK(*ops::hlt(m.ctx, {}) == Next::Halt);
  CHECK(m.state.activity == Activity::Halted);
  REQUIRE(ops::invlpg(m.ctx, memory_operands(0x12345, 0, Width::W64)));
  CHECK(m.environment.invalidated == std::vector<u64>{0x12345});
  REQUIRE(ops::invlpg(m.ctx, memory_operands(1ull << 47, 0, Width::W64)));
  CHECK(m.environment.invalidated.size() == 1);
  Operands invpcid = memory_operands(0x2000, 16, Width::W64);
  invpcid.at[1] = invpcid.at[0];
  invpcid.at[0] = gpr_operand(0, 8);
  auto text = [&](u64 type, u64 pcid, u64 linear) {
    m.state.reg(Reg::Rax) = type;
    m.memory.put<u64>(0x2000, pcid);
    m.memory.put<u64>(0x2008, linear);
    return outcome_text(ops::invpcid(m.ctx, invpcid));
  };
  CHECK(text(0, 0, 0x5000) == "ok");
  CHECK(text(0, 1, 0x5000) == "#GP(0)");  // without CR4.PCIDE
  m.state.cr4 |= Cr4::kPcide;
  CHECK(text(0, 1, 0x5000) == "ok");
  CHECK(text(0, 0x1000, 0x5000) == "#GP(0)");
  CHECK(text(0, 1, 1ull << 47) == "#GP(0)");
  CHECK(text(2, ~0ull, 0) == "ok");
  CHECK(text(4, 0, 0) == "#GP(0)");
  m.memory.absent.insert(7);
  CHECK(outcome_text(ops::clflush(m.ctx, memory_operands(0x7123, 1, Width::W64))) == "#PF(0)");
  CHECK(outcome_text(ops::clflush(m.ctx, memory_operands(0x6123, 1, Width::W64))) == "ok");
  m.state.cpl = 3;
  CHECK(outcome_text(ops::hlt(m.ctx, {})) == "#GP(0)");
  CHECK(outcome_text(ops::wbinvd(m.ctx, {})) == "#GP(0)");
  CHECK(outcome_text(ops::invlpg(m.ctx, memory_operands(0, 0, Width::W64))) == "#GP(0)");
  CHECK(outcome_text(ops::undefined_opcode(m.ctx, {})) == "#UD");
}
