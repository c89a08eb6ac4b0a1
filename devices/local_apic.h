// The local APIC of one processor in xAPIC mode (SDM 3A chapter 11).
//
// All registers of the 4 KiB page, the timer in its three modes, local vectors, IPIs,
// IA32_APIC_BASE and IA32_TSC_DEADLINE. The timer's bus clock is 1 GHz: with divisor d it counts
// once in d ns. Accesses take effect as aligned 32-bit ones; narrower reads are cut out, narrower
// and misaligned writes are ignored. Not there, and refused or read as 0: x2APIC mode (MSRs
// 800h-8FFh), extended APIC space of AMD, CMCI, EOI-broadcast suppression, focus processor
// checking.
#pragma once

#include <array>

#include "common/fault.h"
#include "common/log.h"
#include "devices/apic_bus.h"
#include "devices/register_block.h"

namespace penumbra::devices {

/// The processor that a local APIC belongs to, and its time stamp counter.
class LocalApicHost {
 public:
  virtual ~LocalApicHost() = default;
  /// interrupt_pending() may have become true.
  virtual void interrupt_changed() = 0;
  /// IA32_APIC_BASE was written: base() or globally_enabled() may differ.
  virtual void base_changed() {}
  virtual void nmi() = 0;
  virtual void smi() = 0;
  virtual void init() = 0;
  virtual void startup(u8 vector) = 0;
  /// The INTA cycles of an ExtINT: the vector of the 8259A pair.
  virtual u8 acknowledge_external() = 0;
  /// IA32_TIME_STAMP_COUNTER now, and the clock's time at which it reaches a value.
  virtual u64 tsc() = 0;
  virtual u64 tsc_to_ns(u64 tsc) = 0;
};

class LocalApic final : public BusDevice {
 public:
  enum class Role : u8 { Bootstrap, Application };
  static constexpr u64 kDefaultBase = 0xfee00000;
  static constexpr u64 kPageBytes = 4096;

  /// Attaches itself to `bus`.
  LocalApic(u8 id, Role role, Clock& clock, ApicBus& bus, LocalApicHost& host);

  u64 read(u64 offset, u32 size) override;
  void write(u64 offset, u32 size, u64 value) override;

  // Towards the vCPU.
  bool interrupt_pending() const { return pending_; }
  /// The CPU takes the pending interrupt: its vector. Spurious if none is left.
  u8 acknowledge();
  u64 cr8() const { return state_.tpr >> 4; }
  void set_cr8(u64 value);
  /// 1Bh, 6E0h; 800h..8FFh are refused.
  Expected<u64> read_msr(u32 index);
  Expected<> write_msr(u32 index, u64 value);
  u64 base() const { return state_.apic_base & ~kPageMask; }
  /// IA32_APIC_BASE.EN: the page is decoded at base().
  bool globally_enabled() const;
  /// The TSC was written: the deadline's place in time may have moved.
  void tsc_changed();

  // Local interrupt pins: LINT0 takes the INT of the 8259A pair, LINT1 is NMI.
  IrqLine& lint0() { return lint0_; }
  IrqLine& lint1() { return lint1_; }

  // Towards the APIC bus.
  u8 id() const { return id_; }
  bool matches(DestinationMode mode, u8 destination) const;
  /// Takes part in the arbitration of lowest priority messages.
  bool software_enabled() const;
  u8 processor_priority() const;
  /// False if a message that names this APIC is not taken (software-disabled).
  bool accept(const InterruptMessage& message);

  /// Power-up and RESET; INIT keeps the id and IA32_APIC_BASE.
  void reset();
  void init_reset();
  /// What firmware leaves for a kernel: enabled, LINT0 = ExtINT (bootstrap only), LINT1 = NMI.
  void enter_virtual_wire_mode();

  template <class A>
  void serialize(A& archive) {
    archive(state_);
    if (archive.loading()) restored();
  }

 private:
  enum Lvt : u8 { kTimer, kThermal, kPerformance, kLint0, kLint1, kError, kLvtCount };
  enum class TimerMode : u8 { OneShot, Periodic, TscDeadline, Reserved };
  using VectorSet = std::array<u32, 8>;

  struct State {
    u64 apic_base = 0;
    u8 tpr = 0, ldr = 0;
    u32 dfr = 0, svr = 0;
    VectorSet isr{}, tmr{}, irr{};
    u32 esr = 0, esr_latched = 0;  ///< collected errors; what a write of ESR made readable
    u32 icr_low = 0, icr_high = 0;
    std::array<u32, kLvtCount> lvt{};
    u32 initial_count = 0, divide = 0;
    u64 timer_start = 0;  ///< ns, when the running count was started
    bool timer_running = false;
    u64 tsc_deadline = 0;
    std::array<bool, 2> lint{};     ///< levels of LINT0 and LINT1
    bool external_latched = false;  ///< an ExtINT message waits for its INTA cycles

    template <class A>
    void serialize(A& archive) {
      archive(apic_base, tpr, ldr, dfr, svr, isr, tmr, irr, esr, esr_latched, icr_low, icr_high,
              lvt, initial_count, divide, timer_start, timer_running, tsc_deadline, lint,
              external_latched);
    }
  };

  u32 read_register(u32 index);
  void write_register(u32 index, u32 value);
  void write_svr(u32 value);
  void write_lvt(Lvt entry, u32 value);
  void write_icr(u32 value);
  void write_base(u64 value);
  void end_of_interrupt();
  void raise_error(u32 bit);
  void accept_vector(u8 vector, TriggerMode trigger);
  void deliver_local(Lvt entry);
  void deliver_lint(u8 pin);
  void set_lint(u8 pin, bool level);
  bool local_pending() const;
  bool external_pending() const;
  u8 arbitration_priority() const;
  /// Recomputes pending_ and tells the host when it rises.
  void update();

  TimerMode timer_mode() const;
  u64 divisor() const;
  u64 span_ns() const;
  u32 current_count();
  void start_timer(u32 count);
  void change_timer_mode(TimerMode old_mode);
  void write_divide(u32 value);
  void arm_timer();
  void timer_expired();
  void restored();

  Clock& clock_;
  ApicBus& bus_;
  LocalApicHost& host_;
  Role role_;
  u8 id_;
  std::unique_ptr<Timer> timer_;
  LogOnce log_once_;
  bool pending_ = false;
  State state_;
  InputPin<LocalApic> lint0_, lint1_;
};

}  // namespace penumbra::devices
