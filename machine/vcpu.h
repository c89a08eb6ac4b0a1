// One virtual CPU, KVM-shaped: run() executes guest code until something outside the CPU is needed.
//
// Owns the CPU's state, its MMU and its engine; implements what instructions ask of their
// environment. Everything that has to come from the machine (time, entropy, APIC, interrupts) is
// asked of VcpuHost. Not thread-safe, except request_exit().
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/archive.h"
#include "common/external.h"
#include "common/host_code.h"
#include "cpu/context.h"
#include "jit/core/counters.h"
#include "machine/engine_kind.h"
#include "mmu/address_space.h"
#include "mmu/mmu.h"

namespace penumbra::machine {

/// Why run() returned. Port and Mmio: perform exit.access, then complete(data), then run() again.
struct Exit {
  enum class Reason : u8 {
    Budget,       ///< the given number of instructions has retired
    Port,         ///< exit.access waits for the machine
    Mmio,         ///< exit.access waits for the machine
    Halt,         ///< HLT with nothing to deliver; run() again when an interrupt is pending
    Shutdown,     ///< triple fault; exit.detail tells what led there
    Debug,        ///< a breakpoint of the machine's debugger
    Interrupted,  ///< request_exit() was called
  };
  Reason reason = Reason::Budget;
  ExternalAccess access;
  std::string detail;
};

/// What a vCPU asks of the machine around it.
class VcpuHost {
 public:
  virtual ~VcpuHost() = default;
  virtual u64 clock_tsc() = 0;
  virtual u64 random() = 0;
  virtual Expected<u64> apic_read_msr(u32 index) = 0;
  virtual Expected<> apic_write_msr(u32 index, u64 value) = 0;
  virtual u64 read_cr8() = 0;
  virtual void write_cr8(u64 value) = 0;
  /// An external interrupt waits (INTR is asserted), by the local APIC or the PIC in ExtINT mode.
  virtual bool interrupt_pending() = 0;
  /// Acknowledges it: the vector. Called only when interrupt_pending() and the CPU takes it.
  virtual u8 acknowledge_interrupt() = 0;
};

/// What the CPU and its engines did since they were created. What is in the list is reported.
struct VcpuCounters {
  u64 interpreted = 0, generated = 0;  ///< instructions retired by tier 0, by the baseline tier
  jit::EngineCounters engine;
  u64 interrupts = 0, exceptions = 0;  ///< delivered
  std::array<u64, 7> exits{};          ///< by Exit::Reason

  struct Entry {
    const char* group;
    const char* name;
    u64 value;
  };
  /// In the order of the report; entries of one group stand together.
  std::vector<Entry> list() const;
};

class Vcpu {
 public:
  Vcpu(mmu::AddressSpace& space, const cpu::CpuModel& model, VcpuHost& host,
       const EngineConfig& engine = {});
  ~Vcpu();

  /// Runs at most `max_instructions` (exactly that many unless another exit comes first).
  Exit run(u64 max_instructions);
  /// The machine performed exit.access; `data` is what a read returned.
  void complete(u64 data);
  /// Makes run() return soon with Interrupted; from any thread or signal handler.
  void request_exit();
  /// Reset state of a processor (SDM 3A 9.1): real mode, F000:FFF0.
  void reset();
  void raise_nmi();

  /// Direct access between runs; call state_changed() after writing.
  cpu::CpuState& state();
  void state_changed();
  mmu::Mmu& mmu();
  /// Instructions retired since reset; exact between runs and inside VcpuHost calls.
  u64 retired() const;
  VcpuCounters counters() const;
  /// The code that the engine generated for the instruction at `linear`, as it is now: a listing of
  /// each block that has it; empty where there is none.
  std::string describe_blocks(u64 linear, CodeMode mode) const;
  /// It is told of all code that the engine generates from now on, and outlives this.
  void observe_host_code(HostCodeObserver* observer);
  /// Called once before every instruction when tracing, and once for a REP instruction's parts that
  /// count as one; nullptr stops it.
  using TraceFunction = void (*)(void* user, const cpu::CpuState& state);
  void set_trace(TraceFunction function, void* user);
  /// Asked before an exception of an instruction is delivered (faults, and the #BP, #OF and #DB of
  /// INT3, INTO, INT1 and single-stepping), with the state as delivery would find it: RIP at the
  /// instruction for faults, behind it for traps. True: it is not delivered and run() returns
  /// Debug; the next run() goes on at RIP. An empty function stops asking.
  using ExceptionHook = std::function<bool(const Fault&)>;
  void set_exception_hook(ExceptionHook hook);

  /// Architectural state and the unfinished external access. Blocks and tables are rebuilt.
  void serialize(Archive& archive);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penumbra::machine
