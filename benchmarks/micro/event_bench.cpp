// What system events cost: calls and returns between user and supervisor, page faults, and the
// instructions that open and close interrupts, on a bare vCPU. Times are per event.
#include <benchmark/benchmark.h>

#include <vector>

#include "machine/vcpu.h"

namespace penumbra::benchmarks {
namespace {

constexpr u64 kRam = 4 << 20, kTables = 0x1000, kIdt = 0x6000, kGdt = 0x7000, kTask = 0x8000,
              kUser = 0x10000, kSupervisor = 0x20000, kStack = 0x80000, kUserStack = 0x90000;

class QuietHost final : public machine::VcpuHost {
 public:
  u64 clock_tsc() override { return 0; }
  u64 random() override { return 0; }
  Expected<u64> apic_read_msr(u32) override { return std::unexpected(Fault::gp()); }
  Expected<> apic_write_msr(u32, u64) override { return std::unexpected(Fault::gp()); }
  u64 read_cr8() override { return 0; }
  void write_cr8(u64) override {}
  bool interrupt_pending() override { return false; }
  u8 acknowledge_interrupt() override { return 0; }
};

/// 64-bit mode at CPL 3 in an endless loop; SYSCALL and page faults enter the supervisor's code.
class SystemGuest {
 public:
  SystemGuest(machine::EngineKind kind, const std::vector<u8>& user,
              const std::vector<u8>& supervisor)
      : vcpu(*space, cpu::CpuModel(), host, {.kind = kind}) {
    space->map({0}, kRam, 0, mmu::AddressSpace::SlotKind::Ram);
    space->write({kUser}, user.data(), user.size());
    space->write({kSupervisor}, supervisor.data(), supervisor.size());
    build_tables();
    set_registers();
    vcpu.state_changed();
  }

  std::unique_ptr<mmu::AddressSpace> space = std::move(*mmu::AddressSpace::create(kRam));
  QuietHost host;
  machine::Vcpu vcpu;

 private:
  void put(u64 address, u64 value) { space->write({address}, &value, sizeof value); }

  /// The first 2 MiB are mapped, for the user as well.
  void build_tables() {
    put(kTables, 0x2007);
    put(0x2000, 0x3007);
    put(0x3000, 0x87);
    constexpr u64 kDescriptors[] = {0, 0x00af9b000000ffff, 0x00cf93000000ffff,
                                    0, 0x00cff3000000ffff, 0x00affb000000ffff};
    for (u64 i = 0; i < std::size(kDescriptors); ++i) put(kGdt + i * 8, kDescriptors[i]);
    constexpr u64 kInterruptGate = 0x8e0000080000;
    constexpr u64 kOffset = (kSupervisor & 0xffff) | (kSupervisor >> 16) << 48;
    put(kIdt + 14 * 16, kInterruptGate | kOffset);
    put(kTask + 4, kStack);
  }

  void set_registers() {
    cpu::CpuState& s = vcpu.state();
    s.cr0 = cpu::Cr0::kPe | cpu::Cr0::kPg | cpu::Cr0::kNe | cpu::Cr0::kWp | cpu::Cr0::kEt;
    s.cr4 = cpu::Cr4::kPae | cpu::Cr4::kOsfxsr | cpu::Cr4::kOsxmmexcpt;
    s.efer = cpu::Efer::kLme | cpu::Efer::kLma | cpu::Efer::kSce;
    s.cr3 = kTables;
    s.star = u64{0x18} << 48 | u64{0x08} << 32;
    s.lstar = kSupervisor;
    s.sfmask = cpu::Flag::kIf;
    s.gdtr = {kGdt, 0x2f};
    s.idtr = {kIdt, 0xfff};
    s.tr = {kTask, 0x67, 0x8b, 0x30};
    for (auto& segment : s.segment) segment = {0, ~0u, 0xc0f3, 0x23};
    s.seg(Segment::Cs) = {0, ~0u, 0xa0fb, 0x2b};
    s.cpl = 3;
    s.rflags |= cpu::Flag::kIf;
    s.rip = kUser;
    s.reg(cpu::Reg::Rsp) = kUserStack;
  }
};

void run(benchmark::State& state, const std::vector<u8>& user, const std::vector<u8>& supervisor,
         u64 instructions_an_event) {
  constexpr u64 kEvents = 20'000;
  auto kind = state.range(0) ? machine::EngineKind::Baseline : machine::EngineKind::Interp;
  SystemGuest guest(kind, user, supervisor);
  for (auto _ : state) {
    machine::Exit exit = guest.vcpu.run(kEvents * instructions_an_event);
    if (exit.reason != machine::Exit::Reason::Budget) return state.SkipWithError("stopped");
  }
  state.SetLabel(state.range(0) ? "baseline" : "interp");
  state.counters["event"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * kEvents,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

const std::vector<u8> kCalls = {0x0f, 0x05, 0xeb, 0xfc};  // l: syscall; jmp l

void system_call(benchmark::State& state) {
  run(state, kCalls, {0x48, 0x0f, 0x07}, 3);  // sysretq
}

/// As kernels enter and leave: swapgs; sti; inc eax; cli; swapgs; sysretq.
void system_call_open(benchmark::State& state) {
  run(state, kCalls, {0x0f, 0x01, 0xf8, 0xfb, 0xff, 0xc0, 0xfa, 0x0f, 0x01, 0xf8, 0x48, 0x0f, 0x07},
      8);
}

/// Supervisor code, l: pushfq; cli; popfq; jmp l.
void restore_flags(benchmark::State& state) {
  run(state, kCalls, {0x9c, 0xfa, 0x9d, 0xeb, 0xfb}, 4);
}

/// User, l: mov eax, [0x200000] (absent); jmp l. Supervisor: add qword [rsp+8], 7; add rsp, 8;
/// iretq.
void page_fault(benchmark::State& state) {
  run(state, {0x8b, 0x04, 0x25, 0x00, 0x00, 0x20, 0x00, 0xeb, 0xf7},
      {0x48, 0x83, 0x44, 0x24, 0x08, 0x07, 0x48, 0x83, 0xc4, 0x08, 0x48, 0xcf}, 4);
}

BENCHMARK(system_call)->Arg(0)->Arg(1);
BENCHMARK(system_call_open)->Arg(0)->Arg(1);
BENCHMARK(restore_flags)->Arg(0)->Arg(1);
BENCHMARK(page_fault)->Arg(0)->Arg(1);

}  // namespace
}  // namespace penumbra::benchmarks
