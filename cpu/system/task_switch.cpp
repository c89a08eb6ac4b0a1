#include "cpu/system/task_switch.h"

#include "cpu/mode.h"
#include "cpu/operand_access.h"
#include "cpu/system/task_state.h"

namespace penumbra::cpu {
namespace {

constexpr u16 kTableIndicator = 4;
constexpr u8 kBusy = 2;
constexpr unsigned kSegments = 6;

/// Offsets of a TSS form (SDM 3A figures 7-2 and 7-10): general registers and segments stand in
/// the manuals' order from `registers` and `segments` on.
struct Layout {
  Width width;
  u32 size, cr3, rip, registers, segments, ldt;
  unsigned segment_count;
};
constexpr Layout kLayout32 = {Width::W32, 104, 0x1c, 0x20, 0x28, 0x48, 0x60, 6};
constexpr Layout kLayout16 = {Width::W16, 44, 0, 0x0e, 0x12, 0x22, 0x2a, 4};
constexpr u32 kTrapFlag = 0x64;
constexpr u64 kBtCause = bit(15), kLocalEnables = 0x155;

/// What a TSS holds.
struct TaskImage {
  u64 rip = 0, flags = 0, cr3 = 0;
  u64 gpr[8] = {};
  u16 segment[kSegments] = {};
  u16 ldt = 0;
  bool trap = false;
};

class Switch {
 public:
  Switch(CpuContext& ctx, const TaskSwitch& request)
      : ctx_(ctx), state_(ctx.state), request_(request) {}
  Expected<> run();

 private:
  Expected<> find_target();
  Expected<> read_target();
  Expected<> probe_writes();
  Expected<> save_outgoing();
  Expected<> mark_descriptors();
  void load_registers();
  Expected<> load_segments();
  Expected<> load_ldt();
  Expected<> load_code();
  Expected<> load_stack_and_data();

  bool leaves() const {
    return request_.reason == TaskReason::Jump || request_.reason == TaskReason::Return;
  }
  bool nests() const {
    return request_.reason == TaskReason::Call || request_.reason == TaskReason::Interrupt;
  }
  bool returns() const { return request_.reason == TaskReason::Return; }
  Vector refusal() const { return returns() ? Vector::Ts : Vector::Gp; }
  const Layout& outgoing_layout() const { return tss_is_16bit(state_.tr) ? kLayout16 : kLayout32; }
  Expected<u64> field(u32 offset, Width width) {
    return load_value(ctx_.memory, linear(target_.base + offset), width, Privilege::Implicit);
  }
  Expected<> save(u32 offset, Width width, u64 value) {
    return store_value(ctx_.memory, linear(state_.tr.base + offset), width, value,
                       Privilege::Implicit);
  }
  Expected<> set_busy(u16 selector, bool busy);
  static u64 linear(u64 address) { return address & 0xffffffffu; }

  CpuContext& ctx_;
  CpuState& state_;
  const TaskSwitch& request_;
  SegmentRegister target_;
  const Layout* layout_ = &kLayout32;
  TaskImage image_;
};

Expected<> Switch::run() {
  TRY(find_target());
  TRY(read_target());
  TRY(probe_writes());
  TRY(save_outgoing());
  TRY(mark_descriptors());
  load_registers();
  return load_segments();
}

/// A TSS of the GDT: available, or for a return busy; present; large enough.
Expected<> Switch::find_target() {
  u16 selector = request_.selector;
  if (is_null(selector) || (selector & kTableIndicator)) return refuse(refusal(), selector);
  TRY_ASSIGN(Descriptor descriptor, read_descriptor(ctx_, selector, refusal()));
  SystemType type = descriptor.system_type();
  bool wide = type == SystemType::Tss || type == SystemType::BusyTss;
  bool narrow = type == SystemType::Tss16 || type == SystemType::BusyTss16;
  bool busy = descriptor.type() & kBusy;
  if (!descriptor.is_system() || !(wide || narrow) || busy != returns())
    return refuse(refusal(), selector);
  if (!descriptor.present()) return refuse(Vector::Np, selector);
  target_ = segment_register(selector, descriptor);
  layout_ = narrow ? &kLayout16 : &kLayout32;
  if (target_.limit < layout_->size - 1) return refuse(Vector::Ts, selector);
  return {};
}

Expected<> Switch::read_target() {
  const Layout& l = *layout_;
  u32 step = bytes(l.width);
  TRY_ASSIGN(image_.rip, field(l.rip, l.width));
  TRY_ASSIGN(image_.flags, field(l.rip + step, l.width));
  for (unsigned i = 0; i < 8; ++i) {
    TRY_ASSIGN(image_.gpr[i], field(l.registers + i * step, l.width));
  }
  for (unsigned i = 0; i < l.segment_count; ++i) {
    TRY_ASSIGN(u64 selector, field(l.segments + i * step, Width::W16));
    image_.segment[i] = static_cast<u16>(selector);
  }
  TRY_ASSIGN(u64 ldt, field(l.ldt, Width::W16));
  image_.ldt = static_cast<u16>(ldt);
  if (l.width == Width::W16) return {};
  TRY_ASSIGN(image_.cr3, field(l.cr3, Width::W32));
  TRY_ASSIGN(u64 trap, field(kTrapFlag, Width::W16));
  image_.trap = trap & 1;
  return {};
}

/// Everything that will be written, so that no write can fault half-way.
Expected<> Switch::probe_writes() {
  const Layout& out = outgoing_layout();
  if (state_.tr.has(SegmentRegister::kUnusable) || state_.tr.limit < out.size - 1)
    return refuse(Vector::Ts, state_.tr.selector);
  u32 saved = out.ldt - out.rip;
  TRY(ctx_.memory.probe(linear(state_.tr.base + out.rip), saved, Access::Write,
                        Privilege::Implicit));
  if (nests()) TRY(ctx_.memory.probe(linear(target_.base), 2, Access::Write, Privilege::Implicit));
  for (u16 selector : {state_.tr.selector, request_.selector}) {
    TRY_ASSIGN(u64 address, descriptor_address(ctx_, selector, 8, Vector::Ts));
    TRY(ctx_.memory.probe(address + 5, 1, Access::Write, Privilege::Implicit));
  }
  return {};
}

Expected<> Switch::save_outgoing() {
  const Layout& l = outgoing_layout();
  u32 step = bytes(l.width);
  u64 flags = state_.flags() | request_.extra_flags;
  if (returns()) flags &= ~u64{Flag::kNt};
  TRY(save(l.rip, l.width, request_.resume_rip));
  TRY(save(l.rip + step, l.width, flags));
  for (unsigned i = 0; i < 8; ++i) TRY(save(l.registers + i * step, l.width, state_.gpr[i]));
  for (unsigned i = 0; i < l.segment_count; ++i)
    TRY(save(l.segments + i * step, Width::W16, state_.segment[i].selector));
  if (nests()) {
    TRY(ctx_.memory.store<u16>(linear(target_.base), state_.tr.selector, Privilege::Implicit));
  }
  return {};
}

Expected<> Switch::set_busy(u16 selector, bool busy) {
  TRY_ASSIGN(u64 address, descriptor_address(ctx_, selector, 8, Vector::Ts));
  TRY_ASSIGN(u8 access, ctx_.memory.load<u8>(address + 5, Privilege::Implicit));
  u8 marked = static_cast<u8>(busy ? access | kBusy : access & ~kBusy);
  return ctx_.memory.store<u8>(address + 5, marked, Privilege::Implicit);
}

/// A task that was left for good is available again; one that waits for a return stays busy.
Expected<> Switch::mark_descriptors() {
  if (leaves()) TRY(set_busy(state_.tr.selector, false));
  if (!returns()) TRY(set_busy(request_.selector, true));
  return {};
}

/// The commit: from here on the new task runs.
void Switch::load_registers() {
  state_.tr = target_;
  state_.tr.attributes |= kBusy;
  state_.cr0 |= Cr0::kTs;
  state_.dr7 &= ~kLocalEnables;
  bool paged = layout_->width == Width::W32 && (state_.cr0 & Cr0::kPg);
  if (paged) {
    state_.cr3 = image_.cr3;
    ctx_.environment.cr3_written(image_.cr3);
  }
  state_.rip = image_.rip;
  for (unsigned i = 0; i < 8; ++i) state_.gpr[i] = image_.gpr[i];
  for (unsigned i = 0; i < kSegments; ++i) state_.segment[i] = null_segment(image_.segment[i]);
  state_.ldtr = null_segment(image_.ldt);
  set_flags(ctx_, image_.flags | (nests() ? Flag::kNt : 0));
  bool v86 = image_.flags & Flag::kVm;
  set_cpl(ctx_, v86 ? 3 : rpl(image_.segment[static_cast<u8>(Segment::Cs)]));
  if (image_.trap) state_.pending_debug |= kBtCause;
}

/// Faults of segment loads are #TS here, but not-present ones keep their vector.
std::unexpected<Fault> invalid_task(Fault fault) {
  if (fault.vector == Vector::Gp) fault.vector = Vector::Ts;
  return std::unexpected(fault);
}

Expected<> Switch::load_ldt() {
  if (is_null(image_.ldt)) return {};
  if (image_.ldt & kTableIndicator) return refuse(Vector::Ts, image_.ldt);
  TRY_ASSIGN(Descriptor descriptor, read_descriptor(ctx_, image_.ldt, Vector::Ts));
  bool is_ldt = descriptor.is_system() && descriptor.system_type() == SystemType::Ldt;
  if (!is_ldt || !descriptor.present()) return refuse(Vector::Ts, image_.ldt);
  state_.ldtr = segment_register(image_.ldt, descriptor);
  return {};
}

Expected<> Switch::load_code() {
  u16 selector = image_.segment[static_cast<u8>(Segment::Cs)];
  if (is_null(selector)) return refuse(Vector::Ts, selector);
  TRY_ASSIGN(Descriptor code, read_descriptor(ctx_, selector, Vector::Ts));
  bool fits = code.is_code() &&
              (code.is_conforming() ? code.dpl() <= rpl(selector) : code.dpl() == rpl(selector));
  if (!fits) return refuse(Vector::Ts, selector);
  if (!code.present()) return refuse(Vector::Np, selector);
  SegmentRegister cs = segment_register(selector, code);
  TRY(mark_accessed(ctx_, cs));
  state_.seg(Segment::Cs) = cs;
  return {};
}

Expected<> Switch::load_stack_and_data() {
  u16 stack_selector = image_.segment[static_cast<u8>(Segment::Ss)];
  TRY_ASSIGN(SegmentRegister ss, check_stack_segment(ctx_, stack_selector, state_.cpl, Vector::Ts));
  TRY(mark_accessed(ctx_, ss));
  state_.seg(Segment::Ss) = ss;
  for (Segment which : {Segment::Ds, Segment::Es, Segment::Fs, Segment::Gs})
    if (auto loaded = load_segment(ctx_, which, image_.segment[static_cast<u8>(which)]); !loaded)
      return invalid_task(loaded.error());
  return {};
}

Expected<> Switch::load_segments() {
  TRY(load_ldt());
  if (in_v86(state_)) {
    for (unsigned i = 0; i < kSegments; ++i)
      load_v86_segment(state_, static_cast<Segment>(i), image_.segment[i]);
  } else {
    TRY(load_code());
    TRY(load_stack_and_data());
  }
  if (image_.rip > state_.seg(Segment::Cs).limit) return std::unexpected(Fault::gp(0));
  return {};
}

}  // namespace

Expected<> switch_task(CpuContext& ctx, const TaskSwitch& request) {
  return Switch(ctx, request).run();
}

Expected<u16> task_gate_target(CpuContext& ctx, const Descriptor& gate) {
  u16 selector = gate.gate_selector();
  if (is_null(selector) || (selector & kTableIndicator)) return refuse(Vector::Gp, selector);
  TRY(descriptor_address(ctx, selector, 8, Vector::Gp));
  return selector;
}

}  // namespace penumbra::cpu
