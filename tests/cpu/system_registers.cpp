// MSRs, CPUID, counters, the model; SDM 4, APM 2 and 3.
#include <catch2/catch.hpp>

#include "cpu/cpuid.h"
#include "cpu/ops.h"
#include "fake_machine.h"

using namespace penumbra;
using namespace penumbra::cpu;
using namespace penumbra::cpu::test;

namespace {

std::string write_msr(FakeMachine& m, u32 index, u64 value) {
  m.state.reg(Reg::Rcx) = index;
  m.state.reg(Reg::Rax) = value & 0xffffffff;
  m.state.reg(Reg::Rdx) = value >> 32;
  return outcome_text(ops::wrmsr(m.ctx, {}));
}

/// The value, or "#GP(0)" as ~0 with a failed check.
u64 read_msr(FakeMachine& m, u32 index) {
  m.state.reg(Reg::Rcx) = index;
  m.state.reg(Reg::Rax) = m.state.reg(Reg::Rdx) = ~0ull;
  auto outcome = ops::rdmsr(m.ctx, {});
  CHECK(outcome_text(outcome) == "ok");
  CHECK(m.state.reg(Reg::Rax) >> 32 == 0);
  return m.state.reg(Reg::Rdx) << 32 | m.state.reg(Reg::Rax);
}

struct MsrRow {
  u32 index;
  u64 written;
  const char* answer;
  u64 read_back;
};

constexpr u64 kHigh = 0xffff800000001000, kBad = 0x0000800000000000;

const MsrRow kMsrs[] = {
    {0x174, 0x10, "ok", 0x10},
    {0x175, kHigh, "ok", kHigh},
    {0x176, kBad, "#GP(0)", 0},
    {0x17a, 7, "ok", 7},
    {0x17a, 8, "#GP(0)", 0},
    {0x1b, 0xfee00900, "ok", 0xfee00900},
    {0x1d9, 0, "ok", 0},
    {0x1d9, 0x40, "#GP(0)", 0},
    {0x200, 0x80000006, "ok", 0x80000006},
    {0x200, 0x80000002, "#GP(0)", 0},  // type 2 is reserved
    {0x200, bit(40), "#GP(0)", 0},     // beyond the physical width
    {0x201, 0xff80000800, "ok", 0xff80000800},
    {0x201, 0x400, "#GP(0)", 0},
    {0x20f, 0x800, "ok", 0x800},
    {0x210, 0, "#GP(0)", 0},
    {0x250, 0x0606060606060606, "ok", 0x0606060606060606},
    {0x26f, 0x0303030303030303, "#GP(0)", 0},
    {0x277, 0x0007040600070406, "ok", 0x0007040600070406},
    {0x277, 0x0000000000000002, "#GP(0)", 0x0007040600070406},
    {0x277, 0x0505050505050505, "ok", 0x0505050505050505},
    {0x2ff, 0xc06, "ok", 0xc06},
    {0x2ff, 0x200, "#GP(0)", 0},
    {0x400, ~0ull, "ok", ~0ull},
    {0x401, 0, "ok", 0},
    {0x401, 1, "#GP(0)", 0},
    {0x40f, 5, "ok", 5},
    {0xc0000081, 0x23001000000000, "ok", 0x23001000000000},
    {0xc0000082, kHigh, "ok", kHigh},
    {0xc0000082, kBad, "#GP(0)", 0},
    {0xc0000083, kHigh, "ok", kHigh},
    {0xc0000084, 0x47700, "ok", 0x47700},
    {0xc0000100, kHigh, "ok", kHigh},
    {0xc0000101, kBad, "#GP(0)", 0},
    {0xc0000102, kHigh, "ok", kHigh},
    {0xc0000103, 0x123, "ok", 0x123},
    {0xc0010015, 0x1000000, "ok", 0x1000000},
    {0xc001001f, bit(46), "ok", bit(46)},
    {0xc0011029, 0, "ok", 2},  // LFENCE always serializes
};

}  // namespace

TEST_CASE("model-specific registers", "[system]") {
  for (const MsrRow& row : kMsrs) {
    INFO(std::hex << row.index << " = " << row.written);
    FakeMachine m;
    m.enter_long();
    if (row.index == 0xc0000101) m.state.seg(Segment::Gs).base = 0;
    CHECK(write_msr(m, row.index, row.written) == row.answer);
    if (row.index == 0x210) continue;
    CHECK(read_msr(m, row.index) == row.read_back);
  }
}

TEST_CASE("unknown MSRs and other levels are refused", "[system]") {
  FakeMachine m;
  m.enter_long();
  for (u32 index :
       {0x0u, 0x3au, 0x48u, 0x49u, 0xceu, 0x1a0u, 0x410u, 0xc0010000u, 0xc0010004u, 0xc001011fu}) {
    INFO(std::hex << index);
    CHECK(write_msr(m, index, 0) == "#GP(0)");
    CHECK(outcome_text(ops::rdmsr(m.ctx, {})) == "#GP(0)");
  }
  for (u32 index : {0x8bu, 0xfeu, 0x179u}) {
    INFO(std::hex << index);
    CHECK(write_msr(m, index, 0) == "#GP(0)");
    CHECK(read_msr(m, index) != 0);
  }
  m.state.cpl = 3;
  CHECK(write_msr(m, 0xc0000082, 0) == "#GP(0)");
}

TEST_CASE("EFER", "[system]") {
  FakeMachine m;
  m.enter_long();
  u64 before = read_msr(m, 0xc0000080);
  CHECK(before == (Efer::kSce | Efer::kLme | Efer::kLma | Efer::kNxe));
  CHECK(write_msr(m, 0xc0000080, before & ~Efer::kLme) == "#GP(0)");
  CHECK(write_msr(m, 0xc0000080, before | bit(12)) == "#GP(0)");  // SVME is not offered
  CHECK(write_msr(m, 0xc0000080, Efer::kLme) == "ok");
  CHECK(read_msr(m, 0xc0000080) == (Efer::kLme | Efer::kLma));  // LMA is read-only
  CHECK(m.environment.mode_changes == 1);                       // NXE changed
}

TEST_CASE("TSC and TSC_ADJUST move together", "[system]") {
  FakeMachine m;
  m.enter_long();
  CHECK(read_msr(m, 0x10) == 1000);
  CHECK(write_msr(m, 0x10, 5000) == "ok");
  CHECK(read_msr(m, 0x3b) == 4000);
  CHECK(write_msr(m, 0x3b, 0) == "ok");
  CHECK(read_msr(m, 0x10) == 1000);
  m.environment.tsc = 1500;
  REQUIRE(ops::rdtsc(m.ctx, {}));
  CHECK(m.state.reg(Reg::Rax) == 1500);
  m.state.tsc_aux = 9;
  REQUIRE(ops::rdtscp(m.ctx, {}));
  CHECK(m.state.reg(Reg::Rcx) == 9);
  m.state.cr4 |= Cr4::kTsd;
  CHECK(outcome_text(ops::rdtsc(m.ctx, {})) == "ok");
  m.state.cpl = 3;
  CHECK(outcome_text(ops::rdtsc(m.ctx, {})) == "#GP(0)");
  CHECK(outcome_text(ops::rdtscp(m.ctx, {})) == "#GP(0)");
}

TEST_CASE("XCR0", "[system]") {
  FakeMachine m;
  m.enter_long();
  m.state.reg(Reg::Rcx) = m.state.reg(Reg::Rdx) = 0;
  m.state.reg(Reg::Rax) = 3;
  CHECK(outcome_text(ops::xsetbv(m.ctx, {})) == "#UD");
  CHECK(outcome_text(ops::xgetbv(m.ctx, {})) == "#UD");
  m.state.cr4 |= Cr4::kOsxsave;
  CHECK(outcome_text(ops::xsetbv(m.ctx, {})) == "ok");
  CHECK(m.state.xcr0 == 3);
  for (u64 refused : {u64{0}, u64{2}, u64{5}, u64{0xb}, u64{0x203}}) {
    m.state.reg(Reg::Rax) = refused;
    CHECK(outcome_text(ops::xsetbv(m.ctx, {})) == "#GP(0)");
  }
  m.state.reg(Reg::Rax) = 7;
  CHECK(outcome_text(ops::xsetbv(m.ctx, {})) == "ok");
  CHECK(m.state.xcr0 == 7);
  m.state.reg(Reg::Rax) = 1;
  m.state.reg(Reg::Rcx) = 1;
  CHECK(outcome_text(ops::xsetbv(m.ctx, {})) == "#GP(0)");
  m.state.x87 = {};
  m.state.vector[3].lanes[2] = 1;
  CHECK(outcome_text(ops::xgetbv(m.ctx, {})) == "ok");
  CHECK(m.state.reg(Reg::Rax) == 4);
  m.state.reg(Reg::Rcx) = 2;
  CHECK(outcome_text(ops::xgetbv(m.ctx, {})) == "#GP(0)");
  m.state.reg(Reg::Rcx) = 0;
  m.state.cpl = 3;
  CHECK(outcome_text(ops::xsetbv(m.ctx, {})) == "#GP(0)");
  CHECK(outcome_text(ops::xgetbv(m.ctx, {})) == "ok");
  CHECK(m.state.reg(Reg::Rax) == 7);
}

TEST_CASE("CPUID tells vendor, features and state", "[system]") {
  FakeMachine m;
  m.enter_long();
  auto leaf = cpuid(m.ctx, 0, 0);
  CHECK(leaf.ebx == 0x68747541);  // "Auth"
  CHECK(leaf.edx == 0x69746e65);  // "enti"
  CHECK(leaf.ecx == 0x444d4163);  // "cAMD"
  CHECK((cpuid(m.ctx, 1, 0).ecx & bit(27)) == 0);
  m.state.cr4 |= Cr4::kOsxsave;
  CHECK((cpuid(m.ctx, 1, 0).ecx & bit(27)) != 0);
  CHECK((cpuid(m.ctx, 1, 0).edx & bit(9)) != 0);
  m.environment.apic_base = 0xfee00100;
  CHECK((cpuid(m.ctx, 1, 0).edx & bit(9)) == 0);
  CHECK((cpuid(m.ctx, 0x80000001, 0).edx & bit(9)) == 0);
  CHECK((cpuid(m.ctx, 0x80000001, 0).edx & bit(29)) != 0);
  CHECK((cpuid(m.ctx, 0x80000008, 0).eax & 0xffff) == 0x3028);
  CHECK(cpuid(m.ctx, 0x80000000, 0).eax >= 0x80000008);
  CHECK(cpuid(m.ctx, 0xd, 0).eax == 7);
  CHECK(cpuid(m.ctx, 0xd, 0).ebx == 576);
  CHECK(cpuid(m.ctx, 0xd, 0).ecx == 832);
  m.state.xcr0 = 7;
  CHECK(cpuid(m.ctx, 0xd, 0).ebx == 832);
  CHECK(cpuid(m.ctx, 0xd, 1).ebx == 832);
  CHECK(cpuid(m.ctx, 0xd, 2).eax == 256);
  CHECK(cpuid(m.ctx, 0xd, 2).ebx == 576);
  CHECK(cpuid(m.ctx, 7, 1).eax == 0);
  CHECK(cpuid(m.ctx, 0x12345678, 0).eax == 0);
  CHECK(cpuid(m.ctx, 0x80000002, 0).eax == 0x756e6550);  // "Penu"
}

TEST_CASE("CPU models are parsed", "[system]") {
  CHECK(CpuModel::parse("default"));
  auto model = CpuModel::parse("default,-xsave,+movbe");
  REQUIRE(model);
  CHECK_FALSE(model->has(Feature::Xsave));
  CHECK_FALSE(model->has(Feature::Xsaveopt));
  CHECK(model->has(Feature::Movbe));
  CHECK_FALSE(model->has(Feature::Avx2));
  CHECK(CpuModel::parse(model->description())->description() == model->description());
  CHECK((model->cpuid(1, 0).ecx & bit(26)) == 0);
  auto older = CpuModel::parse("default,-ssse3");
  REQUIRE(older);
  CHECK(older->description() == "default,-ssse3,-sse4_1,-sse4_2");
  CHECK((older->cpuid(1, 0).ecx & (bit(9) | bit(19) | bit(20))) == 0);
  CHECK((older->cpuid(1, 0).ecx & (bit(0) | bit(1) | bit(25))) == (bit(0) | bit(1) | bit(25)));
  auto legacy = CpuModel::parse("default,-lm");
  REQUIRE(legacy);
  CHECK_FALSE(legacy->has(Feature::Pcid));
  CHECK(CpuModel::parse("default,").has_value());
  for (const char* bad :
       {"", "486", "default,xsave", "default,-", "default,-nonsense", "default,,+sse"}) {
    INFO(bad);
    auto refused = CpuModel::parse(bad);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().find('\n') == std::string::npos);
  }
  CHECK(CpuModel::parse("default,-nonsense").error().find("popcnt") != std::string::npos);
}

TEST_CASE("reset is the manual's", "[system]") {
  FakeMachine m;
  m.enter_long();
  m.state.retired = 77;
  m.state.engine = &m;
  reset(m.state, m.model);
  CHECK(m.state.engine == &m);
  CHECK(m.state.rip == 0xfff0);
  CHECK(m.state.seg(Segment::Cs).selector == 0xf000);
  CHECK(m.state.seg(Segment::Cs).base == 0xffff0000);
  CHECK(m.state.cr0 == 0x60000010);
  CHECK(m.state.flags() == 2);
  CHECK(m.state.reg(Reg::Rdx) == m.model.cpuid(1, 0).eax);
  CHECK(m.state.dr6 == 0xffff0ff0);
  CHECK(m.state.dr7 == 0x400);
  CHECK(m.state.efer == 0);
  CHECK(m.state.mxcsr == 0x1f80);
  CHECK(m.state.retired == 77);
  m.state.lstar = 5;
  m.state.cr0 = Cr0::kPe;
  init(m.state, m.model);
  CHECK(m.state.lstar == 5);
  CHECK(m.state.cr0 == Cr0::kEt);
}
