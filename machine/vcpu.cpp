#include "machine/vcpu.h"

#include <optional>
#include <utility>

#include "cpu/breakpoints.h"
#include "cpu/integer/straight_strings.h"
#include "cpu/interrupts.h"
#include "cpu/mode.h"
#include "cpu/reset.h"
#include "jit/engines.h"

namespace penumbra::machine {

using cpu::Flag;
using jit::Stop;

namespace {

jit::Engines::Tier tier_of(EngineKind kind) {
  return kind == EngineKind::Interp ? jit::Engines::Tier::Interpreter
                                    : jit::Engines::Tier::Baseline;
}

}  // namespace

struct Vcpu::Impl final : cpu::Environment, jit::Boundary {
  Impl(mmu::AddressSpace& address_space, const cpu::CpuModel& cpu_model, VcpuHost& vcpu_host,
       const EngineConfig& config)
      : space(address_space),
        model(cpu_model),
        host(vcpu_host),
        mmu(space, external),
        engine(context, space, mmu, *this, tier_of(config.kind), jit::Variation::of(config.seed)) {
    reset();
  }

  mmu::AddressSpace& space;
  cpu::CpuModel model;
  VcpuHost& host;
  cpu::CpuState state;
  ExternalBuffer external;
  mmu::Mmu mmu;
  cpu::CpuContext context{state, mmu, *this, model};
  jit::Engines engine;
  /// retired() is this minus instructions_left.
  u64 slice_end = 0;
  bool exit_requested = false;  ///< written atomically
  /// An event whose delivery waits for an external access.
  std::optional<cpu::Event> undelivered;
  TraceFunction trace = nullptr;
  void* trace_user = nullptr;
  /// What was traced last: an instruction that was stopped before it ran is not traced again.
  struct Traced {
    u64 retired = ~0ull, rip = 0;
    bool operator==(const Traced&) const = default;
  } traced;
  ExceptionHook exception_hook;
  u64 executed = 0;       ///< instructions, by all tiers
  VcpuCounters counters;  ///< those that are not of instructions, nor the engine's
  /// The next block is longer than the rest of the slice: go on one by one.
  bool step_rest = false;
  /// Count at which an interrupt shadow was found to hold nothing up. It is put back where blocks
  /// stop before that instruction.
  u64 shadow_passed = kNever;
  static constexpr u64 kNever = ~0ull;
  /// How the delivery of an exception ended, if not in the handler.
  std::optional<Exit> undelivered_exit;
  static constexpr u64 kSingleStep = bit(14);  ///< DR6.BS

  // -- Environment
  // ---------------------------------------------------------------------------------
  Expected<u32> port_read(u16 port, u8 size) override {
    TRY_ASSIGN(u64 value, external.read(ExternalAccess::Space::Port, port, size));
    return static_cast<u32>(value);
  }
  Expected<> port_write(u16 port, u8 size, u32 value) override {
    return external.write(ExternalAccess::Space::Port, port, size, value);
  }
  u64 clock_tsc() override { return host.clock_tsc(); }
  u64 random() override { return host.random(); }
  Expected<u64> apic_read_msr(u32 index) override { return host.apic_read_msr(index); }
  Expected<> apic_write_msr(u32 index, u64 value) override {
    return host.apic_write_msr(index, value);
  }
  u64 read_cr8() override { return host.read_cr8(); }
  void write_cr8(u64 value) override { host.write_cr8(value); }
  void paging_changed() override { update_paging(); }
  void privilege_changed() override {
    state.table = mmu.set_privilege(state.cpl, state.flag(Flag::kAc));
  }
  void cr3_written(u64 value) override {
    mmu.write_cr3(value);
    update_paging();
  }
  void paging_mode_changed() override {
    mmu.write_cr3(state.cr3);
    update_paging();
  }
  void invlpg(u64 linear) override {
    mmu.invalidate_page(linear);
    state.table = mmu.table();
  }
  void invpcid(u64 type, u16 pcid, u64 linear) override {
    mmu.invalidate_pcid(type, pcid, linear);
    state.table = mmu.table();
  }
  bool shadow_hides_nothing() override {
    if (state.pending_debug != 0 || state.nmi_pending || host.interrupt_pending()) return false;
    state.interrupt_shadow = 0;
    shadow_passed = retired() + 1;
    return true;
  }
  /// Elements of at most 8 bytes: as many as are sure to fit what is left of the slice, so that it
  /// ends behind the same element however the instruction was cut up before.
  /// Single-stepping traps after each iteration (SDM 3B 17.3.1.4).
  u64 repeat_budget() override {
    if (state.flag(Flag::kTf)) return 1;
    u64 left = static_cast<u64>(std::clamp<i64>(state.instructions_left, 1, i64{1} << 40));
    return std::max<u64>((left * 64 - state.repeat_bytes) / 8, 1);
  }
  void charge_repeat(u64 bytes) override { cpu::charge_repeated(state, bytes); }

  // -- Boundary
  // ------------------------------------------------------------------------------------
  Stop settle(Stop stop, CodeMode& mode) override;

  void update_paging() {
    mmu.set_context({.cr0 = state.cr0,
                     .cr3 = state.cr3,
                     .cr4 = state.cr4,
                     .efer = state.efer,
                     .pkru = 0,
                     .cpl = state.cpl,
                     .ac = state.flag(Flag::kAc)});
    state.table = mmu.table();
  }

  // -- running
  // -------------------------------------------------------------------------------------
  u64 retired() const { return slice_end - static_cast<u64>(state.instructions_left); }
  void set_slice(u64 instructions) {
    slice_end = retired() + instructions;
    state.instructions_left = static_cast<i64>(instructions);
  }

  Exit run(u64 max_instructions);
  void reset();
  void serialize_undelivered(Archive& archive);
  void loaded();

 private:
  std::optional<Exit> before_instruction();
  std::optional<Exit> deliver(const cpu::Event& event);
  std::optional<Exit> instruction_breakpoint();
  std::optional<Exit> wake_or_halt();
  std::optional<Exit> after_stop(Stop stop);
  std::optional<Exit> on_fault(const Fault& fault);
  Stop step(u64 goal);
  bool deliver_at_once();
  bool pass_quietly();
  void trace_once();
  bool interrupt_deliverable() { return state.flag(Flag::kIf) && host.interrupt_pending(); }
  Exit external_exit();
  bool take_exit_request();
};

void Vcpu::Impl::reset() {
  u64 count = retired();
  cpu::reset(state, model);
  external.clear();
  undelivered.reset();
  slice_end = count;
  state.instructions_left = 0;
  paging_mode_changed();
}

bool Vcpu::Impl::take_exit_request() {
  if (!__atomic_exchange_n(&exit_requested, false, __ATOMIC_ACQ_REL)) return false;
  __atomic_store_n(&state.stop_below, 0, __ATOMIC_RELAXED);
  return true;
}

Exit Vcpu::Impl::external_exit() {
  const ExternalAccess& access = external.pending();
  bool port = access.space == ExternalAccess::Space::Port;
  return {port ? Exit::Reason::Port : Exit::Reason::Mmio, access, {}};
}

Exit Vcpu::Impl::run(u64 max_instructions) {
  u64 goal = retired() + max_instructions;
  for (;;) {
    if (external.has_pending()) return external_exit();
    if (auto exit = before_instruction()) return *exit;
    if (retired() >= goal) return {Exit::Reason::Budget, {}, {}};
    if (take_exit_request()) return {Exit::Reason::Interrupted, {}, {}};
    if (auto exit = instruction_breakpoint()) return *exit;
    if (auto exit = after_stop(step(goal))) return *exit;
  }
}

/// Events at an instruction boundary, in the manual's order (SDM 3A table 6-2).
std::optional<Exit> Vcpu::Impl::before_instruction() {
  if (external.has_finished() && !undelivered) return {};  // in the middle of an instruction
  if (undelivered) {
    cpu::Event event = *undelivered;
    return deliver(event);
  }
  if (state.activity != cpu::Activity::Running) return wake_or_halt();
  if (state.pending_debug != 0) {
    Fault trap = Fault::of(Vector::Db);
    trap.dr6 = state.pending_debug;
    state.pending_debug = 0;
    if (exception_hook && exception_hook(trap)) return Exit{Exit::Reason::Debug, {}, {}};
    return deliver(cpu::Event::of(trap));
  }
  if (state.interrupt_shadow) return {};
  if (state.nmi_pending && !state.nmi_blocked) {
    state.nmi_pending = false;
    return deliver(cpu::Event::of(cpu::EventSource::Nmi, static_cast<u8>(Vector::Nmi)));
  }
  if (interrupt_deliverable()) {
    ++counters.interrupts;
    return deliver(cpu::Event::of(cpu::EventSource::External, host.acknowledge_interrupt()));
  }
  return {};
}

/// Instruction breakpoints are faults, looked at last before the instruction (SDM 3A table 6-2).
std::optional<Exit> Vcpu::Impl::instruction_breakpoint() {
  if (external.has_finished() || !cpu::has_breakpoint(state, cpu::BreakpointKind::Execute)) {
    return {};
  }
  bool is_long = cpu::code_size(state) == CodeSize::Long;
  u64 linear = state.rip + (is_long ? 0 : state.seg(Segment::Cs).base);
  u64 causes = cpu::instruction_breakpoints(state, is_long ? linear : linear & 0xffffffff);
  if (causes == 0) return {};
  Fault fault = Fault::of(Vector::Db);
  fault.dr6 = causes;
  return on_fault(fault);
}

std::optional<Exit> Vcpu::Impl::wake_or_halt() {
  bool wakes = (state.nmi_pending && !state.nmi_blocked) || interrupt_deliverable();
  if (state.activity != cpu::Activity::Halted || !wakes) return Exit{Exit::Reason::Halt, {}, {}};
  state.activity = cpu::Activity::Running;
  state.interrupt_shadow = 0;
  return before_instruction();
}

std::optional<Exit> Vcpu::Impl::deliver(const cpu::Event& event) {
  external.rewind();
  cpu::Delivery delivery = cpu::deliver(context, event);
  undelivered.reset();
  switch (delivery.kind) {
    case cpu::Delivery::Kind::Delivered:
      external.clear();
      state.interrupt_shadow = 0;
      return {};
    case cpu::Delivery::Kind::External:
      undelivered = event;
      return external_exit();
    case cpu::Delivery::Kind::Shutdown:
      external.clear();
      state.activity = cpu::Activity::Shutdown;
      return Exit{Exit::Reason::Shutdown, {}, std::move(delivery.detail)};
  }
  return {};
}

void Vcpu::Impl::trace_once() {
  Traced now{retired(), state.rip};
  if (now == traced) return;
  traced = now;
  trace(trace_user, state);
}

/// Runs blocks, or one instruction where something has to be looked at behind it.
Stop Vcpu::Impl::step(u64 goal) {
  CodeMode mode = cpu::code_mode(state, !space.a20());
  bool shadow = state.interrupt_shadow != 0, trap = state.flag(Flag::kTf);
  bool armed = mode.has(CodeMode::kBreakpoints), resumes = state.flag(Flag::kRf);
  bool single = shadow || trap || armed || trace != nullptr || external.has_finished() || step_rest;
  if (trace != nullptr && !external.has_finished()) trace_once();
  u64 before = retired();
  set_slice(single ? 1 : goal - before);
  external.rewind();
  shadow_passed = kNever;
  Stop stop = engine.run(mode, single);
  if (shadow_passed == retired()) state.interrupt_shadow = 1;
  executed += retired() - before;
  step_rest = stop == Stop::Slice && state.instructions_left > 0;
  bool retired_one = single && retired() != before;
  if (retired_one && shadow) state.interrupt_shadow = 0;
  if ((retired_one || stop == Stop::Repeat) && trap) state.pending_debug |= kSingleStep;
  // SDM 3B 17.3.1.1: RF holds for one instruction.
  if (retired_one && armed && resumes) state.rflags &= ~u64{Flag::kRf};
  return stop;
}

/// Where nothing but the exception that stopped blocks is due, they go on in the same slice.
Stop Vcpu::Impl::settle(Stop stop, CodeMode& mode) {
  if (stop == Stop::Fault && !deliver_at_once()) return stop;
  if (state.instructions_left <= 0 || !pass_quietly()) return Stop::Retired;
  mode = cpu::code_mode(state, !space.a20());
  bool looks_behind = mode.has(CodeMode::kTrap) || mode.has(CodeMode::kBreakpoints);
  return looks_behind ? Stop::Retired : Stop::Lookup;
}

bool Vcpu::Impl::deliver_at_once() {
  if (undelivered_exit) return false;
  if (engine.fault().kind == Fault::Kind::External || exception_hook) return false;
  undelivered_exit = on_fault(engine.fault());
  if (undelivered_exit) return false;
  shadow_passed = kNever;
  return true;
}

/// Whether before_instruction() would find nothing to do. A shadow that hides nothing is over.
bool Vcpu::Impl::pass_quietly() {
  bool running = state.activity == cpu::Activity::Running;
  if (!running || state.pending_debug != 0 || state.nmi_pending) return false;
  bool masked = !state.flag(Flag::kIf);
  if (!state.interrupt_shadow) return masked || !host.interrupt_pending();
  if (host.interrupt_pending()) return false;
  state.interrupt_shadow = 0;
  shadow_passed = retired();
  return true;
}

std::optional<Exit> Vcpu::Impl::after_stop(Stop stop) {
  if (undelivered_exit) return std::exchange(undelivered_exit, {});
  if (stop == Stop::Fault) return on_fault(engine.fault());
  if (stop != Stop::Repeat) external.clear();
  return {};
}

std::optional<Exit> Vcpu::Impl::on_fault(const Fault& fault) {
  if (fault.kind == Fault::Kind::External) return external_exit();
  external.clear();
  ++counters.exceptions;
  if (exception_hook && exception_hook(fault)) return Exit{Exit::Reason::Debug, {}, {}};
  return deliver(cpu::Event::of(fault));
}

void Vcpu::Impl::serialize_undelivered(Archive& archive) {
  bool waiting = undelivered.has_value();
  cpu::Event event = undelivered.value_or(cpu::Event{});
  archive(waiting, event);
  if (archive.loading()) undelivered = waiting ? std::optional(event) : std::nullopt;
}

/// Loaded fields are untrusted: those that index or reach the host's units are put in range.
void Vcpu::Impl::loaded() {
  constexpr u32 kMxcsrDefined = 0xffff;
  if (state.flag_kind > cpu::FlagKind::Last) state.flag_kind = cpu::FlagKind::Explicit;
  if (!cpu::is_partial(state.flag_modifier)) state.flag_modifier = cpu::FlagKind::None;
  if (state.activity > cpu::Activity::WaitForSipi) state.activity = cpu::Activity::Shutdown;
  state.cpl &= 3;
  state.mxcsr &= kMxcsrDefined;
  slice_end = state.retired;
  state.instructions_left = 0;
  engine.flush();
  paging_mode_changed();
}

Vcpu::Vcpu(mmu::AddressSpace& space, const cpu::CpuModel& model, VcpuHost& host,
           const EngineConfig& engine)
    : impl_(std::make_unique<Impl>(space, model, host, engine)) {}
Vcpu::~Vcpu() = default;

Exit Vcpu::run(u64 max_instructions) {
  Exit exit = impl_->run(max_instructions);
  impl_->state.retired = impl_->retired();
  ++impl_->counters.exits[static_cast<u8>(exit.reason)];
  return exit;
}

void Vcpu::complete(u64 data) { impl_->external.complete(data); }

void Vcpu::request_exit() {
  __atomic_store_n(&impl_->exit_requested, true, __ATOMIC_RELEASE);
  __atomic_store_n(&impl_->state.stop_below, INT64_MAX, __ATOMIC_RELEASE);
}

void Vcpu::reset() { impl_->reset(); }
void Vcpu::raise_nmi() { impl_->state.nmi_pending = true; }
cpu::CpuState& Vcpu::state() { return impl_->state; }
void Vcpu::state_changed() { impl_->paging_mode_changed(); }
mmu::Mmu& Vcpu::mmu() { return impl_->mmu; }
u64 Vcpu::retired() const { return impl_->retired(); }

std::vector<VcpuCounters::Entry> VcpuCounters::list() const {
  auto exit = [this](Exit::Reason reason) { return exits[static_cast<u8>(reason)]; };
  const auto& slow = engine.slow;
  return {{"instructions", "interpreted", interpreted},
          {"instructions", "generated", generated},
          {"translation", "blocks", engine.blocks},
          {"translation", "instructions", engine.instructions},
          {"translation", "invalidations", engine.invalidations},
          {"translation", "code_bytes", engine.code_bytes},
          {"translation", "code_evictions", engine.code_evictions},
          {"translation", "nanoseconds", engine.translation_ns},
          {"finding", "lookups", engine.lookups},
          {"finding", "links", engine.links},
          {"finding", "jumps_asked", engine.jumps_asked},
          {"finding", "links_asked", engine.links_asked},
          {"left_blocks", "end_of_slice", engine.ends_of_slice},
          {"left_blocks", "invalid", engine.invalid},
          {"slow_paths", "loads", slow.loads},
          {"slow_paths", "stores", slow.stores},
          {"slow_paths", "calls", slow.calls},
          {"slow_paths", "micro_ops", slow.micro_ops},
          {"slow_paths", "flags", slow.flags},
          {"slow_paths", "floating_point", slow.floating_point},
          {"slow_paths", "segments", slow.segments},
          {"slow_paths", "second_pages", slow.second_pages},
          {"slow_paths", "faults", slow.faults},
          {"events", "interrupts", interrupts},
          {"events", "exceptions", exceptions},
          {"exits", "budget", exit(Exit::Reason::Budget)},
          {"exits", "port", exit(Exit::Reason::Port)},
          {"exits", "mmio", exit(Exit::Reason::Mmio)},
          {"exits", "halt", exit(Exit::Reason::Halt)},
          {"exits", "shutdown", exit(Exit::Reason::Shutdown)},
          {"exits", "debug", exit(Exit::Reason::Debug)},
          {"exits", "interrupted", exit(Exit::Reason::Interrupted)}};
}

VcpuCounters Vcpu::counters() const {
  VcpuCounters counters = impl_->counters;
  counters.engine = impl_->engine.counters();
  bool generates = impl_->engine.tier() == jit::Engines::Tier::Baseline;
  counters.interpreted = generates ? counters.engine.stepped : impl_->executed;
  counters.generated = impl_->executed - counters.interpreted;
  return counters;
}

std::string Vcpu::describe_blocks(u64 linear, CodeMode mode) const {
  GuestPhys physical;
  if (!impl_->mmu.peek(linear, physical)) return {};
  return impl_->engine.describe_blocks(physical, mode);
}

void Vcpu::observe_host_code(HostCodeObserver* observer) {
  impl_->engine.observe_host_code(observer);
}

void Vcpu::set_trace(TraceFunction function, void* user) {
  impl_->trace = function;
  impl_->trace_user = user;
  impl_->traced = {};
}

void Vcpu::set_exception_hook(ExceptionHook hook) { impl_->exception_hook = std::move(hook); }

void Vcpu::serialize(Archive& archive) {
  cpu::CpuState& s = impl_->state;
  s.retired = impl_->retired();
  archive(s, impl_->external);
  impl_->serialize_undelivered(archive);
  if (archive.loading()) impl_->loaded();
}

}  // namespace penumbra::machine
