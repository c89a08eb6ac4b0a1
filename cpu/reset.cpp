#include "cpu/reset.h"

namespace penumbra::cpu {
namespace {

constexpr u32 kRealData = SegmentRegister::kPresent | SegmentRegister::kNonSystem |
                          SegmentRegister::kWritableOrReadable | SegmentRegister::kAccessed;
constexpr u32 kLdtType = 2, kBusyTss16 = 3;

void reset_segments(CpuState& state) {
  for (auto& segment : state.segment) segment = {0, 0xffff, kRealData, 0};
  state.seg(Segment::Cs) = {0xffff0000, 0xffff, kRealData | SegmentRegister::kCode, 0xf000};
  state.ldtr = {0, 0xffff, SegmentRegister::kPresent | kLdtType, 0};
  state.tr = {0, 0xffff, SegmentRegister::kPresent | kBusyTss16, 0};
  state.gdtr = state.idtr = {0, 0xffff};
}

void reset_core(CpuState& state, const CpuModel& model) {
  for (auto& reg : state.gpr) reg = 0;
  state.reg(Reg::Rdx) = model.cpuid(1, 0).eax;  // family, model, stepping
  state.set_flags(0);
  state.rip = 0xfff0;
  state.cpl = 0;
  state.interrupt_shadow = 0;
  state.activity = Activity::Running;
  state.cr2 = state.cr3 = state.cr4 = state.cr8 = 0;
  state.efer = 0;
  for (auto& address : state.dr) address = 0;
  state.dr6 = 0xffff0ff0;
  state.dr7 = 0x400;
  state.nmi_blocked = state.nmi_pending = false;
  state.pending_debug = 0;
  reset_segments(state);
}

}  // namespace

void reset(CpuState& state, const CpuModel& model) {
  CpuState fresh;
  fresh.table = state.table;
  fresh.engine = state.engine;
  fresh.instructions_left = state.instructions_left;
  fresh.stop_below = __atomic_load_n(&state.stop_below, __ATOMIC_RELAXED);
  fresh.retired = state.retired;
  state = fresh;
  reset_core(state, model);
  state.cr0 = Cr0::kCd | Cr0::kNw | Cr0::kEt;
  state.x87.control = 0x40;  // FNINIT's 37Fh only after FNINIT
}

void init(CpuState& state, const CpuModel& model) {
  u64 kept = state.cr0 & (Cr0::kCd | Cr0::kNw);
  reset_core(state, model);
  state.cr0 = kept | Cr0::kEt;
}

}  // namespace penumbra::cpu
