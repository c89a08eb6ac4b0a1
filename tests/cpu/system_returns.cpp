// IRET and far RET; SDM 2, SDM 3A 5.8.6, 6.12.1, 20.2.2.
#include <catch2/catch.hpp>

#include "cpu/ops.h"
#include "cpu/system/forms.h"
#include "fake_machine.h"

using namespace penumbra;
using namespace penumbra::cpu;
using namespace penumbra::cpu::test;

namespace {

Operands sized(Width width, u64 immediate = 0) {
  Operands ops;
  ops.width = width;
  ops.length = 2;
  ops.immediate = immediate;
  return ops;
}

template <class T>
void put_stack(FakeMachine& m, std::initializer_list<u64> values) {
  u64 at = m.state.reg(Reg::Rsp);
  for (u64 value : values) {
    m.memory.put<T>(at, static_cast<T>(value));
    at += sizeof(T);
  }
}

}  // namespace

TEST_CASE("IRETQ to CPL 3", "[system]") {
  FakeMachine m;
  m.enter_long();
  m.state.nmi_blocked = true;
  u64 image = Flag::kIf | Flag::kZf | Flag::kIopl | Flag::kRf | 2;
  put_stack<u64>(m, {0x7000, FakeMachine::kCode3, image, 0x7fff0, FakeMachine::kData3});
  m.state.seg(Segment::Ds) = {0, 0xffffffff, 0xc093, FakeMachine::kData0};
  m.state.seg(Segment::Fs) = {0x1234, 0, SegmentRegister::kUnusable, 0};
  REQUIRE(ops::iret(m.ctx, sized(Width::W64)));
  CHECK(m.state.rip == 0x7000);
  CHECK(m.state.cpl == 3);
  CHECK(m.state.reg(Reg::Rsp) == 0x7fff0);
  CHECK(m.state.seg(Segment::Ss).selector == FakeMachine::kData3);
  CHECK(m.state.flags() == (image & ~u64{Flag::kRf}));
  CHECK(m.state.seg(Segment::Ds).has(SegmentRegister::kUnusable));  // DPL 0 is out of reach
  CHECK(m.state.seg(Segment::Fs).base == 0x1234);                   // a null one keeps its base
  CHECK_FALSE(m.state.nmi_blocked);
}

TEST_CASE("RF is kept where a breakpoint is armed", "[system]") {
  FakeMachine m;
  m.enter_long();
  m.state.dr7 = 0x401;
  put_stack<u64>(m, {0x7000, FakeMachine::kCode0, Flag::kRf | 2, 0x8000, FakeMachine::kData0});
  REQUIRE(ops::iret(m.ctx, sized(Width::W64)));
  CHECK(m.state.flag(Flag::kRf));
}

namespace {

struct IretRow {
  const char* name;
  u8 cpl;
  u64 rip;
  u16 cs, ss;
  const char* answer;
};

// 40h: conforming code of level 0, 48h: 32-bit code of level 3, 50h: absent code, 58h: L and D.
const IretRow kIretq[] = {
    {"to the kernel", 0, 0x7000, 0x08, 0x10, "ok"},
    {"null stack in the kernel", 0, 0x7000, 0x08, 0x00, "ok"},
    {"null stack, wrong RPL", 0, 0x7000, 0x08, 0x03, "#GP(0)"},
    {"null stack in user code", 0, 0x7000, 0x1b, 0x03, "#GP(0)"},
    {"to a user", 0, 0x7000, 0x1b, 0x23, "ok"},
    {"to 32-bit user code", 0, 0x7000, 0x4b, 0x23, "ok"},
    {"offset beyond 32-bit code", 0, 0x100000000, 0x4b, 0x23, "#GP(0)"},
    {"inwards", 3, 0x7000, 0x08, 0x10, "#GP(8)"},
    {"null code", 0, 0x7000, 0x00, 0x10, "#GP(0)"},
    {"data as code", 0, 0x7000, 0x10, 0x10, "#GP(10)"},
    {"RPL is not DPL", 0, 0x7000, 0x0b, 0x23, "#GP(8)"},
    {"conforming below RPL", 0, 0x7000, 0x43, 0x23, "ok"},
    {"code not present", 0, 0x7000, 0x50, 0x10, "#NP(50)"},
    {"L and D", 0, 0x7000, 0x58, 0x10, "#GP(58)"},
    {"stack RPL", 0, 0x7000, 0x1b, 0x20, "#GP(20)"},
    {"stack DPL", 0, 0x7000, 0x1b, 0x13, "#GP(10)"},
    {"not canonical", 0, 0x800000000000, 0x1b, 0x23, "#GP(0)"},
};

}  // namespace

TEST_CASE("IRETQ checks what it returns to", "[system]") {
  for (const IretRow& row : kIretq) {
    INFO(row.name);
    FakeMachine m;
    m.enter_long();
    m.run_at(row.cpl);
    m.set_descriptor(0x40, descriptor(0, 0xfffff, access_byte(kConforming, 0), kLongFlag | kPages));
    m.set_descriptor(0x48, descriptor(0, 0xfffff, access_byte(kCodeRead, 3), kBigFlag | kPages));
    m.set_descriptor(0x50,
                     descriptor(0, 0xfffff, access_byte(kCodeRead, 0, false, false), kLongFlag));
    m.set_descriptor(0x58, descriptor(0, 0xfffff, access_byte(kCodeRead, 0), kLongFlag | kBigFlag));
    put_stack<u64>(m, {row.rip, row.cs, 2, 0x7f00, row.ss});
    auto outcome = ops::iret(m.ctx, sized(Width::W64));
    CHECK(outcome_text(outcome) == row.answer);
    CHECK(m.state.rip == (outcome ? row.rip : 0x5000));
    CHECK(m.state.cpl == (outcome ? row.cs & 3 : row.cpl));
  }
}

TEST_CASE("a return whose accessed bit cannot be written changes nothing", "[system]") {
  FakeMachine m;
  m.enter_long();
  m.set_descriptor(0x40, descriptor(0, 0xfffff, access_byte(10, 3), kLongFlag | kPages));
  m.memory.read_only.insert(FakeMachine::kGdt >> 12);
  put_stack<u64>(m, {0x7000, 0x43, 2, 0x7f00, FakeMachine::kData3});
  CHECK(outcome_text(ops::iret(m.ctx, sized(Width::W64))) == "#PF(3)");
  CHECK(m.state.rip == 0x5000);
  CHECK(m.state.cpl == 0);
  m.memory.read_only.clear();
  CHECK(ops::iret(m.ctx, sized(Width::W64)));
  CHECK((m.descriptor_at(0x40) >> 40 & 1) == 1);
}

TEST_CASE("NT in long mode is refused", "[system]") {
  FakeMachine m;
  m.enter_long();
  m.state.set_flags(Flag::kNt);
  CHECK(outcome_text(ops::iret(m.ctx, sized(Width::W64))) == "#GP(0)");
}

namespace {

struct FlagRow {
  const char* name;
  u8 cpl, iopl;
  u64 before, image, after;
};
const FlagRow kFlagRows[] = {
    {"IOPL changes at CPL 0", 0, 0, 0, Flag::kIopl | Flag::kIf, Flag::kIopl | Flag::kIf},
    {"neither IOPL nor IF at CPL 3", 3, 0, 0, Flag::kIopl | Flag::kIf, 0},
    {"IF with IOPL 3", 3, 3, Flag::kIf, 0, 0},
    {"IF stays set below IOPL", 3, 0, Flag::kIf, 0, Flag::kIf},
    {"arithmetic, TF, DF, NT, AC, ID", 3, 0, 0, 0x244dd5, 0x244dd5},
    {"VM, VIF and VIP are not taken", 3, 0, 0, 0x1a0000, 0},
};

}  // namespace

TEST_CASE("the flags that IRETQ restores depend on CPL and IOPL", "[system]") {
  for (const FlagRow& row : kFlagRows) {
    INFO(row.name);
    FakeMachine m;
    m.enter_long();
    m.run_at(row.cpl);
    u64 iopl = u64{row.iopl} << 12;
    m.state.set_flags(row.before | iopl);
    put_stack<u64>(
        m, {0x7000, u64(row.cpl ? 0x1b : 0x08), row.image | 2, 0x7f00, u64(row.cpl ? 0x23 : 0x10)});
    REQUIRE(ops::iret(m.ctx, sized(Width::W64)));
    CHECK(m.state.flags() == (row.after | 2 | (row.cpl ? iopl : 0)));
  }
}

TEST_CASE("IRETD to the same and to an outer level", "[system]") {
  FakeMachine m;
  m.enter_protected();
  SECTION("same level pops three") {
    u64 rsp = m.state.reg(Reg::Rsp);
    put_stack<u32>(m, {0x7000, 0x08, Flag::kIf | 2});
    REQUIRE(ops::iret(m.ctx, sized(Width::W32)));
    CHECK(m.state.reg(Reg::Rsp) == rsp + 12);
    CHECK(m.state.flag(Flag::kIf));
  }
  SECTION("outer level, 16-bit stack keeps the upper half of ESP") {
    m.set_descriptor(0x40, descriptor(0, 0xfffff, access_byte(kReadWrite, 3), 0));
    m.state.reg(Reg::Rsp) = 0x18000;
    put_stack<u32>(m, {0x7000, 0x1b, 2, 0x2345678, 0x43});
    REQUIRE(ops::iret(m.ctx, sized(Width::W32)));
    CHECK(m.state.reg(Reg::Rsp) == 0x15678);
    CHECK(m.state.cpl == 3);
  }
  SECTION("beyond the code's limit") {
    m.set_descriptor(0x40, descriptor(0, 0xfff, access_byte(kCodeRead, 0), kBigFlag));
    put_stack<u32>(m, {0x1000, 0x40, 2});
    CHECK(outcome_text(ops::iret(m.ctx, sized(Width::W32))) == "#GP(0)");
  }
}

TEST_CASE("IRETD to virtual-8086 mode", "[system]") {
  FakeMachine m;
  m.enter_protected();
  put_stack<u32>(m, {0x100, 0x1000, Flag::kVm | Flag::kIf | 2, 0xfffe, 0x2000, 0x3000, 0x4000,
                     0x5000, 0x6000});
  SECTION("from CPL 0") {
    REQUIRE(ops::iret(m.ctx, sized(Width::W32)));
    CHECK(m.state.flag(Flag::kVm));
    CHECK(m.state.cpl == 3);
    CHECK(m.state.seg(Segment::Cs).base == 0x10000);
    CHECK(m.state.seg(Segment::Ss).base == 0x20000);
    CHECK(m.state.seg(Segment::Es).base == 0x30000);
    CHECK(m.state.seg(Segment::Ds).base == 0x40000);
    CHECK(m.state.seg(Segment::Fs).base == 0x50000);
    CHECK(m.state.seg(Segment::Gs).base == 0x60000);
    CHECK(m.state.reg(Reg::Rsp) == 0xfffe);
  }
  SECTION("IP beyond FFFFh") {
    m.memory.put<u32>(m.state.reg(Reg::Rsp), 0x10000);
    CHECK(outcome_text(ops::iret(m.ctx, sized(Width::W32))) == "#GP(0)");
    CHECK_FALSE(m.state.flag(Flag::kVm));
  }
}

TEST_CASE("IRET in virtual-8086 mode needs IOPL 3 and keeps it", "[system]") {
  FakeMachine m;
  m.enter_v86();
  m.memory.put<u16>(0x5800, 0x200);
  m.memory.put<u16>(0x5802, 0x700);
  m.memory.put<u16>(0x5804, Flag::kCf | 2);
  SECTION("with IOPL 3") {
    REQUIRE(ops::iret(m.ctx, sized(Width::W16)));
    CHECK(m.state.seg(Segment::Cs).base == 0x7000);
    CHECK(m.state.rip == 0x200);
    CHECK(m.state.flags() == (Flag::kVm | Flag::kIopl | Flag::kCf | 2));
    CHECK(m.state.reg(Reg::Rsp) == 0x806);
  }
  SECTION("below") {
    m.state.set_flags(m.state.flags() & ~u64{Flag::kIopl});
    CHECK(outcome_text(ops::iret(m.ctx, sized(Width::W16))) == "#GP(0)");
  }
}

TEST_CASE("far RET releases parameters on both stacks", "[system]") {
  FakeMachine m;
  m.enter_protected();
  SECTION("same level") {
    u64 rsp = m.state.reg(Reg::Rsp);
    put_stack<u32>(m, {0x7000, 0x08});
    REQUIRE(ops::ret_far(m.ctx, sized(Width::W32, 8)));
    CHECK(m.state.reg(Reg::Rsp) == rsp + 16);
  }
  SECTION("outer level") {
    put_stack<u32>(m, {0x7000, 0x1b, 0xaaaa, 0xbbbb, 0xb000, 0x23});
    REQUIRE(ops::ret_far(m.ctx, sized(Width::W32, 8)));
    CHECK(m.state.reg(Reg::Rsp) == 0xb008);
    CHECK(m.state.cpl == 3);
    CHECK(m.state.seg(Segment::Ds).has(SegmentRegister::kUnusable));
  }
  SECTION("inwards") {
    m.run_at(3);
    put_stack<u32>(m, {0x7000, 0x08});
    CHECK(outcome_text(ops::ret_far(m.ctx, sized(Width::W32))) == "#GP(8)");
  }
}

TEST_CASE("far RET in 64-bit mode pops by its operand size", "[system]") {
  FakeMachine m;
  m.enter_long();
  u64 rsp = m.state.reg(Reg::Rsp);
  SECTION("64-bit") {
    put_stack<u64>(m, {0x7000, 0x08});
    REQUIRE(ops::ret_far(m.ctx, sized(Width::W64)));
    CHECK(m.state.reg(Reg::Rsp) == rsp + 16);
  }
  SECTION("32-bit") {
    put_stack<u32>(m, {0x7000, 0x08});
    REQUIRE(ops::ret_far(m.ctx, sized(Width::W32)));
    CHECK(m.state.reg(Reg::Rsp) == rsp + 8);
  }
  CHECK(m.state.rip == 0x7000);
}

TEST_CASE("far RET in real mode", "[system]") {
  FakeMachine m;
  m.state.reg(Reg::Rsp) = 0x800;
  m.memory.put<u32>(0x800, 0x2000'0123);
  REQUIRE(ops::ret_far(m.ctx, sized(Width::W16, 4)));
  CHECK(m.state.rip == 0x123);
  CHECK(m.state.seg(Segment::Cs).base == 0x20000);
  CHECK(m.state.reg(Reg::Rsp) == 0x808);
}
