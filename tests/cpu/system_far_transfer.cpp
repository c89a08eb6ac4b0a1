// Far JMP and CALL, call gates, tasks; SDM 2 JMP and CALL, SDM 3A 5.8 and 7.3, APM 2 4.9.
#include <catch2/catch.hpp>

#include "cpu/interrupts.h"
#include "cpu/ops.h"
#include "cpu/system/forms.h"
#include "fake_machine.h"

using namespace penumbra;
using namespace penumbra::cpu;
using namespace penumbra::cpu::test;

namespace {

constexpr u8 kCallGate = 12, kCallGate16 = 4, kTaskGate = 5;

struct DirectRow {
  const char* name;
  u8 cpl;
  u16 selector;
  u8 access;
  const char* answer;
};

// The descriptor at 40h, reached directly: SDM 3A 5.8.1.
const DirectRow kDirect[] = {
    {"same level", 0, 0x40, access_byte(kCodeRead, 0), "ok"},
    {"RPL above CPL", 0, 0x43, access_byte(kCodeRead, 0), "#GP(40)"},
    {"outer code", 0, 0x40, access_byte(kCodeRead, 3), "#GP(40)"},
    {"inner code", 3, 0x43, access_byte(kCodeRead, 0), "#GP(40)"},
    {"RPL below CPL", 3, 0x40, access_byte(kCodeRead, 3), "ok"},
    {"conforming inner code", 3, 0x43, access_byte(kConforming, 0), "ok"},
    {"conforming, any RPL", 0, 0x43, access_byte(kConforming, 0), "ok"},
    {"conforming outer code", 0, 0x40, access_byte(kConforming, 3), "#GP(40)"},
    {"data", 0, 0x40, access_byte(kReadWrite, 0), "#GP(40)"},
    {"not present", 0, 0x40, access_byte(kCodeRead, 0, false, false), "#NP(40)"},
    {"null", 0, 0x03, 0, "#GP(0)"},
    {"an LDT", 0, 0x40, access_byte(2, 0, true), "#GP(40)"},
};

}  // namespace

TEST_CASE("direct far transfers", "[system]") {
  for (const DirectRow& row : kDirect) {
    for (bool call : {false, true}) {
      INFO(row.name << (call ? ", CALL" : ", JMP"));
      FakeMachine m;
      m.enter_protected();
      m.run_at(row.cpl);
      m.set_descriptor(0x40, descriptor(0, 0xfffff, row.access, kBigFlag | kPages));
      u64 rsp = m.state.reg(Reg::Rsp);
      Operands pointer = far_pointer(row.selector, 0x7000);
      auto outcome = call ? ops::call_far(m.ctx, pointer) : ops::jmp_far(m.ctx, pointer);
      CHECK(outcome_text(outcome) == row.answer);
      CHECK(m.state.rip == (outcome ? 0x7000 : 0x5000));
      CHECK(m.state.cpl == row.cpl);
      CHECK(m.state.reg(Reg::Rsp) == (outcome && call ? rsp - 8 : rsp));
      if (!outcome) continue;
      CHECK(m.state.seg(Segment::Cs).selector == (0x40 | row.cpl));
      if (call) CHECK(m.memory.get<u32>(rsp - 8) == 0x5007);
    }
  }
}

TEST_CASE("the offset must lie within the target", "[system]") {
  FakeMachine m;
  m.enter_protected();
  m.set_descriptor(0x40, descriptor(0, 0xfff, access_byte(kCodeRead, 0), kBigFlag));
  CHECK(outcome_text(ops::jmp_far(m.ctx, far_pointer(0x40, 0x1000))) == "#GP(0)");
  CHECK(outcome_text(ops::jmp_far(m.ctx, far_pointer(0x40, 0xfff))) == "ok");
}

TEST_CASE("far transfers between 64-bit and compatibility code", "[system]") {
  FakeMachine m;
  m.enter_long();
  m.set_descriptor(0x40, descriptor(0, 0xfffff, access_byte(kCodeRead, 0), kBigFlag | kPages));
  m.set_descriptor(0x48, descriptor(0, 0xfffff, access_byte(kCodeRead, 0), kBigFlag | kLongFlag));
  Operands pointer = memory_operands(0x2000, 6, Width::W64);  // REX.W changes nothing on AMD
  m.memory.put<u32>(0x2000, 0x7000);
  m.memory.put<u16>(0x2004, 0x40);
  REQUIRE(ops::jmp_far(m.ctx, pointer));
  CHECK_FALSE(in_long_mode(m.state));
  CHECK(outcome_text(ops::jmp_far(m.ctx, far_pointer(0x48, 0x7000))) == "#GP(48)");
  REQUIRE(ops::jmp_far(m.ctx, far_pointer(FakeMachine::kCode0, 0x7100)));
  CHECK(in_long_mode(m.state));
  m.memory.put<u16>(0x2004, FakeMachine::kCode0);
  CHECK(outcome_text(ops::call_far(m.ctx, pointer)) == "ok");
  CHECK(m.state.reg(Reg::Rsp) == FakeMachine::kStack0 - 0x110);
}

TEST_CASE("real-mode far transfers", "[system]") {
  FakeMachine m;
  m.state.seg(Segment::Cs) = {0x10000, 0xffff, 0x9b, 0x1000};
  m.state.rip = 0x100;
  m.state.reg(Reg::Rsp) = 0x800;
  Operands pointer = far_pointer(0x2000, 0x300, Width::W16);
  pointer.length = 5;
  REQUIRE(ops::call_far(m.ctx, pointer));
  CHECK(m.state.seg(Segment::Cs).base == 0x20000);
  CHECK(m.state.rip == 0x300);
  CHECK(m.memory.get<u32>(0x7fc) == 0x1000'0105);
}

namespace {

struct GateRow {
  const char* name;
  u8 cpl;
  u16 selector;  ///< of the gate, at 40h
  u8 gate_access;
  u16 code;  ///< 48h: code of level 0 or as `code_access`
  u8 code_access;
  const char* call_answer;
  const char* jmp_answer;
};

const GateRow kGates[] = {
    {"to the inner level", 3, 0x43, access_byte(kCallGate, 3, true), 0x48,
     access_byte(kCodeRead, 0), "ok", "#GP(48)"},
    {"same level", 0, 0x40, access_byte(kCallGate, 0, true), 0x48, access_byte(kCodeRead, 0), "ok",
     "ok"},
    {"gate DPL below CPL", 3, 0x43, access_byte(kCallGate, 2, true), 0x48,
     access_byte(kCodeRead, 0), "#GP(40)", "#GP(40)"},
    {"gate DPL below RPL", 0, 0x41, access_byte(kCallGate, 0, true), 0x48,
     access_byte(kCodeRead, 0), "#GP(40)", "#GP(40)"},
    {"gate not present", 3, 0x43, access_byte(kCallGate, 3, true, false), 0x48,
     access_byte(kCodeRead, 0), "#NP(40)", "#NP(40)"},
    {"null code", 3, 0x43, access_byte(kCallGate, 3, true), 0x00, 0, "#GP(0)", "#GP(0)"},
    {"data", 3, 0x43, access_byte(kCallGate, 3, true), 0x48, access_byte(kReadWrite, 0), "#GP(48)",
     "#GP(48)"},
    {"outer code", 0, 0x40, access_byte(kCallGate, 3, true), 0x48, access_byte(kCodeRead, 3),
     "#GP(48)", "#GP(48)"},
    {"code not present", 3, 0x43, access_byte(kCallGate, 3, true), 0x48,
     access_byte(kCodeRead, 0, false, false), "#NP(48)", "#GP(48)"},
    {"conforming code", 3, 0x43, access_byte(kCallGate, 3, true), 0x48, access_byte(kConforming, 0),
     "ok", "ok"},
};

}  // namespace

TEST_CASE("call gates check gate and code", "[system]") {
  for (const GateRow& row : kGates) {
    for (bool long_mode : {false, true}) {
      for (bool call : {false, true}) {
        INFO(row.name << (call ? ", CALL" : ", JMP") << (long_mode ? ", 64-bit" : ", 32-bit"));
        FakeMachine m;
        long_mode ? m.enter_long() : m.enter_protected();
        m.run_at(row.cpl);
        u8 code_flags = (long_mode ? kLongFlag : kBigFlag) | kPages;
        m.set_descriptor(0x38, gate(row.code, 0x7000, row.gate_access));
        m.memory.put<u64>(FakeMachine::kGdt + 0x50, gate(row.code, 0x7000, row.gate_access));
        m.memory.put<u64>(FakeMachine::kGdt + 0x58, 0);
        m.set_descriptor(0x48, descriptor(0, 0xfffff, row.code_access, code_flags));
        u16 selector = static_cast<u16>(0x50 | (row.selector & 3));
        Operands pointer = memory_operands(0x2000, 6, Width::W32);
        m.memory.put<u16>(0x2004, selector);
        auto outcome = call ? ops::call_far(m.ctx, pointer) : ops::jmp_far(m.ctx, pointer);
        std::string answer = call ? row.call_answer : row.jmp_answer;
        if (auto at = answer.find("(40)"); at != std::string::npos) answer.replace(at, 4, "(50)");
        CHECK(outcome_text(outcome) == answer);
        if (outcome) CHECK(m.state.rip == 0x7000);
      }
    }
  }
}

TEST_CASE("a call gate to the inner level copies parameters", "[system]") {
  FakeMachine m;
  m.enter_protected();
  m.run_at(3);
  m.set_descriptor(0x40, gate(FakeMachine::kCode0, 0x7000, access_byte(kCallGate, 3, true), 2));
  m.memory.put<u32>(FakeMachine::kStack3, 0x1111);
  m.memory.put<u32>(FakeMachine::kStack3 + 4, 0x2222);
  REQUIRE(ops::call_far(m.ctx, far_pointer(0x43, 0)));
  u64 rsp = m.state.reg(Reg::Rsp);
  CHECK(rsp == FakeMachine::kStack0 - 24);
  const u32 expected[] = {0x5007,
                          FakeMachine::kCode3,
                          0x1111,
                          0x2222,
                          static_cast<u32>(FakeMachine::kStack3),
                          FakeMachine::kData3};
  for (unsigned i = 0; i < 6; ++i) CHECK(m.memory.get<u32>(rsp + 4 * i) == expected[i]);
  CHECK(m.state.cpl == 0);
  CHECK(m.state.seg(Segment::Cs).selector == FakeMachine::kCode0);
  CHECK(m.state.seg(Segment::Ss).selector == FakeMachine::kData0);
}

TEST_CASE("a 16-bit call gate pushes words", "[system]") {
  FakeMachine m;
  m.enter_protected();
  m.run_at(3);
  m.set_descriptor(0x40, gate(FakeMachine::kCode0, 0x9'7000, access_byte(kCallGate16, 3, true), 1));
  m.memory.put<u16>(FakeMachine::kStack3, 0x1111);
  REQUIRE(ops::call_far(m.ctx, far_pointer(0x43, 0)));
  CHECK(m.state.rip == 0x7000);
  CHECK(m.state.reg(Reg::Rsp) == FakeMachine::kStack0 - 10);
  CHECK(m.memory.get<u16>(FakeMachine::kStack0 - 6) == 0x1111);
}

TEST_CASE("a 64-bit call gate pushes four quadwords on RSP0", "[system]") {
  FakeMachine m;
  m.enter_long();
  m.run_at(3);
  m.set_descriptor(0x40, gate(FakeMachine::kCode0, 0x7000, access_byte(kCallGate, 3, true)));
  m.memory.put<u64>(FakeMachine::kGdt + 0x48, 0x1);  // offset 63..32
  Operands pointer = memory_operands(0x2000, 6, Width::W32);
  m.memory.put<u16>(0x2004, 0x43);
  REQUIRE(ops::call_far(m.ctx, pointer));
  CHECK(m.state.rip == 0x1'0000'7000);
  CHECK(m.state.reg(Reg::Rsp) == FakeMachine::kStack0 - 32);
  CHECK(m.memory.get<u64>(FakeMachine::kStack0 - 32) == 0x5003);
  CHECK(m.memory.get<u64>(FakeMachine::kStack0 - 16) == FakeMachine::kStack3);
  CHECK(m.state.seg(Segment::Ss).selector == 0);
  SECTION("a type in the upper half is refused") {
    m.run_at(3);
    m.memory.put<u64>(FakeMachine::kGdt + 0x48, 1ull << 40);
    CHECK(outcome_text(ops::call_far(m.ctx, pointer)) == "#GP(40)");
  }
}

TEST_CASE("a failing inner call leaves the caller as it was", "[system]") {
  FakeMachine m;
  m.enter_protected();
  m.run_at(3);
  m.set_descriptor(0x40, gate(FakeMachine::kCode0, 0x7000, access_byte(kCallGate, 3, true)));
  m.memory.absent.insert((FakeMachine::kStack0 - 1) >> 12);
  CHECK(outcome_text(ops::call_far(m.ctx, far_pointer(0x43, 0))) == "#PF(2)");
  CHECK(m.state.cpl == 3);
  CHECK(m.state.rip == 0x5000);
  CHECK(m.state.reg(Reg::Rsp) == FakeMachine::kStack3);
  CHECK(m.state.seg(Segment::Ss).selector == FakeMachine::kData3);
}

// -- tasks
// -------------------------------------------------------------------------------------------

namespace {

/// A second task: TSS at kNewTss under selector 60h, CPL 0, entered at 7000h.
struct TaskMachine : FakeMachine {
  static constexpr u64 kNewTss = 0x4400;
  static constexpr u16 kNewSelector = 0x60, kGateSelector = 0x68;

  TaskMachine() {
    enter_protected();
    set_descriptor(kNewSelector, descriptor(kNewTss, 0x67, access_byte(9, 0, true), 0));
    set_descriptor(kGateSelector, gate(kNewSelector, 0, access_byte(kTaskGate, 3, true)));
    memory.put<u32>(kNewTss + 0x20, 0x7000);
    memory.put<u32>(kNewTss + 0x24, 2);
    memory.put<u32>(kNewTss + 0x28, 0xa0a0);  // EAX
    memory.put<u32>(kNewTss + 0x38, 0x8800);  // ESP
    memory.put<u16>(kNewTss + 0x48, kData0);  // ES
    memory.put<u16>(kNewTss + 0x4c, kCode0);
    memory.put<u16>(kNewTss + 0x50, kData0);
    memory.put<u16>(kNewTss + 0x54, kData0);
    state.reg(Reg::Rcx) = 0xc1c1;
  }
  u8 type_of(u16 selector) const { return (descriptor_at(selector) >> 40) & 15; }
};

}  // namespace

TEST_CASE("JMP to a task saves the old one and frees it", "[system]") {
  TaskMachine m;
  REQUIRE(ops::jmp_far(m.ctx, far_pointer(TaskMachine::kNewSelector, 0)));
  CHECK(m.state.rip == 0x7000);
  CHECK(m.state.reg(Reg::Rax) == 0xa0a0);
  CHECK(m.state.reg(Reg::Rsp) == 0x8800);
  CHECK(m.state.tr.selector == TaskMachine::kNewSelector);
  CHECK(m.state.tr.base == TaskMachine::kNewTss);
  CHECK((m.state.cr0 & Cr0::kTs) != 0);
  CHECK(m.type_of(TaskMachine::kNewSelector) == 11);
  CHECK(m.type_of(FakeMachine::kTssSelector) == 9);
  CHECK(m.memory.get<u32>(FakeMachine::kTss + 0x20) == 0x5007);
  CHECK(m.memory.get<u32>(FakeMachine::kTss + 0x2c) == 0xc1c1);
  CHECK(m.memory.get<u16>(FakeMachine::kTss + 0x4c) == FakeMachine::kCode0);
  CHECK_FALSE(m.state.flag(Flag::kNt));
}

TEST_CASE("CALL to a task nests, IRET returns", "[system]") {
  TaskMachine m;
  REQUIRE(ops::call_far(m.ctx, far_pointer(TaskMachine::kGateSelector, 0)));
  CHECK(m.state.flag(Flag::kNt));
  CHECK(m.memory.get<u16>(TaskMachine::kNewTss) == FakeMachine::kTssSelector);
  CHECK(m.type_of(FakeMachine::kTssSelector) == 11);
  Operands iret;
  iret.length = 1;
  REQUIRE(ops::iret(m.ctx, iret));
  CHECK(m.state.rip == 0x5007);
  CHECK(m.state.reg(Reg::Rcx) == 0xc1c1);
  CHECK_FALSE(m.state.flag(Flag::kNt));
  CHECK(m.type_of(TaskMachine::kNewSelector) == 9);
  CHECK(m.memory.get<u32>(TaskMachine::kNewTss + 0x20) == 0x7001);
  CHECK((m.memory.get<u32>(TaskMachine::kNewTss + 0x24) & Flag::kNt) == 0);
}

TEST_CASE("a task gate in the IDT pushes the error code on the new stack", "[system]") {
  TaskMachine m;
  m.memory.put<u64>(FakeMachine::kIdt + 8 * 8,
                    gate(TaskMachine::kNewSelector, 0, access_byte(kTaskGate, 0, true)));
  REQUIRE(deliver(m.ctx, Fault::of(Vector::Df)).kind == Delivery::Kind::Delivered);
  CHECK(m.state.rip == 0x7000);
  CHECK(m.state.reg(Reg::Rsp) == 0x87fc);
  CHECK(m.memory.get<u32>(0x87fc) == 0);
  CHECK(m.memory.get<u32>(FakeMachine::kTss + 0x20) == 0x5000);
}

TEST_CASE("tasks that cannot be entered leave the old one running", "[system]") {
  TaskMachine m;
  auto text = [&](u16 selector) {
    return outcome_text(ops::jmp_far(m.ctx, far_pointer(selector, 0)));
  };
  SECTION("busy") { CHECK(text(FakeMachine::kTssSelector) == "#GP(28)"); }
  SECTION("not present") {
    m.set_descriptor(0x60,
                     descriptor(TaskMachine::kNewTss, 0x67, access_byte(9, 0, true, false), 0));
    CHECK(text(0x60) == "#NP(60)");
  }
  SECTION("too short") {
    m.set_descriptor(0x60, descriptor(TaskMachine::kNewTss, 0x66, access_byte(9, 0, true), 0));
    CHECK(text(0x60) == "#TS(60)");
  }
  SECTION("not allowed") {
    m.run_at(3);
    CHECK(text(0x63) == "#GP(60)");
  }
  SECTION("old TSS on a read-only page") {
    m.memory.read_only.insert(FakeMachine::kTss >> 12);
    CHECK(text(0x60) == "#PF(3)");
    CHECK(m.type_of(0x60) == 9);
  }
  CHECK(m.state.rip == 0x5000);
  CHECK(m.state.tr.selector == FakeMachine::kTssSelector);
}

TEST_CASE("a task is saved as a whole or not at all", "[system]") {
  TaskMachine m;
  constexpr u64 kSplitTss = 0xcfd0;  // its second half lies on the next page
  m.state.tr.base = kSplitTss;
  m.memory.read_only.insert((kSplitTss >> 12) + 1);
  CHECK(outcome_text(ops::jmp_far(m.ctx, far_pointer(0x60, 0))) == "#PF(3)");
  CHECK(m.memory.get<u32>(kSplitTss + 0x20) == 0);
}

TEST_CASE("bad segments of a new task are its own faults", "[system]") {
  TaskMachine m;
  m.memory.put<u16>(TaskMachine::kNewTss + 0x50, FakeMachine::kCode0);  // SS
  CHECK(outcome_text(ops::jmp_far(m.ctx, far_pointer(0x60, 0))) == "#TS(8)");
  CHECK(m.state.tr.selector == 0x60);
  CHECK(m.state.rip == 0x7000);
}

TEST_CASE("a 16-bit task", "[system]") {
  TaskMachine m;
  m.set_descriptor(0x60, descriptor(TaskMachine::kNewTss, 0x2b, access_byte(1, 0, true), 0));
  for (u32 at = 0; at < 0x68; at += 2) m.memory.put<u16>(TaskMachine::kNewTss + at, 0);
  m.memory.put<u16>(TaskMachine::kNewTss + 0x0e, 0x7000);
  m.memory.put<u16>(TaskMachine::kNewTss + 0x12, 0xa0a0);
  m.memory.put<u16>(TaskMachine::kNewTss + 0x1a, 0x8800);
  m.memory.put<u16>(TaskMachine::kNewTss + 0x24, FakeMachine::kCode0);
  m.memory.put<u16>(TaskMachine::kNewTss + 0x26, FakeMachine::kData0);
  REQUIRE(ops::jmp_far(m.ctx, far_pointer(0x60, 0)));
  CHECK(m.state.rip == 0x7000);
  CHECK(m.state.reg(Reg::Rax) == 0xa0a0);
  CHECK(m.state.seg(Segment::Ss).selector == FakeMachine::kData0);
  CHECK(m.type_of(0x60) == 3);
}

TEST_CASE("no tasks in long mode", "[system]") {
  FakeMachine m;
  m.enter_long();
  m.memory.put<u64>(FakeMachine::kGdt + 0x60, descriptor(0x4400, 0x67, access_byte(9, 0, true), 0));
  m.memory.put<u64>(FakeMachine::kGdt + 0x68, 0);
  Operands pointer = memory_operands(0x2000, 6, Width::W32);
  m.memory.put<u16>(0x2004, 0x60);
  CHECK(outcome_text(ops::jmp_far(m.ctx, pointer)) == "#GP(60)");
}
