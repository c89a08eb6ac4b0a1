#include "tests/sst/machine.h"

#include <stdexcept>

#include "machine/vcpu.h"

namespace penumbra::sst {
namespace {

using cpu::CpuState;
using cpu::Reg;
using cpu::SegmentRegister;

constexpr u64 kRam = 2 << 20;
constexpr u64 kMostInstructions = 100'000;

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

std::unique_ptr<mmu::AddressSpace> make_space() {
  auto space = mmu::AddressSpace::create(kRam);
  if (!space) throw std::runtime_error(space.error());
  (*space)->map({0}, kRam, 0, mmu::AddressSpace::SlotKind::Ram);
  (*space)->set_a20(true);
  return std::move(*space);
}

struct GprName {
  MooReg name;
  Reg reg;
};
constexpr GprName kGprs[] = {{MooReg::Ax, Reg::Rax}, {MooReg::Bx, Reg::Rbx}, {MooReg::Cx, Reg::Rcx},
                             {MooReg::Dx, Reg::Rdx}, {MooReg::Sp, Reg::Rsp}, {MooReg::Bp, Reg::Rbp},
                             {MooReg::Si, Reg::Rsi}, {MooReg::Di, Reg::Rdi}};
struct SegmentName {
  MooReg name;
  Segment segment;
};
constexpr SegmentName kSegments[] = {{MooReg::Cs, Segment::Cs},
                                     {MooReg::Ss, Segment::Ss},
                                     {MooReg::Ds, Segment::Ds},
                                     {MooReg::Es, Segment::Es}};

}  // namespace

struct RealModeMachine::Impl {
  explicit Impl(machine::EngineKind engine)
      : space(make_space()), vcpu(*space, model, host, {.kind = engine}) {
    vcpu.set_exception_hook([this](const Fault& raised) {
      if (!fault) fault = raised;
      return stop_at_fault;
    });
    space->start_dirty_log();
  }

  void load(const MooState& initial) {
    vcpu.reset();
    CpuState& state = vcpu.state();
    auto value = [&](MooReg name) { return initial.regs[static_cast<size_t>(name)].value_or(0); };
    for (auto [name, reg] : kGprs) state.reg(reg) = value(name);
    for (auto [name, segment] : kSegments) {
      state.seg(segment).selector = value(name);
      state.seg(segment).base = u64{value(name)} << 4;
    }
    state.rip = value(MooReg::Ip);
    state.set_flags(value(MooReg::Flags) & 0xfff);
    vcpu.state_changed();
    for (auto [address, byte] : initial.memory) write(address, byte);
    space->collect_dirty();
  }

  void write(u32 address, u8 byte) {
    if (address < kRam) space->write({address}, &byte, 1);
  }

  /// Completes port accesses as an empty bus does, until something else ends the run.
  machine::Exit::Reason run_to_exit() {
    for (;;) {
      auto exit = vcpu.run(kMostInstructions);
      if (exit.reason != machine::Exit::Reason::Port) return exit.reason;
      vcpu.complete(~0ull);
    }
  }

  void collect_registers(RunResult& result) {
    const CpuState& state = vcpu.state();
    auto set = [&](MooReg name, u64 value) {
      result.regs[static_cast<size_t>(name)] = static_cast<u16>(value);
    };
    for (auto [name, reg] : kGprs) set(name, state.reg(reg));
    for (auto [name, segment] : kSegments) set(name, state.seg(segment).selector);
    set(MooReg::Ip, state.rip);
    set(MooReg::Flags, state.flags());
  }

  /// Differences from the initial memory, which is zero where the test says nothing.
  void collect_memory(const MooState& initial, RunResult& result) {
    std::vector<u8> before(kPageSize), after(kPageSize);
    auto dirty = space->collect_dirty();
    for (u64 page = 0; page < kRam / kPageSize; ++page) {
      if (page / 64 >= dirty.size() || (dirty[page / 64] >> (page % 64) & 1) == 0) continue;
      u64 base = page * kPageSize;
      std::fill(before.begin(), before.end(), 0);
      for (auto [address, byte] : initial.memory)
        if (page_of(address) == base) before[address & kPageMask] = byte;
      space->read({base}, after.data(), kPageSize);
      for (u32 i = 0; i < kPageSize; ++i)
        if (before[i] != after[i]) result.changed.push_back({static_cast<u32>(base) + i, after[i]});
    }
  }

  void clean(const MooState& initial, const RunResult& result) {
    for (auto [address, byte] : initial.memory) write(address, 0);
    for (auto [address, byte] : result.changed) write(address, 0);
  }

  RunResult run(const MooState& initial, bool stop) {
    stop_at_fault = stop;
    fault.reset();
    load(initial);
    auto reason = run_to_exit();
    RunResult result;
    result.end = reason == machine::Exit::Reason::Halt    ? RunResult::End::Halted
                 : reason == machine::Exit::Reason::Debug ? RunResult::End::Caught
                                                          : RunResult::End::Other;
    result.fault = fault;
    collect_registers(result);
    collect_memory(initial, result);
    clean(initial, result);
    return result;
  }

  std::unique_ptr<mmu::AddressSpace> space;
  cpu::CpuModel model;
  QuietHost host;
  machine::Vcpu vcpu;
  bool stop_at_fault = false;
  std::optional<Fault> fault;
};

RealModeMachine::RealModeMachine(machine::EngineKind engine)
    : impl_(std::make_unique<Impl>(engine)) {}
RealModeMachine::~RealModeMachine() = default;

RunResult RealModeMachine::run(const MooState& initial, bool stop_at_fault) {
  return impl_->run(initial, stop_at_fault);
}

}  // namespace penumbra::sst
