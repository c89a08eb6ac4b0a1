#include "cpu/interrupts.h"

#include <fmt/format.h>

#include "cpu/mode.h"
#include "cpu/operand_access.h"
#include "cpu/segmentation.h"
#include "cpu/system/task_state.h"
#include "cpu/system/task_switch.h"

namespace penumbra::cpu {
namespace {

constexpr u32 kExternalBit = 1, kIdtBit = 2;
/// EFLAGS bits that entering a handler clears (SDM 3A 6.12.1.3).
constexpr u64 kClearedByEntry = Flag::kTf | Flag::kNt | Flag::kRf | Flag::kVm;

bool is_software(EventSource source) {
  return source == EventSource::SoftwareInt || source == EventSource::SoftwareTrap;
}
u32 external_bit(const Event& event) { return is_software(event.source) ? 0 : kExternalBit; }

std::unexpected<Fault> refuse_gate(Vector vector, const Event& event) {
  return std::unexpected(Fault::of(vector, event.vector * 8u + kIdtBit + external_bit(event)));
}

/// Adds the EXT bit to a fault met while delivering; page faults keep their code.
std::unexpected<Fault> during(const Event& event, Fault fault) {
  if (fault.kind == Fault::Kind::Exception && fault.vector != Vector::Pf &&
      has_error_code(fault.vector))
    fault.error_code |= external_bit(event);
  return std::unexpected(fault);
}

/// One delivery under way: what is known of the gate, the handler and its stack.
class Entry {
 public:
  Entry(CpuContext& ctx, const Event& event) : ctx_(ctx), state_(ctx.state), event_(event) {}
  Expected<> deliver();

 private:
  Expected<> deliver_real();
  Expected<> deliver_protected();
  Expected<> deliver_task(const Descriptor& gate);
  Expected<Descriptor> read_gate();
  Expected<> check_gate(const Descriptor& gate);
  Expected<> check_handler(u16 selector);
  Expected<> enter_long(const Descriptor& gate);
  Expected<> enter_same(const Descriptor& gate);
  Expected<> enter_inner(const Descriptor& gate);
  void push_v86_segments(Stack& stack, Width width);
  void push_frame(Stack& stack, Width width);
  Expected<> commit(Stack& stack, const Descriptor& gate, const SegmentRegister* new_ss);

  u64 flags_image() const {
    u64 flags = state_.flags();
    return event_.restart ? flags | Flag::kRf : flags;
  }
  u64 return_rip() const {
    return event_.length ? (state_.rip + event_.length) & rip_mask(code_size(state_)) : state_.rip;
  }
  static Width gate_width(const Descriptor& gate) {
    return gate.type() & 8 ? Width::W32 : Width::W16;
  }

  CpuContext& ctx_;
  CpuState& state_;
  const Event& event_;
  Descriptor handler_;
  u16 handler_selector_ = 0;
  u8 new_cpl_ = 0;
};

Expected<> Entry::deliver() { return is_protected(state_) ? deliver_protected() : deliver_real(); }

/// SDM 3A 20.1.4: the interrupt vector table of real mode.
Expected<> Entry::deliver_real() {
  if (event_.vector * 4u + 3 > state_.idtr.limit) return std::unexpected(Fault::gp(0));
  u64 entry = (state_.idtr.base + event_.vector * 4u) & 0xffffffffu;
  TRY_ASSIGN(u32 target, ctx_.memory.load<u32>(entry, Privilege::Implicit));
  Stack stack(ctx_);
  stack.push(state_.flags(), Width::W16);
  stack.push(state_.seg(Segment::Cs).selector, Width::W16);
  stack.push(return_rip(), Width::W16);
  TRY(stack.commit());
  load_real_segment(state_, Segment::Cs, static_cast<u16>(target >> 16));
  state_.rip = target & 0xffff;
  set_flags(ctx_, state_.flags() & ~u64{Flag::kIf | Flag::kTf | Flag::kAc | Flag::kRf});
  return {};
}

Expected<Descriptor> Entry::read_gate() {
  bool wide = state_.efer & Efer::kLma;
  u32 size = wide ? 16 : 8;
  u32 offset = event_.vector * size;
  if (offset + size - 1 > state_.idtr.limit) return refuse_gate(Vector::Gp, event_);
  u64 words[2] = {};
  u64 address = state_.idtr.base + offset;
  if (!wide) address &= 0xffffffffu;
  TRY(ctx_.memory.read(address, words, size, Privilege::Implicit));
  return Descriptor{words[0], words[1] & 0xffffffffu};
}

Expected<> Entry::check_gate(const Descriptor& gate) {
  SystemType type = gate.system_type();
  bool is_gate = type == SystemType::InterruptGate || type == SystemType::TrapGate;
  if (!(state_.efer & Efer::kLma))
    is_gate = is_gate || type == SystemType::TaskGate || type == SystemType::InterruptGate16 ||
              type == SystemType::TrapGate16;
  if (!gate.is_system() || !is_gate) return refuse_gate(Vector::Gp, event_);
  if (is_software(event_.source) && gate.dpl() < state_.cpl) return refuse_gate(Vector::Gp, event_);
  if (!gate.present()) return refuse_gate(Vector::Np, event_);
  return {};
}

/// The handler's code segment, and from it the CPL that the handler runs at.
Expected<> Entry::check_handler(u16 selector) {
  if (is_null(selector)) return std::unexpected(Fault::gp(0));
  TRY_ASSIGN(handler_, read_code_descriptor(ctx_, selector));
  if (handler_.dpl() > state_.cpl) return refuse(Vector::Gp, selector);
  bool must_be_long = state_.efer & Efer::kLma;
  if (must_be_long && !handler_.has(SegmentRegister::kLong)) return refuse(Vector::Gp, selector);
  if (!handler_.present()) return refuse(Vector::Np, selector);
  new_cpl_ = handler_.is_conforming() ? state_.cpl : handler_.dpl();
  if (in_v86(state_) && new_cpl_ != 0) return refuse(Vector::Gp, selector);
  handler_selector_ = static_cast<u16>((selector & ~3u) | new_cpl_);
  return {};
}

Expected<> Entry::deliver_protected() {
  bool sensitive = in_v86(state_) && event_.source == EventSource::SoftwareInt;
  if (sensitive && (state_.rflags & Flag::kIopl) != Flag::kIopl)
    return std::unexpected(Fault::gp(0));
  TRY_ASSIGN(Descriptor gate, read_gate());
  TRY(check_gate(gate));
  if (gate.system_type() == SystemType::TaskGate) return deliver_task(gate);
  if (auto checked = check_handler(gate.gate_selector()); !checked)
    return during(event_, checked.error());
  Expected<> entered = state_.efer & Efer::kLma ? enter_long(gate)
                       : new_cpl_ < state_.cpl  ? enter_inner(gate)
                                                : enter_same(gate);
  if (!entered) return during(event_, entered.error());
  return {};
}

Expected<> Entry::deliver_task(const Descriptor& gate) {
  auto target = task_gate_target(ctx_, gate);
  if (!target) return during(event_, target.error());
  u64 extra_flags = event_.restart ? Flag::kRf : 0;
  TaskSwitch request{*target, TaskReason::Interrupt, return_rip(), extra_flags};
  if (auto switched = switch_task(ctx_, request); !switched)
    return during(event_, switched.error());
  if (!event_.has_error_code) return {};
  Stack stack(ctx_);
  stack.push(event_.error_code, tss_is_16bit(state_.tr) ? Width::W16 : Width::W32);
  if (auto pushed = stack.commit(); !pushed) return during(event_, pushed.error());
  return {};
}

void Entry::push_frame(Stack& stack, Width width) {
  stack.push(flags_image(), width);
  stack.push(state_.seg(Segment::Cs).selector, width);
  stack.push(return_rip(), width);
  if (event_.has_error_code) stack.push(event_.error_code, width);
}

/// SDM 3A 6.14.
Expected<> Entry::enter_long(const Descriptor& gate) {
  bool inner = new_cpl_ < state_.cpl;
  u64 pointer = state_.reg(Reg::Rsp);
  if (inner || gate.gate_ist() != 0) {
    TRY_ASSIGN(pointer, read_long_stack(ctx_, new_cpl_, gate.gate_ist()));
  }
  Privilege privilege = inner ? Privilege::Implicit : Privilege::Current;
  Stack stack(ctx_, state_.seg(Segment::Ss), pointer & ~15ull, Width::W64, privilege);
  stack.push(state_.seg(Segment::Ss).selector, Width::W64);
  stack.push(state_.reg(Reg::Rsp), Width::W64);
  push_frame(stack, Width::W64);
  if (!is_canonical(gate.gate_offset())) return std::unexpected(Fault::gp(0));
  SegmentRegister null_ss = null_segment(new_cpl_);
  return commit(stack, gate, inner ? &null_ss : nullptr);
}

/// SDM 3A 6.12.1 and 20.3.1: stack switch, from virtual-8086 mode with the data segments.
Expected<> Entry::enter_inner(const Descriptor& gate) {
  TRY_ASSIGN(StackPointer inner, read_inner_stack(ctx_, new_cpl_));
  TRY_ASSIGN(SegmentRegister ss, check_stack_segment(ctx_, inner.selector, new_cpl_, Vector::Ts));
  TRY(mark_accessed(ctx_, ss));
  Width pointer_width = ss.has(SegmentRegister::kBig) ? Width::W32 : Width::W16;
  Width width = gate_width(gate);
  // The checks of the new stack are those of protected mode, also when coming from V86.
  Stack stack(ctx_, ss, inner.pointer, pointer_width, Privilege::Implicit);
  if (in_v86(state_)) push_v86_segments(stack, width);
  stack.push(state_.seg(Segment::Ss).selector, width);
  stack.push(state_.reg(Reg::Rsp), width);
  push_frame(stack, width);
  return commit(stack, gate, &ss);
}

void Entry::push_v86_segments(Stack& stack, Width width) {
  for (Segment which : {Segment::Gs, Segment::Fs, Segment::Ds, Segment::Es})
    stack.push(state_.seg(which).selector, width);
}

Expected<> Entry::enter_same(const Descriptor& gate) {
  Stack stack(ctx_);
  push_frame(stack, gate_width(gate));
  return commit(stack, gate, nullptr);
}

/// Everything is checked but the memory: limits, then writes, then the registers.
Expected<> Entry::commit(Stack& stack, const Descriptor& gate, const SegmentRegister* new_ss) {
  bool long_mode = state_.efer & Efer::kLma;
  u64 offset = gate.gate_offset();
  if (gate_width(gate) == Width::W16) offset &= 0xffff;
  if (!long_mode && offset > handler_.limit()) return std::unexpected(Fault::gp(0));
  SegmentRegister cs = segment_register(handler_selector_, handler_);
  TRY(mark_accessed(ctx_, cs));
  TRY(stack.write_pushes());
  bool from_v86 = in_v86(state_);
  state_.reg(Reg::Rsp) = stack.merged_rsp();
  if (new_ss) state_.seg(Segment::Ss) = *new_ss;
  state_.seg(Segment::Cs) = cs;
  if (from_v86)
    for (Segment which : {Segment::Gs, Segment::Fs, Segment::Ds, Segment::Es})
      state_.seg(which) = null_segment(0);
  state_.rip = offset;
  u64 cleared = kClearedByEntry | (gate.type() & 1 ? 0 : Flag::kIf);
  set_flags(ctx_, state_.flags() & ~cleared);
  set_cpl(ctx_, new_cpl_);
  return {};
}

// -- double and triple faults ---------------------------------------------------------------------

enum class Severity : u8 { Benign, Contributory, PageFault, DoubleFault };

/// SDM 3A table 6-4; software and external interrupts are benign whatever their vector.
Severity severity(const Event& event) {
  if (event.source != EventSource::Exception) return Severity::Benign;
  switch (static_cast<Vector>(event.vector)) {
    case Vector::De:
    case Vector::Ts:
    case Vector::Np:
    case Vector::Ss:
    case Vector::Gp:
      return Severity::Contributory;
    case Vector::Pf:
      return Severity::PageFault;
    case Vector::Df:
      return Severity::DoubleFault;
    default:
      return Severity::Benign;
  }
}

/// SDM 3A table 6-5.
bool makes_double_fault(Severity first, Severity second) {
  if (first == Severity::Contributory) return second == Severity::Contributory;
  return first == Severity::PageFault && second != Severity::Benign;
}

/// What an exception does besides its delivery: CR2, DR6, DR7.GD.
void note_exception(CpuState& state, const Event& event) {
  constexpr u64 kGeneralDetect = bit(13), kBreakpointCauses = 15;
  if (event.source != EventSource::Exception) return;
  if (event.vector == static_cast<u8>(Vector::Pf)) state.cr2 = event.address;
  if (event.vector != static_cast<u8>(Vector::Db)) return;
  state.dr6 = (state.dr6 & ~kBreakpointCauses) | event.dr6;
  state.dr7 &= ~kGeneralDetect;
}

std::string name_of(const Event& event) {
  static constexpr const char* kNames[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD",
                                           "#NM", "#DF", "",    "#TS", "#NP", "#SS", "#GP",
                                           "#PF", "",    "#MF", "#AC", "#MC", "#XM"};
  bool named = event.source == EventSource::Exception && event.vector < std::size(kNames);
  std::string text = named ? kNames[event.vector] : fmt::format("interrupt {:#x}", event.vector);
  if (event.has_error_code) text += fmt::format("({:#x})", event.error_code);
  if (event.vector == static_cast<u8>(Vector::Pf) && named) text += " [CR2 below]";
  return text;
}

/// The bytes of the vector's table entry, for the reader of a shutdown message.
std::string describe_entry(CpuContext& ctx, u8 vector) {
  const CpuState& state = ctx.state;
  u32 size = !is_protected(state) ? 4 : state.efer & Efer::kLma ? 16 : 8;
  if (vector * size + size - 1 > state.idtr.limit)
    return fmt::format("entry {:#x} lies beyond the IDT's limit {:#x}", vector, state.idtr.limit);
  u64 words[2] = {};
  auto read = ctx.memory.read(state.idtr.base + vector * size, words, size, Privilege::Implicit);
  if (!read)
    return fmt::format("entry {:#x} of the IDT at {:#x} cannot be read", vector, state.idtr.base);
  return fmt::format("entry {:#x} of the IDT at {:#x} is {:016x} {:016x}", vector, state.idtr.base,
                     words[0], words[1]);
}

std::string describe_shutdown(CpuContext& ctx, const std::string& chain, u8 vector) {
  const CpuState& state = ctx.state;
  return fmt::format(
      "triple fault: {}; at {:04x}:{:x}, CPL {}, RSP {:#x}, RFLAGS {:#x}, CR0 {:#x}, CR2 {:#x}, "
      "CR3 {:#x}, CR4 {:#x}, EFER {:#x}, TR {:#x}; {}",
      chain, state.seg(Segment::Cs).selector, state.rip, state.cpl, state.reg(Reg::Rsp),
      state.flags(), state.cr0, state.cr2, state.cr3, state.cr4, state.efer, state.tr.selector,
      describe_entry(ctx, vector));
}

/// The end of a delivered event.
void arrive(CpuState& state, const Event& event) {
  state.activity = Activity::Running;
  state.interrupt_shadow = 0;
  if (event.source == EventSource::Nmi) state.nmi_blocked = true;
}

Delivery shut_down(CpuContext& ctx, const std::string& chain, u8 vector) {
  Delivery result{Delivery::Kind::Shutdown, describe_shutdown(ctx, chain, vector)};
  ctx.state.activity = Activity::Shutdown;
  return result;
}

}  // namespace

Event Event::of(const Fault& fault) {
  Event event;
  event.vector = static_cast<u8>(fault.vector);
  event.has_error_code = penumbra::has_error_code(fault.vector);
  event.error_code = fault.error_code;
  event.address = fault.address;
  event.dr6 = fault.dr6;
  bool trap = fault.vector == Vector::Db || fault.vector == Vector::Bp ||
              fault.vector == Vector::Of || fault.vector == Vector::Df ||
              fault.vector == Vector::Mc;
  constexpr u64 kGeneralDetect = bit(13);  // the one debug exception that restarts with RF set
  event.restart = !trap || (fault.vector == Vector::Db && (fault.dr6 & kGeneralDetect));
  return event;
}

Expected<> deliver_once(CpuContext& ctx, const Event& event) { return Entry(ctx, event).deliver(); }

Delivery deliver(CpuContext& ctx, const Fault& fault) { return deliver(ctx, Event::of(fault)); }

Delivery deliver(CpuContext& ctx, const Event& first) {
  constexpr int kMostExceptions = 8;  // more can only be a cycle of benign ones
  Event event = first;
  std::string chain;
  for (int i = 0; i < kMostExceptions; ++i) {
    note_exception(ctx.state, event);
    auto delivered = deliver_once(ctx, event);
    if (delivered) {
      arrive(ctx.state, event);
      return {};
    }
    const Fault& fault = delivered.error();
    if (fault.kind == Fault::Kind::External) return {Delivery::Kind::External, {}};
    Event second = Event::of(fault);
    note_exception(ctx.state, second);
    if (chain.empty()) chain = name_of(event);
    chain += " raised " + name_of(second);
    if (severity(event) == Severity::DoubleFault) break;
    bool twofold = makes_double_fault(severity(event), severity(second));
    event = twofold ? Event::of(Fault::of(Vector::Df)) : second;
    if (twofold) chain += ", hence " + name_of(event);
  }
  return shut_down(ctx, chain, event.vector);
}

}  // namespace penumbra::cpu
