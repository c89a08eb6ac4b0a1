// MOV Sreg and the addresses that segments allow; SDM 2 MOV, SDM 3A 5.3 to 5.6.
#include <catch2/catch.hpp>

#include "cpu/segmentation.h"
#include "cpu/system/forms.h"
#include "fake_machine.h"

using namespace penumbra;
using namespace penumbra::cpu;
using namespace penumbra::cpu::test;

namespace {

constexpr u8 kFlat = kBigFlag | kPages;

Operands load_from_ax(Segment segment) {
  Operands ops;
  ops.at[0] = segment_operand(segment);
  ops.at[1] = gpr_operand(0, 2);
  ops.count = 2;
  ops.length = 2;
  return ops;
}

Outcome mov_sreg(FakeMachine& m, Segment segment, u16 selector) {
  m.state.reg(Reg::Rax) = selector;
  return ops::mov_segment(m.ctx, load_from_ax(segment));
}

struct LoadRow {
  const char* name;
  Segment segment;
  u8 cpl;
  u16 selector;
  u8 access;
  const char* protected_answer;
  const char* long_answer;
};

// The descriptor at 40h has the given access byte; 1000h lies beyond the table.
const LoadRow kLoads[] = {
    {"data, same level", Segment::Ds, 0, 0x40, access_byte(kReadWrite, 0), "ok", "ok"},
    {"read-only data", Segment::Es, 0, 0x40, access_byte(kReadOnly, 0), "ok", "ok"},
    {"data of an outer level", Segment::Fs, 0, 0x40, access_byte(kReadWrite, 3), "ok", "ok"},
    {"RPL above DPL", Segment::Ds, 0, 0x41, access_byte(kReadWrite, 0), "#GP(40)", "#GP(40)"},
    {"CPL above DPL", Segment::Gs, 3, 0x43, access_byte(kReadWrite, 2), "#GP(40)", "#GP(40)"},
    {"conforming code ignores levels", Segment::Ds, 3, 0x43, access_byte(kConforming, 0), "ok",
     "ok"},
    {"readable code", Segment::Ds, 0, 0x40, access_byte(kCodeRead, 0), "ok", "ok"},
    {"execute-only code", Segment::Ds, 0, 0x40, access_byte(kExecuteOnly, 0), "#GP(40)", "#GP(40)"},
    {"system segment", Segment::Ds, 0, 0x40, access_byte(2, 0, true), "#GP(40)", "#GP(40)"},
    {"not present", Segment::Ds, 0, 0x40, access_byte(kReadWrite, 0, false, false), "#NP(40)",
     "#NP(40)"},
    {"type before presence", Segment::Ds, 0, 0x40, access_byte(kExecuteOnly, 0, false, false),
     "#GP(40)", "#GP(40)"},
    {"null data", Segment::Ds, 3, 0x03, 0, "ok", "ok"},
    {"beyond the limit", Segment::Ds, 0, 0x1000, 0, "#GP(1000)", "#GP(1000)"},
    {"no LDT", Segment::Ds, 0, 0x44, 0, "#GP(44)", "#GP(44)"},
    {"stack", Segment::Ss, 0, 0x40, access_byte(kReadWrite, 0), "ok", "ok"},
    {"stack RPL", Segment::Ss, 0, 0x43, access_byte(kReadWrite, 0), "#GP(40)", "#GP(40)"},
    {"stack DPL", Segment::Ss, 3, 0x43, access_byte(kReadWrite, 0), "#GP(40)", "#GP(40)"},
    {"stack read-only", Segment::Ss, 0, 0x40, access_byte(kReadOnly, 0), "#GP(40)", "#GP(40)"},
    {"stack not present is #SS", Segment::Ss, 0, 0x40, access_byte(kReadWrite, 0, false, false),
     "#SS(40)", "#SS(40)"},
    {"null stack", Segment::Ss, 0, 0x00, 0, "#GP(0)", "ok"},
    {"null stack, RPL is not CPL", Segment::Ss, 0, 0x01, 0, "#GP(0)", "#GP(0)"},
    {"null stack at CPL 3", Segment::Ss, 3, 0x03, 0, "#GP(0)", "#GP(0)"},
    {"CS", Segment::Cs, 0, 0x08, 0, "#UD", "#UD"},
};

void check_load(const LoadRow& row, bool long_mode) {
  INFO(row.name << (long_mode ? ", 64-bit" : ", 32-bit"));
  FakeMachine m;
  long_mode ? m.enter_long() : m.enter_protected();
  m.run_at(row.cpl);
  if ((row.selector & 0xfffc) == 0x40)
    m.set_descriptor(0x40, descriptor(0x1234, 0xfffff, row.access, kFlat));
  SegmentRegister before = m.state.seg(row.segment);
  auto outcome = mov_sreg(m, row.segment, row.selector);
  CHECK(outcome_text(outcome) == (long_mode ? row.long_answer : row.protected_answer));
  const SegmentRegister& after = m.state.seg(row.segment);
  if (!outcome) {
    CHECK(after.selector == before.selector);
    CHECK(after.base == before.base);
    return;
  }
  CHECK(after.selector == row.selector);
  if (is_null(row.selector)) {
    CHECK(after.has(SegmentRegister::kUnusable));
  } else {
    CHECK(after.base == 0x1234);
    CHECK(after.limit == 0xffffffff);
  }
}

}  // namespace

TEST_CASE("segment loads check what the manual lists", "[system]") {
  for (const LoadRow& row : kLoads) {
    check_load(row, false);
    check_load(row, true);
  }
}

TEST_CASE("a load sets the accessed bit, and nothing when the table is read-only", "[system]") {
  FakeMachine m;
  m.enter_protected();
  u8 access = access_byte(2, 0);
  m.set_descriptor(0x40, descriptor(0, 0xfffff, access, kFlat));
  SECTION("written") {
    CHECK(mov_sreg(m, Segment::Ds, 0x40));
    CHECK(m.memory.get<u8>(FakeMachine::kGdt + 0x45) == (access | 1));
    CHECK(m.state.seg(Segment::Ds).has(SegmentRegister::kAccessed));
  }
  SECTION("refused") {
    m.memory.read_only.insert(FakeMachine::kGdt >> 12);
    CHECK(outcome_text(mov_sreg(m, Segment::Ds, 0x40)) == "#PF(3)");
    CHECK(m.state.seg(Segment::Ds).selector == FakeMachine::kData0);
  }
}

TEST_CASE("only a load of SS leaves an interrupt shadow", "[system]") {
  FakeMachine m;
  m.enter_protected();
  CHECK(mov_sreg(m, Segment::Ds, FakeMachine::kData0));
  CHECK(m.state.interrupt_shadow == 0);
  CHECK(mov_sreg(m, Segment::Ss, FakeMachine::kData0));
  CHECK(m.state.interrupt_shadow == 1);
}

TEST_CASE("real and virtual-8086 loads shift the selector", "[system]") {
  FakeMachine m;
  SECTION("real mode keeps the limit") {
    m.state.seg(Segment::Ds).limit = 0xffffffff;
    CHECK(mov_sreg(m, Segment::Ds, 0x1234));
    CHECK(m.state.seg(Segment::Ds).base == 0x12340);
    CHECK(m.state.seg(Segment::Ds).limit == 0xffffffff);
  }
  SECTION("virtual-8086 mode does not") {
    m.enter_v86();
    m.state.seg(Segment::Ds).limit = 0xffffffff;
    CHECK(mov_sreg(m, Segment::Ds, 0x1234));
    CHECK(m.state.seg(Segment::Ds).limit == 0xffff);
    CHECK(m.state.seg(Segment::Ds).dpl() == 3);
  }
}

namespace {

struct AddressRow {
  const char* name;
  Segment segment;
  u8 type;
  u32 limit;
  u8 flags;
  u64 offset;
  u32 size;
  Access access;
  const char* answer;
};

const AddressRow kAddresses[] = {
    {"last byte", Segment::Ds, kReadWrite, 0xffff, 0, 0xffff, 1, Access::Write, "ok"},
    {"word beyond the limit", Segment::Ds, kReadWrite, 0xffff, 0, 0xffff, 2, Access::Read,
     "#GP(0)"},
    {"stack beyond the limit", Segment::Ss, kReadWrite, 0xffff, 0, 0x10000, 1, Access::Read,
     "#SS(0)"},
    {"write to read-only", Segment::Ds, kReadOnly, 0xffff, 0, 0, 1, Access::Write, "#GP(0)"},
    {"read of read-only", Segment::Ds, kReadOnly, 0xffff, 0, 0, 1, Access::Read, "ok"},
    {"write to code", Segment::Cs, kCodeRead, 0xffff, 0, 0, 1, Access::Write, "#GP(0)"},
    {"read of execute-only", Segment::Cs, kExecuteOnly, 0xffff, 0, 0, 1, Access::Read, "#GP(0)"},
    {"expand-down below", Segment::Ds, 7, 0x0fff, 0, 0x0fff, 1, Access::Read, "#GP(0)"},
    {"expand-down above", Segment::Ds, 7, 0x0fff, 0, 0x1000, 1, Access::Read, "ok"},
    {"expand-down 16-bit top", Segment::Ds, 7, 0x0fff, 0, 0xffff, 2, Access::Read, "#GP(0)"},
    {"expand-down 32-bit top", Segment::Ds, 7, 0x0fff, kBigFlag, 0x20000, 4, Access::Read, "ok"},
    {"page granularity", Segment::Ds, kReadWrite, 1, kPages, 0x1fff, 1, Access::Read, "ok"},
    {"page granularity end", Segment::Ds, kReadWrite, 1, kPages, 0x2000, 1, Access::Read, "#GP(0)"},
};

}  // namespace

TEST_CASE("limits and types of memory accesses", "[system]") {
  for (const AddressRow& row : kAddresses) {
    INFO(row.name);
    FakeMachine m;
    m.enter_protected();
    m.set_descriptor(0x40, descriptor(0x1000, row.limit, access_byte(row.type, 0), row.flags));
    m.hide(row.segment, 0x40);
    auto linear = linear_address(m.ctx, row.segment, row.offset, row.size, row.access);
    CHECK(outcome_text(linear) == row.answer);
    if (linear) CHECK(*linear == 0x1000 + row.offset);
  }
}

TEST_CASE("64-bit addresses are canonical, only FS and GS have a base", "[system]") {
  FakeMachine m;
  m.enter_long();
  m.state.seg(Segment::Gs).base = 0xffff800000000000;
  m.state.seg(Segment::Ds).base = 0x1000;
  auto text = [&](Segment s, u64 offset, u32 size) {
    return outcome_text(linear_address(m.ctx, s, offset, size, Access::Read));
  };
  CHECK(*linear_address(m.ctx, Segment::Ds, 0x10, 1, Access::Read) == 0x10);
  CHECK(*linear_address(m.ctx, Segment::Gs, 0x10, 1, Access::Read) == 0xffff800000000010);
  CHECK(text(Segment::Ds, 0x00007fffffffffff, 1) == "ok");
  CHECK(text(Segment::Ds, 0x00007fffffffffff, 2) == "#GP(0)");
  CHECK(text(Segment::Ds, 0x0000800000000000, 1) == "#GP(0)");
  CHECK(text(Segment::Ss, 0x0000800000000000, 1) == "#SS(0)");
  CHECK(text(Segment::Gs, 0x0000000000000000, 8) == "ok");
  CHECK(text(Segment::Gs, 0xffffffffffffffff, 8) == "#GP(0)");
}
