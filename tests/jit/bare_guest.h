// A bare vCPU in 64-bit mode at CPL 0: identity-mapped megabytes, flat segments, no devices.
#pragma once

#include <catch2/catch.hpp>
#include <initializer_list>
#include <vector>

#include "machine/vcpu.h"

namespace penumbra::jit {

/// Nothing outside the CPU, but an interrupt line that a test can raise.
class QuietHost final : public machine::VcpuHost {
 public:
  bool interrupt = false;

  u64 clock_tsc() override { return 0; }
  u64 random() override { return 0; }
  Expected<u64> apic_read_msr(u32) override { return std::unexpected(Fault::gp()); }
  Expected<> apic_write_msr(u32, u64) override { return std::unexpected(Fault::gp()); }
  u64 read_cr8() override { return 0; }
  void write_cr8(u64) override {}
  bool interrupt_pending() override { return interrupt; }
  u8 acknowledge_interrupt() override {
    interrupt = false;
    return 0x40;
  }
};

class BareGuest {
 public:
  static constexpr u64 kRam = 4 << 20, kTables = 0x1000, kCode = 0x10000, kStack = 0x80000,
                       kData = 0x100000;
  /// A second linear window on the same physical memory.
  static constexpr u64 kAlias = 0x40000000;

  /// On one engine after the other, in tests that GENERATE them; the last is generated code of the
  /// lowest host level, with other choices made.
  static constexpr machine::EngineConfig kInterp{.kind = machine::EngineKind::Interp},
      kBaseline{.kind = machine::EngineKind::Baseline},
      kVaried{.kind = machine::EngineKind::Baseline, .seed = 2};
  explicit BareGuest(const machine::EngineConfig& engine = kBaseline)
      : vcpu(*space, cpu::CpuModel(), host, engine) {
    space->map({0}, kRam, 0, mmu::AddressSpace::SlotKind::Ram);
    build_tables();
    cpu::CpuState& s = vcpu.state();
    s.cr0 = cpu::Cr0::kPe | cpu::Cr0::kPg | cpu::Cr0::kNe | cpu::Cr0::kWp | cpu::Cr0::kEt;
    s.cr4 = cpu::Cr4::kPae | cpu::Cr4::kOsfxsr | cpu::Cr4::kOsxmmexcpt;
    s.efer = cpu::Efer::kLme | cpu::Efer::kLma | cpu::Efer::kSce;
    s.cr3 = kTables;
    for (auto& segment : s.segment) segment = {0, ~0u, 0xc093, 0x10};
    s.seg(Segment::Cs) = {0, ~0u, 0xa09b, 0x08};
    s.rip = kCode;
    s.reg(cpu::Reg::Rsp) = kStack;
    vcpu.state_changed();
  }

  void load(u64 address, const std::vector<u8>& code) {
    space->write({address}, code.data(), code.size());
  }
  template <class T>
  T peek(u64 address) {
    T value;
    space->read({address}, &value, sizeof value);
    return value;
  }
  void run_to_halt(u64 slice = 1'000'000) {
    for (int i = 0; i < 1'000'000; ++i) {
      machine::Exit exit = vcpu.run(slice);
      if (exit.reason == machine::Exit::Reason::Halt) return;
      REQUIRE(exit.reason == machine::Exit::Reason::Budget);
    }
    FAIL("the guest does not halt");
  }
  u64& reg(cpu::Reg r) { return vcpu.state().reg(r); }

  std::unique_ptr<mmu::AddressSpace> space = std::move(*mmu::AddressSpace::create(kRam));
  QuietHost host;
  machine::Vcpu vcpu;

 private:
  /// 4 KiB pages for the first 2 MiB (so that tests can remap one), a 2 MiB page behind, an alias.
  void build_tables() {
    constexpr u64 kPresent = 1, kWritable = 2, kLarge = 0x80;
    entry(kTables, 0, 0x2000 | kPresent | kWritable);
    entry(0x2000, 0, 0x3000 | kPresent | kWritable);
    entry(0x2000, kAlias >> 30, 0x5000 | kPresent | kWritable);
    entry(0x3000, 0, 0x4000 | kPresent | kWritable);
    entry(0x3000, 1, 0x200000 | kPresent | kWritable | kLarge);
    for (u64 page = 0; page < 512; ++page) entry(0x4000, page, page << 12 | kPresent | kWritable);
    entry(0x5000, 0, 0 | kPresent | kWritable | kLarge);
  }
  void entry(u64 table, u64 index, u64 value) { space->write({table + index * 8}, &value, 8); }
};

}  // namespace penumbra::jit
