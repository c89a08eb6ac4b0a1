#include "devices/local_apic.h"

#include <algorithm>
#include <bit>

namespace penumbra::devices {

namespace {

// Register numbers: offset / 16 (SDM 3A table 11-1).
enum Register : u8 {
  kId = 0x02,
  kVersion = 0x03,
  kTpr = 0x08,
  kApr = 0x09,
  kPpr = 0x0a,
  kEoi = 0x0b,
  kRrd = 0x0c,
  kLdr = 0x0d,
  kDfr = 0x0e,
  kSvr = 0x0f,
  kIsr = 0x10,
  kTmr = 0x18,
  kIrr = 0x20,
  kEsr = 0x28,
  kIcrLow = 0x30,
  kIcrHigh = 0x31,
  kLvtTimer = 0x32,
  kLvtError = 0x37,
  kInitialCount = 0x38,
  kCurrentCount = 0x39,
  kDivide = 0x3e,
};

constexpr u32 kVersionValue = 0x00050014;  ///< six LVT entries, integrated APIC
constexpr u64 kBaseBootstrap = 1 << 8, kBaseEnable = 1 << 11;
constexpr u64 kBaseReserved = ~(kBaseBootstrap | kBaseEnable | Bits<39, 12>::kMask);
constexpr u32 kSvrEnable = 1 << 8, kSvrReset = 0xff;
constexpr u32 kLvtRemoteIrr = 1 << 14, kLvtLevel = 1 << 15, kLvtMask = 1 << 16;
// Writable bits of timer, thermal, performance, LINT0, LINT1, error (SDM 3A figure 11-8).
constexpr u32 kLvtWritable[] = {0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff};
constexpr u32 kIcrWritable = 0xccfff, kIcrLogical = 1 << 11, kIcrAssert = 1 << 14,
              kIcrLevel = 1 << 15;
constexpr u32 kEsrSendIllegal = 1 << 5, kEsrReceiveIllegal = 1 << 6, kEsrIllegalRegister = 1 << 7;
constexpr u32 kMsrApicBase = 0x1b, kMsrTscDeadline = 0x6e0;
constexpr u8 kFirstLegalVector = 16, kBroadcast = 0xff;

using VectorSet = std::array<u32, 8>;

void insert(VectorSet& set, u8 vector) { set[vector / 32] |= 1u << (vector % 32); }
void erase(VectorSet& set, u8 vector) { set[vector / 32] &= ~(1u << (vector % 32)); }
bool contains(const VectorSet& set, u8 vector) { return set[vector / 32] >> (vector % 32) & 1; }

/// The highest vector; 0 if empty (vectors below 16 never enter).
u8 highest(const VectorSet& set) {
  for (int word = 7; word >= 0; --word)
    if (set[word]) return static_cast<u8>(32 * word + 31 - std::countl_zero(set[word]));
  return 0;
}

DeliveryMode delivery_of(u32 entry) { return static_cast<DeliveryMode>(Bits<10, 8>::get(entry)); }

}  // namespace

LocalApic::LocalApic(u8 id, Role role, Clock& clock, ApicBus& bus, LocalApicHost& host)
    : clock_(clock),
      bus_(bus),
      host_(host),
      role_(role),
      id_(id),
      timer_(clock.make_timer([this] { timer_expired(); })),
      lint0_(*this, &LocalApic::set_lint, 0),
      lint1_(*this, &LocalApic::set_lint, 1) {
  bus.attach(*this);
  reset();
}

void LocalApic::reset() {
  state_.apic_base = kDefaultBase | kBaseEnable | (role_ == Role::Bootstrap ? kBaseBootstrap : 0);
  init_reset();
}

void LocalApic::init_reset() {
  State fresh;
  fresh.apic_base = state_.apic_base;
  fresh.lint = state_.lint;
  fresh.dfr = ~0u;
  fresh.svr = kSvrReset;
  fresh.lvt.fill(kLvtMask);
  state_ = fresh;
  timer_->cancel();
  update();
}

void LocalApic::enter_virtual_wire_mode() {
  write_svr(kSvrEnable | 0x0f);
  bool bootstrap = role_ == Role::Bootstrap;
  write_lvt(kLint0, u32(DeliveryMode::ExtInt) << 8 | (bootstrap ? 0 : kLvtMask));
  write_lvt(kLint1, u32(DeliveryMode::Nmi) << 8);
}

bool LocalApic::globally_enabled() const { return state_.apic_base & kBaseEnable; }

bool LocalApic::software_enabled() const { return globally_enabled() && (state_.svr & kSvrEnable); }

// --- registers

u64 LocalApic::read(u64 offset, u32 size) {
  if (!globally_enabled()) return ~0ull;
  u64 byte = offset & 15;
  if (byte >= 4) return 0;
  u64 value = u64{read_register(static_cast<u32>(offset >> 4))} >> (8 * byte);
  return size >= 4 ? value : value & ((1ull << (8 * size)) - 1);
}

void LocalApic::write(u64 offset, u32 size, u64 value) {
  if (!globally_enabled() || (offset & 15) != 0 || size < 4) return;
  write_register(static_cast<u32>(offset >> 4), static_cast<u32>(value));
}

u32 LocalApic::read_register(u32 index) {
  if (index >= kIsr && index < kTmr) return state_.isr[index - kIsr];
  if (index >= kTmr && index < kIrr) return state_.tmr[index - kTmr];
  if (index >= kIrr && index < kEsr) return state_.irr[index - kIrr];
  if (index >= kLvtTimer && index <= kLvtError) return state_.lvt[index - kLvtTimer];
  switch (index) {
    case kId:
      return u32{id_} << 24;
    case kVersion:
      return kVersionValue;
    case kTpr:
      return state_.tpr;
    case kApr:
      return arbitration_priority();
    case kPpr:
      return processor_priority();
    case kEoi:
    case kRrd:
      return 0;
    case kLdr:
      return u32{state_.ldr} << 24;
    case kDfr:
      return state_.dfr;
    case kSvr:
      return state_.svr;
    case kEsr:
      return state_.esr_latched;
    case kIcrLow:
      return state_.icr_low;
    case kIcrHigh:
      return state_.icr_high;
    case kInitialCount:
      return state_.initial_count;
    case kCurrentCount:
      return current_count();
    case kDivide:
      return state_.divide;
    default:
      log_once_(fmt::format("local APIC: read of reserved register {:03x}h", index * 16));
      raise_error(kEsrIllegalRegister);
      return 0;
  }
}

void LocalApic::write_register(u32 index, u32 value) {
  if (index >= kLvtTimer && index <= kLvtError)
    return write_lvt(static_cast<Lvt>(index - kLvtTimer), value);
  switch (index) {
    case kTpr:
      state_.tpr = static_cast<u8>(value);
      return update();
    case kEoi:
      return end_of_interrupt();
    case kLdr:
      state_.ldr = static_cast<u8>(value >> 24);
      return;
    case kDfr:
      state_.dfr = value | 0x0fffffff;
      return;
    case kSvr:
      return write_svr(value);
    case kEsr:
      state_.esr_latched = state_.esr;
      state_.esr = 0;
      return;
    case kIcrLow:
      return write_icr(value);
    case kIcrHigh:
      state_.icr_high = value & 0xff000000;
      return;
    case kInitialCount:
      if (timer_mode() != TimerMode::TscDeadline) start_timer(value);
      return;
    case kDivide:
      return write_divide(value);
    case kId:
    case kVersion:
    case kApr:
    case kPpr:
    case kRrd:
    case kCurrentCount:
      return;  // read-only
    default:
      if (index >= kIsr && index < kEsr) return;
      log_once_(fmt::format("local APIC: write to reserved register {:03x}h", index * 16));
      raise_error(kEsrIllegalRegister);
  }
}

void LocalApic::write_svr(u32 value) {
  state_.svr = value & 0x1ff;
  if (value & kSvrEnable) return;
  for (u32& entry : state_.lvt) entry |= kLvtMask;  // SDM 3A 11.4.7.2
  update();
}

void LocalApic::write_lvt(Lvt entry, u32 value) {
  TimerMode old_mode = timer_mode();
  u32 kept = state_.lvt[entry] & kLvtRemoteIrr;
  bool level_fixed = (value & kLvtLevel) && delivery_of(value) == DeliveryMode::Fixed;
  state_.lvt[entry] = (value & kLvtWritable[entry]) | (level_fixed ? kept : 0);
  if (!software_enabled()) state_.lvt[entry] |= kLvtMask;
  if (entry == kTimer && timer_mode() != old_mode) change_timer_mode(old_mode);
  if (entry == kLint0 || entry == kLint1) {
    u8 pin = entry - kLint0;
    if (state_.lint[pin] && (state_.lvt[entry] & kLvtLevel)) deliver_lint(pin);
  }
  update();
}

// --- priorities and delivery (SDM 3A 11.8)

u8 LocalApic::processor_priority() const {
  u8 in_service = highest(state_.isr);
  return state_.tpr >> 4 >= in_service >> 4 ? state_.tpr : in_service & 0xf0;
}

u8 LocalApic::arbitration_priority() const {
  u8 tpr = state_.tpr >> 4, isr = highest(state_.isr) >> 4, irr = highest(state_.irr) >> 4;
  if (tpr >= irr && tpr > isr) return state_.tpr;
  return static_cast<u8>(std::max<u8>(tpr & isr, irr) << 4);
}

bool LocalApic::local_pending() const {
  return highest(state_.irr) >> 4 > processor_priority() >> 4;
}

bool LocalApic::external_pending() const {
  if (!globally_enabled()) return state_.lint[0];  // LINT0 is INTR then (SDM 3A 11.4.3)
  auto passes = [&](u8 pin) {
    u32 entry = state_.lvt[kLint0 + pin];
    bool external = delivery_of(entry) == DeliveryMode::ExtInt && !(entry & kLvtMask);
    return external && state_.lint[pin];
  };
  return state_.external_latched || passes(0) || passes(1);
}

void LocalApic::update() {
  bool was = pending_;
  pending_ = (globally_enabled() && local_pending()) || external_pending();
  if (pending_ && !was) host_.interrupt_changed();
}

u8 LocalApic::acknowledge() {
  u8 vector = static_cast<u8>(state_.svr);
  if (globally_enabled() && local_pending()) {
    vector = highest(state_.irr);
    erase(state_.irr, vector);
    insert(state_.isr, vector);
  } else if (external_pending()) {
    state_.external_latched = false;
    vector = host_.acknowledge_external();
  }
  update();
  return vector;
}

void LocalApic::set_cr8(u64 value) {
  state_.tpr = static_cast<u8>((value & 15) << 4);
  update();
}

void LocalApic::end_of_interrupt() {
  u8 vector = highest(state_.isr);
  if (vector == 0) return;
  erase(state_.isr, vector);
  for (u8 pin : {0, 1}) {
    u32& entry = state_.lvt[kLint0 + pin];
    if (!(entry & kLvtRemoteIrr) || static_cast<u8>(entry) != vector) continue;
    entry &= ~kLvtRemoteIrr;
    if (state_.lint[pin]) deliver_lint(pin);
  }
  if (contains(state_.tmr, vector)) bus_.broadcast_eoi(vector);
  update();
}

void LocalApic::accept_vector(u8 vector, TriggerMode trigger) {
  if (vector < kFirstLegalVector) return raise_error(kEsrReceiveIllegal);
  insert(state_.irr, vector);
  if (trigger == TriggerMode::Level) {
    insert(state_.tmr, vector);
  } else {
    erase(state_.tmr, vector);
  }
  update();
}

void LocalApic::raise_error(u32 error) {
  bool fresh = !(state_.esr & error);
  state_.esr |= error;
  bool deliverable = static_cast<u8>(state_.lvt[kError]) >= kFirstLegalVector;
  if (fresh && deliverable) deliver_local(kError);
}

bool LocalApic::matches(DestinationMode mode, u8 destination) const {
  if (!globally_enabled()) return false;
  if (destination == kBroadcast) return true;
  if (mode == DestinationMode::Physical) return destination == id_;
  if (state_.dfr >> 28 == 0xf) return destination & state_.ldr;
  bool cluster = destination >> 4 == state_.ldr >> 4;
  return cluster && (destination & state_.ldr & 0x0f);
}

bool LocalApic::accept(const InterruptMessage& message) {
  if (!globally_enabled()) return false;
  switch (message.delivery) {
    case DeliveryMode::Fixed:
    case DeliveryMode::LowestPriority:
      if (!software_enabled()) return false;
      accept_vector(message.vector, message.trigger);
      return true;
    case DeliveryMode::ExtInt:
      if (!software_enabled()) return false;
      state_.external_latched = true;
      update();
      return true;
    case DeliveryMode::Smi:
      host_.smi();
      return true;
    case DeliveryMode::Nmi:
      host_.nmi();
      return true;
    case DeliveryMode::Startup:
      host_.startup(message.vector);
      return true;
    case DeliveryMode::Init:
      if (!message.assert) return true;  // the arbitration ids that it resets do not exist
      init_reset();
      host_.init();
      return true;
    default:
      return false;
  }
}

void LocalApic::write_icr(u32 value) {
  state_.icr_low = value & kIcrWritable;
  InterruptMessage message;
  message.vector = static_cast<u8>(value);
  message.delivery = delivery_of(value);
  message.destination = static_cast<u8>(state_.icr_high >> 24);
  if (value & kIcrLogical) message.destination_mode = DestinationMode::Logical;
  message.assert = (value & kIcrAssert) || !(value & kIcrLevel);
  bool vectored =
      message.delivery == DeliveryMode::Fixed || message.delivery == DeliveryMode::LowestPriority;
  if (vectored && message.vector < kFirstLegalVector) return raise_error(kEsrSendIllegal);
  if (message.delivery == DeliveryMode::ExtInt || message.delivery == DeliveryMode::Reserved)
    return log_once_("local APIC: ICR with a reserved delivery mode");
  switch (Bits<19, 18>::get(value)) {
    case 0:
      bus_.deliver(message);
      return;
    case 1:
      accept(message);
      return;
    case 2:
      return bus_.deliver_to_all(message, nullptr);
    default:
      return bus_.deliver_to_all(message, this);
  }
}

// --- local vectors

void LocalApic::deliver_local(Lvt entry) {
  u32 value = state_.lvt[entry];
  if (value & kLvtMask) return;
  bool level = (value & kLvtLevel) && (entry == kLint0 || entry == kLint1);
  switch (delivery_of(value)) {
    case DeliveryMode::Fixed:
      if (level) state_.lvt[entry] |= kLvtRemoteIrr;
      return accept_vector(static_cast<u8>(value), TriggerMode::Edge);
    case DeliveryMode::Smi:
      return host_.smi();
    case DeliveryMode::Nmi:
      return host_.nmi();
    case DeliveryMode::Init:
      init_reset();
      return host_.init();
    default:
      return;  // ExtINT is a level: external_pending()
  }
}

void LocalApic::deliver_lint(u8 pin) {
  auto entry = static_cast<Lvt>(kLint0 + pin);
  if (state_.lvt[entry] & kLvtRemoteIrr) return;
  deliver_local(entry);
}

void LocalApic::set_lint(u8 pin, bool level) {
  bool rises = level && !state_.lint[pin];
  state_.lint[pin] = level;
  if (rises && globally_enabled()) deliver_lint(pin);
  if (rises && !globally_enabled() && pin == 1) host_.nmi();
  update();
}

// --- timer (SDM 3A 11.5.4)

LocalApic::TimerMode LocalApic::timer_mode() const {
  return static_cast<TimerMode>(Bits<18, 17>::get(state_.lvt[kTimer]));
}

u64 LocalApic::divisor() const {
  u32 code = (state_.divide & 3) | (state_.divide >> 1 & 4);
  return 1ull << ((code + 1) & 7);
}

u64 LocalApic::span_ns() const { return state_.initial_count * divisor(); }

u32 LocalApic::current_count() {
  if (!state_.timer_running) return 0;
  u64 counted = (clock_.now_ns() - state_.timer_start) / divisor();
  if (timer_mode() == TimerMode::Periodic) counted %= state_.initial_count;
  return static_cast<u32>(state_.initial_count - std::min<u64>(counted, state_.initial_count));
}

void LocalApic::start_timer(u32 count) {
  state_.initial_count = count;
  state_.timer_running = count != 0;
  state_.timer_start = clock_.now_ns();
  arm_timer();
}

void LocalApic::arm_timer() {
  if (timer_mode() == TimerMode::TscDeadline && state_.tsc_deadline != 0) {
    timer_->arm(host_.tsc_to_ns(state_.tsc_deadline));
  } else if (state_.timer_running) {
    timer_->arm(state_.timer_start + span_ns());
  } else {
    timer_->cancel();
  }
}

void LocalApic::change_timer_mode(TimerMode old_mode) {
  // To and from TSC-deadline mode the timer is disarmed (SDM 3A 11.5.4.1).
  if (old_mode == TimerMode::TscDeadline || timer_mode() == TimerMode::TscDeadline) {
    state_.timer_running = false;
    state_.tsc_deadline = 0;
  }
  arm_timer();
}

void LocalApic::write_divide(u32 value) {
  u64 counted = state_.initial_count - current_count();
  state_.divide = value & 0x0b;
  if (!state_.timer_running) return;
  state_.timer_start = clock_.now_ns() - counted * divisor();
  arm_timer();
}

void LocalApic::timer_expired() {
  if (timer_mode() == TimerMode::TscDeadline) {
    if (state_.tsc_deadline == 0) return;
    if (host_.tsc() < state_.tsc_deadline) {
      // The conversion was early by a rounding: not again at the same time.
      u64 soonest = clock_.now_ns() + 1;
      return timer_->arm(std::max(host_.tsc_to_ns(state_.tsc_deadline), soonest));
    }
    state_.tsc_deadline = 0;
  } else if (timer_mode() == TimerMode::Periodic && state_.timer_running) {
    u64 periods = (clock_.now_ns() - state_.timer_start) / span_ns();
    state_.timer_start += periods * span_ns();
    arm_timer();
  } else {
    state_.timer_running = false;
  }
  deliver_local(kTimer);
}

void LocalApic::tsc_changed() {
  if (timer_mode() == TimerMode::TscDeadline) arm_timer();
}

// --- model-specific registers

Expected<u64> LocalApic::read_msr(u32 index) {
  if (index == kMsrApicBase) return state_.apic_base;
  if (index == kMsrTscDeadline) return state_.tsc_deadline;
  return std::unexpected(Fault::gp());
}

Expected<> LocalApic::write_msr(u32 index, u64 value) {
  if (index == kMsrApicBase) {
    if (value & kBaseReserved) return std::unexpected(Fault::gp());
    write_base(value);
    return {};
  }
  if (index != kMsrTscDeadline) return std::unexpected(Fault::gp());
  if (timer_mode() != TimerMode::TscDeadline) return {};
  state_.tsc_deadline = value;
  arm_timer();
  if (value != 0 && host_.tsc() >= value) timer_expired();
  return {};
}

void LocalApic::write_base(u64 value) {
  bool was = globally_enabled();
  state_.apic_base = value;
  if (was && !globally_enabled()) init_reset();  // SDM 3A 11.4.3
  update();
  host_.base_changed();
}

void LocalApic::restored() {
  state_.apic_base &= ~kBaseReserved;
  state_.svr &= 0x1ff;
  state_.divide &= 0x0b;
  state_.icr_low &= kIcrWritable;
  for (u8 i = 0; i < kLvtCount; ++i) state_.lvt[i] &= kLvtWritable[i] | kLvtRemoteIrr;
  for (VectorSet* set : {&state_.isr, &state_.irr, &state_.tmr}) (*set)[0] &= 0xffff0000;
  if (state_.initial_count == 0) state_.timer_running = false;
  pending_ = false;
  arm_timer();
  update();
}

}  // namespace penumbra::devices
