// The machine: guest memory, one vCPU, the board, the clock, and the loop that runs them.
//
// The loop: process due events, deliver input, run a slice that ends at the next deadline, serve
// the exit on the bus, and so on until something ends the run. In Deterministic mode everything is
// a function of the configuration and of what passes the input gate. Single-threaded, except
// request_stop().
#pragma once

#include <atomic>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cpu/model.h"
#include "machine/board.h"
#include "machine/host_alarm.h"
#include "machine/input_gate.h"
#include "machine/load_plan.h"
#include "machine/memory_map.h"
#include "machine/vcpu.h"
#include "machine/virtual_clock.h"
#include "snapshot/container.h"

namespace penumbra::machine {

struct VmConfig {
  u64 memory = 512ull << 20;
  std::string cpu = "default";  ///< as CpuModel::parse takes it
  VirtualClock::Mode clock = VirtualClock::Mode::Host;
  BoardConfig board;
  bool reboot = true;  ///< false: a reset or triple fault ends the run
  EngineKind engine = EngineKind::Auto;
  u64 engine_seed = 0;  ///< EngineConfig::seed
};

/// The host's side of the machine's input: polled while the guest runs, slept on while it is idle.
class HostEvents {
 public:
  virtual ~HostEvents() = default;
  /// Hands over what has arrived, by Vm::offer_serial(). Does not block.
  virtual void poll() = 0;
  /// Sleeps until something arrives, `timeout_ns` have passed, or a stop is requested.
  virtual void wait(std::optional<u64> timeout_ns) = 0;
  /// Something may still arrive.
  virtual bool can_wake() const = 0;
};

struct RunResult {
  enum class Kind : u8 {
    PoweredOff,
    Reset,            ///< only without reboot
    TripleFault,      ///< without reboot, or three in a row
    DebugExit,        ///< `status` is what the guest wrote, shifted as the port does
    MaxInstructions,  ///< run() may be called again
    Stopped,          ///< request_stop(); run() may be called again
    Halted,           ///< the CPU halted and nothing can wake it
  };
  Kind kind = Kind::Stopped;
  u32 status = 0;
  std::string detail;
};

class Vm final : private VcpuHost, private devices::LocalApicHost {
 public:
  /// The error is one line for the user.
  static std::expected<std::unique_ptr<Vm>, std::string> create(const VmConfig& config);
  ~Vm() override;

  const VmConfig& config() const { return config_; }
  const MemoryMap& memory_map() const { return map_; }
  /// Address of the ACPI root pointer that power_on() places.
  u64 rsdp() const { return acpi_.rsdp; }
  const cpu::CpuModel& model() const { return model_; }

  /// Resets the machine and places firmware tables and `plan`, now and at every later reset.
  void power_on(LoadPlan plan);

  /// Runs until something ends the run, or `max_instructions` have retired in this call.
  RunResult run(u64 max_instructions = ~0ull);
  /// Ends run() soon; from any thread or signal handler.
  void request_stop();

  /// `events` outlives its use; nullptr: no input will come.
  void set_host_events(HostEvents* events) { events_ = events; }
  /// A character for COM1 (0) to COM4 (3).
  void offer_serial(u8 port, u8 byte) { gate_.offer_serial(port, byte); }
  void press_power_button() { board_->acpi().press_power_button(); }

  Vcpu& vcpu() { return *vcpu_; }
  VirtualClock& clock() { return *clock_; }
  Board& board() { return *board_; }
  InputGate& input_gate() { return gate_; }
  mmu::AddressSpace& memory() { return *space_; }

  /// Instructions retired since power-on, over resets and snapshots.
  u64 retired() const;
  /// The same since this Vm was created or restored.
  u64 retired_here() const { return retired() - retired_at_start_; }
  u64 resets() const { return resets_; }
  u64 halts() const { return halts_; }

  /// Everything that a snapshot holds except RAM. The order matters for loading: the CPU's count,
  /// then the clock, then the chips.
  std::vector<StateSection> sections();
  /// Hash of every section and of RAM.
  u64 state_hash();

  /// Between runs. The errors are one line without the file's name.
  std::expected<void, std::string> save(const std::string& path);
  std::expected<void, std::string> restore(const snapshot::Container& container);
  /// Takes over the state of a machine of the same configuration, RAM included.
  void become(Vm& other);
  /// The configuration that a snapshot was taken with: memory, cpu, clock; serial ports as a mask.
  struct SavedConfig {
    u64 memory = 0;
    std::string cpu, cpu_description;
    VirtualClock::Mode clock = VirtualClock::Mode::Host;
    u8 serial_ports = 0;
  };
  static std::expected<SavedConfig, std::string> saved_config(const snapshot::Container& container);

 private:
  static constexpr size_t kTripleFaultsInARow = 3;

  Vm(const VmConfig& config, cpu::CpuModel model, std::unique_ptr<mmu::AddressSpace> space);

  // VcpuHost
  u64 clock_tsc() override;
  u64 random() override;
  Expected<u64> apic_read_msr(u32 index) override;
  Expected<> apic_write_msr(u32 index, u64 value) override;
  u64 read_cr8() override { return board_->local_apic().cr8(); }
  void write_cr8(u64 value) override { board_->local_apic().set_cr8(value); }
  bool interrupt_pending() override { return board_->local_apic().interrupt_pending(); }
  u8 acknowledge_interrupt() override { return board_->local_apic().acknowledge(); }

  // LocalApicHost
  void interrupt_changed() override {}
  void nmi() override { vcpu_->raise_nmi(); }
  void smi() override;
  void init() override { reset_wanted_ = true; }
  void startup(u8) override {}
  u8 acknowledge_external() override { return board_->pic().acknowledge(); }
  u64 tsc() override;
  u64 tsc_to_ns(u64 tsc) override;

  u64 position() const;
  u64 host_ticks();
  void begin_slice();
  void run_slice(u64 budget);
  void poll_host();
  void deliver_serial();
  u64 slice_budget(u64 left);
  u64 instructions_until(u64 deadline);
  void measure_speed(u64 instructions, u64 host_ns);
  void serve(const Exit& exit);
  void serve_access(const ExternalAccess& access);
  void idle();
  void sleep_until(std::optional<u64> deadline);
  bool halted_for_good();
  void triple_fault(const std::string& detail);
  void reset_machine();
  void finish(RunResult result);
  SavedConfig described() const;
  StateSection boot_section();

  VmConfig config_;
  MemoryMap map_;
  cpu::CpuModel model_;
  std::unique_ptr<mmu::AddressSpace> space_;
  InputGate gate_;
  std::unique_ptr<Vcpu> vcpu_;
  std::unique_ptr<VirtualClock> clock_;
  std::unique_ptr<Board> board_;
  std::unique_ptr<HostAlarm> alarm_;  ///< Host mode only
  devices::AcpiImage acpi_;
  LoadPlan plan_;
  HostEvents* events_ = nullptr;
  LogOnce log_once_;

  std::optional<RunResult> result_;
  std::atomic<bool> stop_requested_ = false;
  bool reset_wanted_ = false;
  u64 retired_before_reset_ = 0, retired_at_start_ = 0;
  u64 resets_ = 0, halts_ = 0;
  std::vector<u64> triple_faults_;    ///< instruction counts of the last ones
  std::optional<u64> halted_since_;   ///< with interrupts off, in virtual time
  u64 entropy_state_;                 ///< Deterministic: of the generator behind RDRAND
  u64 host_start_ = 0;                ///< host_monotonic_ns() at power-on
  u64 next_poll_ = 0;                 ///< host_monotonic_ns() of the next look at the host
  double instructions_per_ns_ = 0.1;  ///< Host: measured speed
};

}  // namespace penumbra::machine
