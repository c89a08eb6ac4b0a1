// Event delivery: SDM 3A chapter 6 and 20.3, APM 2 chapter 8.
#include <catch2/catch.hpp>

#include "cpu/interrupts.h"
#include "cpu/ops.h"
#include "fake_machine.h"

using namespace penumbra;
using namespace penumbra::cpu;
using namespace penumbra::cpu::test;

namespace {

constexpr u8 kInterruptGate = 14, kTrapGate = 15;
constexpr u64 kFlags = Flag::kIf | Flag::kTf | Flag::kNt | Flag::kCf | 2;

struct LongMachine : FakeMachine {
  explicit LongMachine(u8 cpl = 0) {
    enter_long();
    run_at(cpl);
    state.set_flags(kFlags);
  }
  void set_gate(u8 vector, u16 selector, u8 access, u8 ist = 0, u64 handler = kHandler) {
    memory.put<u64>(kIdt + vector * 16, gate(selector, static_cast<u32>(handler), access, ist));
    memory.put<u64>(kIdt + vector * 16 + 8, handler >> 32);
  }
};

struct ProtectedMachine : FakeMachine {
  explicit ProtectedMachine(u8 cpl = 0) {
    enter_protected();
    run_at(cpl);
    state.set_flags(kFlags);
  }
  void set_gate(u8 vector, u16 selector, u8 access, u32 handler = kHandler) {
    memory.put<u64>(kIdt + vector * 8, gate(selector, handler, access));
  }
};

u64 word(const FakeMachine& m, unsigned i) {
  return m.memory.get<u64>(m.state.reg(Reg::Rsp) + 8 * i);
}
u32 dword(const FakeMachine& m, unsigned i) {
  return m.memory.get<u32>(m.state.reg(Reg::Rsp) + 4 * i);
}

}  // namespace

TEST_CASE("64-bit interrupt from CPL 3 switches to RSP0", "[system]") {
  LongMachine m(3);
  m.set_gate(0x20, FakeMachine::kCode0, access_byte(kInterruptGate, 0, true));
  auto result = deliver(m.ctx, Event::of(EventSource::External, 0x20));
  REQUIRE(result.kind == Delivery::Kind::Delivered);
  CHECK(m.state.reg(Reg::Rsp) == FakeMachine::kStack0 - 40);
  CHECK(word(m, 0) == 0x5000);
  CHECK(word(m, 1) == FakeMachine::kCode3);
  CHECK(word(m, 2) == kFlags);
  CHECK(word(m, 3) == FakeMachine::kStack3);
  CHECK(word(m, 4) == FakeMachine::kData3);
  CHECK(m.state.cpl == 0);
  CHECK(m.state.rip == FakeMachine::kHandler);
  CHECK(m.state.seg(Segment::Cs).selector == FakeMachine::kCode0);
  CHECK(m.state.seg(Segment::Ss).selector == 0);
  CHECK(m.state.flags() == (Flag::kCf | 2));  // IF, TF, NT cleared
  CHECK(m.environment.changes > 0);
}

TEST_CASE("64-bit exception at CPL 0 aligns the stack and pushes its code", "[system]") {
  LongMachine m;
  m.state.reg(Reg::Rsp) = 0x8ff7;
  m.set_gate(14, FakeMachine::kCode0, access_byte(kTrapGate, 0, true));
  auto result = deliver(m.ctx, Fault::page(0x123456789, 2));
  REQUIRE(result.kind == Delivery::Kind::Delivered);
  CHECK(m.state.cr2 == 0x123456789);
  CHECK(m.state.reg(Reg::Rsp) == 0x8ff0 - 48);
  CHECK(word(m, 0) == 2);
  CHECK(word(m, 1) == 0x5000);
  CHECK(word(m, 3) == (kFlags | Flag::kRf));
  CHECK(word(m, 4) == 0x8ff7);
  CHECK(word(m, 5) == FakeMachine::kData0);
  CHECK(m.state.flag(Flag::kIf));  // a trap gate leaves IF
  CHECK(m.state.seg(Segment::Ss).selector == FakeMachine::kData0);
}

TEST_CASE("IST is used at any level", "[system]") {
  LongMachine m;
  m.set_gate(2, FakeMachine::kCode0, access_byte(kInterruptGate, 0, true), 1);
  REQUIRE(deliver(m.ctx, Event::of(EventSource::Nmi, 2)).kind == Delivery::Kind::Delivered);
  CHECK(m.state.reg(Reg::Rsp) == FakeMachine::kIst1 - 40);
  CHECK(m.state.nmi_blocked);
}

namespace {

struct GateRow {
  const char* name;
  EventSource source;
  u8 cpl;
  u8 access;
  u16 selector;
  const char* long_answer;
  const char* protected_answer;
};

// Vector 21h: the IDT's error code is 21h * 8 + 2, plus EXT unless software caused it.
const GateRow kGates[] = {
    {"interrupt gate", EventSource::External, 3, access_byte(14, 0, true), 0x08, "ok", "ok"},
    {"INT n needs DPL >= CPL", EventSource::SoftwareInt, 3, access_byte(14, 0, true), 0x08,
     "#GP(10a)", "#GP(10a)"},
    {"INT n with DPL 3", EventSource::SoftwareInt, 3, access_byte(14, 3, true), 0x08, "ok", "ok"},
    {"INT1 ignores DPL", EventSource::PrivilegedTrap, 3, access_byte(14, 0, true), 0x08, "ok",
     "ok"},
    {"not present", EventSource::External, 0, access_byte(14, 0, true, false), 0x08, "#NP(10b)",
     "#NP(10b)"},
    {"not present, software", EventSource::SoftwareInt, 0, access_byte(14, 0, true, false), 0x08,
     "#NP(10a)", "#NP(10a)"},
    {"DPL before presence", EventSource::SoftwareInt, 3, access_byte(14, 0, true, false), 0x08,
     "#GP(10a)", "#GP(10a)"},
    {"not a gate", EventSource::External, 0, access_byte(9, 0, true), 0x08, "#GP(10b)", "#GP(10b)"},
    {"call gate", EventSource::External, 0, access_byte(12, 0, true), 0x08, "#GP(10b)", "#GP(10b)"},
    {"a data descriptor", EventSource::External, 0, access_byte(14, 0, false), 0x08, "#GP(10b)",
     "#GP(10b)"},
    {"16-bit gate", EventSource::External, 0, access_byte(6, 0, true), 0x08, "#GP(10b)", "ok"},
    {"null code selector", EventSource::External, 0, access_byte(14, 0, true), 0x00, "#GP(1)",
     "#GP(1)"},
    {"data segment as code", EventSource::External, 0, access_byte(14, 0, true), 0x10, "#GP(11)",
     "#GP(11)"},
    {"code of an outer level", EventSource::External, 0, access_byte(14, 0, true), 0x1b, "#GP(19)",
     "#GP(19)"},
    {"beyond the GDT", EventSource::External, 0, access_byte(14, 0, true), 0x1008, "#GP(1009)",
     "#GP(1009)"},
    {"outer level, software", EventSource::SoftwareInt, 0, access_byte(14, 0, true), 0x1b,
     "#GP(18)", "#GP(18)"},
};

}  // namespace

TEST_CASE("gates are checked as the manual lists", "[system]") {
  for (const GateRow& row : kGates) {
    INFO(row.name);
    LongMachine l(row.cpl);
    l.set_gate(0x21, row.selector, row.access);
    CHECK(outcome_text(deliver_once(l.ctx, Event::of(row.source, 0x21))) == row.long_answer);
    ProtectedMachine p(row.cpl);
    p.set_gate(0x21, row.selector, row.access);
    CHECK(outcome_text(deliver_once(p.ctx, Event::of(row.source, 0x21))) == row.protected_answer);
  }
}

TEST_CASE("64-bit code only behind a 64-bit gate", "[system]") {
  LongMachine m;
  m.set_descriptor(0x40, descriptor(0, 0xfffff, access_byte(kCodeRead, 0), kBigFlag | kPages));
  m.set_gate(0x21, 0x40, access_byte(kInterruptGate, 0, true));
  CHECK(outcome_text(deliver_once(m.ctx, Event::of(EventSource::External, 0x21))) == "#GP(41)");
}

TEST_CASE("a fault of delivery changes nothing", "[system]") {
  LongMachine m(3);
  m.set_gate(0x20, FakeMachine::kCode0, access_byte(kInterruptGate, 0, true));
  SECTION("stack page absent") {
    m.memory.absent.insert((FakeMachine::kStack0 - 1) >> 12);
    CHECK(outcome_text(deliver_once(m.ctx, Event::of(EventSource::External, 0x20))) == "#PF(2)");
  }
  SECTION("stack pointer not canonical") {
    m.memory.put<u64>(FakeMachine::kTss + 4, 0x8000000000000000);
    CHECK(outcome_text(deliver_once(m.ctx, Event::of(EventSource::External, 0x20))) == "#SS(1)");
  }
  SECTION("TSS too short") {
    m.state.tr.limit = 10;
    CHECK(outcome_text(deliver_once(m.ctx, Event::of(EventSource::External, 0x20))) == "#TS(29)");
  }
  SECTION("handler not canonical") {
    m.set_gate(0x20, FakeMachine::kCode0, access_byte(kInterruptGate, 0, true), 0, 1ull << 47);
    CHECK(outcome_text(deliver_once(m.ctx, Event::of(EventSource::External, 0x20))) == "#GP(1)");
  }
  CHECK(m.state.cpl == 3);
  CHECK(m.state.rip == 0x5000);
  CHECK(m.state.flags() == kFlags);
  CHECK(m.state.reg(Reg::Rsp) == FakeMachine::kStack3);
  CHECK(m.state.seg(Segment::Cs).selector == FakeMachine::kCode3);
}

TEST_CASE("32-bit interrupts: same level, inner level, 16-bit gate", "[system]") {
  SECTION("same level pushes three words") {
    ProtectedMachine m;
    m.set_gate(0x20, FakeMachine::kCode0, access_byte(kInterruptGate, 0, true));
    REQUIRE(deliver_once(m.ctx, Event::of(EventSource::External, 0x20)));
    CHECK(m.state.reg(Reg::Rsp) == FakeMachine::kStack0 - 0x100 - 12);
    CHECK(dword(m, 0) == 0x5000);
    CHECK(dword(m, 1) == FakeMachine::kCode0);
    CHECK(dword(m, 2) == kFlags);
  }
  SECTION("inner level pushes five and the error code") {
    ProtectedMachine m(3);
    m.set_gate(13, FakeMachine::kCode0, access_byte(kInterruptGate, 0, true));
    REQUIRE(deliver(m.ctx, Fault::gp(0x18)).kind == Delivery::Kind::Delivered);
    CHECK(m.state.reg(Reg::Rsp) == FakeMachine::kStack0 - 24);
    CHECK(dword(m, 0) == 0x18);
    CHECK(dword(m, 1) == 0x5000);
    CHECK(dword(m, 4) == FakeMachine::kStack3);
    CHECK(dword(m, 5) == FakeMachine::kData3);
    CHECK(m.state.seg(Segment::Ss).selector == FakeMachine::kData0);
    CHECK(m.state.cpl == 0);
  }
  SECTION("16-bit gate pushes words and truncates the offset") {
    ProtectedMachine m;
    m.set_gate(0x20, FakeMachine::kCode0, access_byte(6, 0, true), 0x76000);
    REQUIRE(deliver_once(m.ctx, Event::of(EventSource::External, 0x20)));
    CHECK(m.state.reg(Reg::Rsp) == FakeMachine::kStack0 - 0x100 - 6);
    CHECK(m.state.rip == FakeMachine::kHandler);
  }
  SECTION("offset beyond the limit") {
    ProtectedMachine m;
    m.set_descriptor(0x40, descriptor(0, 0xfff, access_byte(kCodeRead, 0), kBigFlag));
    m.set_gate(0x20, 0x40, access_byte(kInterruptGate, 0, true));
    CHECK(outcome_text(deliver_once(m.ctx, Event::of(EventSource::External, 0x20))) == "#GP(1)");
  }
}

namespace {

struct InnerStackRow {
  const char* name;
  u16 selector;
  u8 access;
  const char* answer;
};
const InnerStackRow kInnerStacks[] = {
    {"good", 0x40, access_byte(kReadWrite, 0), "ok"},
    {"null", 0x00, access_byte(kReadWrite, 0), "#TS(1)"},
    {"RPL", 0x43, access_byte(kReadWrite, 0), "#TS(41)"},
    {"DPL", 0x40, access_byte(kReadWrite, 3), "#TS(41)"},
    {"read-only", 0x40, access_byte(kReadOnly, 0), "#TS(41)"},
    {"not present", 0x40, access_byte(kReadWrite, 0, false, false), "#SS(41)"},
    {"beyond the table", 0x1000, 0, "#TS(1001)"},
};

}  // namespace

TEST_CASE("the inner stack segment of a 32-bit TSS is checked with #TS", "[system]") {
  for (const InnerStackRow& row : kInnerStacks) {
    INFO(row.name);
    ProtectedMachine m(3);
    m.set_gate(0x20, FakeMachine::kCode0, access_byte(kInterruptGate, 0, true));
    m.set_descriptor(0x40, descriptor(0, 0xfffff, row.access, kBigFlag | kPages));
    m.memory.put<u16>(FakeMachine::kTss + 8, row.selector);
    CHECK(outcome_text(deliver_once(m.ctx, Event::of(EventSource::External, 0x20))) == row.answer);
  }
}

TEST_CASE("virtual-8086 mode enters CPL 0 with its data segments on the stack", "[system]") {
  FakeMachine m;
  m.enter_v86();
  m.memory.put<u64>(FakeMachine::kIdt + 0x20 * 8,
                    gate(FakeMachine::kCode0, FakeMachine::kHandler, access_byte(14, 0, true)));
  REQUIRE(deliver_once(m.ctx, Event::of(EventSource::External, 0x20)));
  CHECK(m.state.reg(Reg::Rsp) == FakeMachine::kStack0 - 36);
  CHECK(dword(m, 0) == 0x100);
  CHECK(dword(m, 1) == 0x500);
  CHECK((dword(m, 2) & Flag::kVm) != 0);
  CHECK(dword(m, 3) == 0x800);
  for (unsigned i = 4; i < 9; ++i) CHECK(dword(m, i) == 0x500);
  CHECK_FALSE(m.state.flag(Flag::kVm));
  CHECK(m.state.cpl == 0);
  for (Segment s : {Segment::Ds, Segment::Es, Segment::Fs, Segment::Gs}) {
    CHECK(m.state.seg(s).selector == 0);
    CHECK(m.state.seg(s).has(SegmentRegister::kUnusable));
  }
}

TEST_CASE("INT n in virtual-8086 mode needs IOPL 3, INT3 does not", "[system]") {
  FakeMachine m;
  m.enter_v86();
  m.state.set_flags(m.state.flags() & ~u64{Flag::kIopl});
  m.memory.put<u64>(FakeMachine::kIdt + 3 * 8,
                    gate(FakeMachine::kCode0, FakeMachine::kHandler, access_byte(14, 3, true)));
  CHECK(outcome_text(deliver_once(m.ctx, Event::of(EventSource::SoftwareInt, 3))) == "#GP(0)");
  CHECK(outcome_text(deliver_once(m.ctx, Event::of(EventSource::SoftwareTrap, 3))) == "ok");
}

TEST_CASE("real mode uses the vector table", "[system]") {
  FakeMachine m;
  m.state.idtr = {0, 0x3ff};
  m.state.seg(Segment::Cs) = {0x10000, 0xffff, 0x9b, 0x1000};
  m.state.rip = 0x200;
  m.state.reg(Reg::Rsp) = 0x800;
  m.state.set_flags(kFlags);
  m.memory.put<u32>(0x21 * 4, 0x2000'0300);
  Operands ops;
  ops.immediate = 0x21;
  ops.length = 2;
  REQUIRE(ops::int_n(m.ctx, ops));
  CHECK(m.state.rip == 0x300);
  CHECK(m.state.seg(Segment::Cs).base == 0x20000);
  CHECK(m.memory.get<u16>(0x7fa) == 0x202);
  CHECK(m.memory.get<u16>(0x7fc) == 0x1000);
  CHECK(m.memory.get<u16>(0x7fe) == kFlags);
  CHECK_FALSE(m.state.flag(Flag::kIf | Flag::kTf));
  m.state.idtr.limit = 0x83;
  CHECK(outcome_text(ops::int_n(m.ctx, ops)) == "#GP(0)");
}

TEST_CASE("a faulting INT n leaves rip at the instruction", "[system]") {
  LongMachine m(3);
  m.set_gate(0x80, FakeMachine::kCode0, access_byte(kInterruptGate, 0, true));
  Operands ops;
  ops.immediate = 0x80;
  ops.length = 2;
  CHECK(outcome_text(ops::int_n(m.ctx, ops)) == "#GP(402)");
  CHECK(m.state.rip == 0x5000);
  m.set_gate(0x80, FakeMachine::kCode0, access_byte(kInterruptGate, 3, true));
  REQUIRE(ops::int_n(m.ctx, ops));
  CHECK(word(m, 0) == 0x5002);
}

// -- double and triple faults (SDM 3A table 6-5)
// -----------------------------------------------------

namespace {

/// The vector that is delivered when delivering `first` meets an absent gate (#NP) or, with
/// `second` Pf, an absent IDT page. 0xff: shutdown.
u8 vector_after(Vector first, bool page_fault, bool software) {
  LongMachine m;
  for (u8 v = 0; v < 32; ++v)
    m.set_gate(v, FakeMachine::kCode0, access_byte(kInterruptGate, 0, true), 0, 0x6000 + v);
  u8 vector = static_cast<u8>(first);
  if (page_fault) {
    // The handler's code descriptor lies on an absent page of a long GDT; #PF's own gate uses 08h.
    m.state.gdtr.limit = 0xffff;
    m.set_gate(vector, 0xe008, access_byte(kInterruptGate, 0, true));
    m.memory.absent.insert((FakeMachine::kGdt + 0xe008) >> 12);
  } else {
    m.set_gate(vector, FakeMachine::kCode0, access_byte(kInterruptGate, 0, true, false));
  }
  auto source = software ? EventSource::SoftwareInt : EventSource::Exception;
  Event event = software ? Event::of(source, vector) : Event::of(Fault::of(first));
  auto result = deliver(m.ctx, event);
  if (result.kind == Delivery::Kind::Shutdown) return 0xff;
  return static_cast<u8>(m.state.rip - 0x6000);
}

}  // namespace

TEST_CASE("which pairs of exceptions make a double fault", "[system]") {
  CHECK(vector_after(Vector::De, false, false) == 8);  // contributory, contributory
  CHECK(vector_after(Vector::Gp, false, false) == 8);
  CHECK(vector_after(Vector::Pf, false, false) == 8);   // page fault, contributory
  CHECK(vector_after(Vector::Ud, false, false) == 11);  // benign, contributory: in series
  CHECK(vector_after(Vector::De, true, false) == 14);   // contributory, page fault: in series
  CHECK(vector_after(Vector::Pf, true, false) == 8);    // page fault, page fault
  CHECK(vector_after(Vector::Ud, true, false) == 14);
  CHECK(vector_after(Vector::Gp, false, true) == 11);  // INT 13 is benign
  CHECK(vector_after(Vector::Df, false, false) == 0xff);
  CHECK(vector_after(Vector::Df, true, false) == 0xff);
}

TEST_CASE("a double fault pushes a zero error code", "[system]") {
  LongMachine m;
  m.set_gate(8, FakeMachine::kCode0, access_byte(kInterruptGate, 0, true), 1);
  REQUIRE(deliver(m.ctx, Fault::gp(0x18)).kind == Delivery::Kind::Delivered);
  CHECK(m.state.rip == FakeMachine::kHandler);
  CHECK(word(m, 0) == 0);
  CHECK(word(m, 1) == 0x5000);
}

TEST_CASE("a triple fault tells its story", "[system]") {
  LongMachine m;
  m.state.idtr.limit = 0;
  auto result = deliver(m.ctx, Fault::page(0xdead000, 0));
  REQUIRE(result.kind == Delivery::Kind::Shutdown);
  CHECK(m.state.activity == Activity::Shutdown);
  CHECK(result.detail.find("#PF") != std::string::npos);
  CHECK(result.detail.find("#DF") != std::string::npos);
  CHECK(result.detail.find("CR2 0xdead000") != std::string::npos);
  CHECK(result.detail.find("0008:5000") != std::string::npos);
}

TEST_CASE("debug exceptions gather causes and clear DR7.GD", "[system]") {
  LongMachine m;
  m.set_gate(1, FakeMachine::kCode0, access_byte(kInterruptGate, 0, true));
  m.state.dr6 = 0xffff0ff1;
  m.state.dr7 = 0x2400;
  Fault fault = Fault::of(Vector::Db);
  fault.dr6 = bit(14) | 2;
  REQUIRE(deliver(m.ctx, fault).kind == Delivery::Kind::Delivered);
  CHECK(m.state.dr6 == (0xffff0ff2 | bit(14)));
  CHECK(m.state.dr7 == 0x400);
}

TEST_CASE("halted processors run again", "[system]") {
  LongMachine m;
  m.set_gate(0x20, FakeMachine::kCode0, access_byte(kInterruptGate, 0, true));
  m.state.activity = Activity::Halted;
  m.state.interrupt_shadow = 1;
  REQUIRE(deliver(m.ctx, Event::of(EventSource::External, 0x20)).kind == Delivery::Kind::Delivered);
  CHECK(m.state.activity == Activity::Running);
  CHECK(m.state.interrupt_shadow == 0);
}
