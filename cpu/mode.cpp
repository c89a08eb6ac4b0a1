#include "cpu/mode.h"

#include "cpu/breakpoints.h"
#include "cpu/operand_access.h"

namespace penumbra::cpu {
namespace {

constexpr u64 kXcr0X87 = 1, kXcr0Sse = 2, kXcr0Avx = 4;

bool is_flat(const SegmentRegister& segment, u32 type_mask, u32 type) {
  return segment.base == 0 && segment.limit == 0xffffffffu &&
         !segment.has(SegmentRegister::kUnusable) && (segment.attributes & type_mask) == type;
}

/// Readable code; writable expand-up data.
bool flat_segments(const CpuState& state) {
  constexpr u32 code = SegmentRegister::kCode | SegmentRegister::kWritableOrReadable;
  constexpr u32 data_mask = code | SegmentRegister::kConformingOrDown;
  constexpr u32 data = SegmentRegister::kWritableOrReadable;
  return is_flat(state.seg(Segment::Cs), code, code) &&
         is_flat(state.seg(Segment::Ds), data_mask, data) &&
         is_flat(state.seg(Segment::Es), data_mask, data) &&
         is_flat(state.seg(Segment::Ss), data_mask, data);
}

void set_fpu_bits(CodeMode& mode, const CpuState& state) {
  mode.set(CodeMode::kTaskSwitched, state.cr0 & Cr0::kTs);
  mode.set(CodeMode::kEmulation, state.cr0 & Cr0::kEm);
  mode.set(CodeMode::kMonitor, state.cr0 & Cr0::kMp);
  mode.set(CodeMode::kOsFxsr, state.cr4 & Cr4::kOsfxsr);
  mode.set(CodeMode::kOsXsave, state.cr4 & Cr4::kOsxsave);
  mode.set(CodeMode::kOsXmmExcept, state.cr4 & Cr4::kOsxmmexcpt);
  mode.set(CodeMode::kSseUnmasked, (~state.mxcsr & 0x1f80) != 0);
  u32 enabled = static_cast<u32>(state.xcr0 & (kXcr0X87 | kXcr0Sse | kXcr0Avx));
  mode.word |= enabled << CodeMode::kXcr0;
}

}  // namespace

CodeSize code_size(const CpuState& state) {
  if (in_long_mode(state)) return CodeSize::Long;
  return state.seg(Segment::Cs).has(SegmentRegister::kBig) ? CodeSize::Bits32 : CodeSize::Bits16;
}

CodeMode code_mode(const CpuState& state, bool a20_masked) {
  CodeMode mode;
  bool long_mode = in_long_mode(state);
  mode.set_size(code_size(state));
  mode.set_cpl(state.cpl);
  mode.set(CodeMode::kStack32, !long_mode && state.seg(Segment::Ss).has(SegmentRegister::kBig));
  mode.set(CodeMode::kFlatSegments, long_mode || (!in_real_or_v86(state) && flat_segments(state)));
  mode.set(CodeMode::kTrap, state.flag(Flag::kTf));
  mode.set(CodeMode::kProtected, is_protected(state));
  mode.set(CodeMode::kVirtual8086, in_v86(state));
  mode.set(CodeMode::kAlignment, state.cr0 & Cr0::kAm);
  mode.set(CodeMode::kBreakpoints, has_breakpoint(state, BreakpointKind::Execute));
  mode.set(CodeMode::kA20Masked, a20_masked);
  mode.set(CodeMode::kLongActive, state.efer & Efer::kLma);
  set_fpu_bits(mode, state);
  return mode;
}

void set_cpl(CpuContext& ctx, u8 cpl) {
  if (ctx.state.cpl == cpl) return;
  ctx.state.cpl = cpl;
  ctx.environment.privilege_changed();
}

void set_flags(CpuContext& ctx, u64 flags) {
  constexpr u64 kDefined = Flag::kArithmetic | Flag::kTf | Flag::kIf | Flag::kDf | Flag::kIopl |
                           Flag::kNt | Flag::kRf | Flag::kVm | Flag::kAc | Flag::kVif | Flag::kVip |
                           Flag::kId;
  bool ac_changed = (ctx.state.rflags ^ flags) & Flag::kAc;
  ctx.state.set_flags(flags & kDefined);
  if (ac_changed) ctx.environment.privilege_changed();
}

}  // namespace penumbra::cpu
