#include "cpu/segmentation.h"

#include <algorithm>

#include "cpu/operand_access.h"

namespace penumbra::cpu {
namespace {

constexpr u16 kTableIndicator = 4;
constexpr u32 kDataAccessed = SegmentRegister::kPresent | SegmentRegister::kNonSystem |
                              SegmentRegister::kWritableOrReadable | SegmentRegister::kAccessed;
constexpr u32 kDplShift = 5;

/// Descriptor tables have 64-bit bases only while long mode is active.
u64 table_address(const CpuState& state, u64 address) {
  return state.efer & Efer::kLma ? address : address & 0xffffffffu;
}

}  // namespace

SegmentRegister segment_register(u16 selector, const Descriptor& descriptor) {
  return {descriptor.base(), descriptor.limit(), descriptor.attributes(), selector};
}

Expected<u64> descriptor_address(const CpuContext& ctx, u16 selector, u32 size, Vector vector) {
  const CpuState& state = ctx.state;
  u64 base = state.gdtr.base;
  u32 limit = state.gdtr.limit;
  if (selector & kTableIndicator) {
    if (state.ldtr.has(SegmentRegister::kUnusable) || is_null(state.ldtr.selector))
      return refuse(vector, selector);
    base = state.ldtr.base;
    limit = state.ldtr.limit;
  }
  u32 offset = selector & 0xfff8u;
  if (u64{offset} + size - 1 > limit) return refuse(vector, selector);
  return table_address(state, base + offset);
}

Expected<Descriptor> read_descriptor(CpuContext& ctx, u16 selector, Vector vector) {
  TRY_ASSIGN(u64 address, descriptor_address(ctx, selector, 8, vector));
  TRY_ASSIGN(u64 low, ctx.memory.load<u64>(address, Privilege::Implicit));
  return Descriptor{low, 0};
}

Expected<Descriptor> read_system_descriptor(CpuContext& ctx, u16 selector, Vector vector) {
  if (!(ctx.state.efer & Efer::kLma)) return read_descriptor(ctx, selector, vector);
  TRY_ASSIGN(u64 address, descriptor_address(ctx, selector, 16, vector));
  u64 words[2];
  TRY(ctx.memory.read(address, words, sizeof words, Privilege::Implicit));
  if (Bits<44, 40>::get(words[1]) != 0) return refuse(vector, selector);
  return Descriptor{words[0], words[1] & 0xffffffffu};
}

Expected<> mark_accessed(CpuContext& ctx, SegmentRegister& segment) {
  if (segment.has(SegmentRegister::kAccessed | SegmentRegister::kUnusable)) return {};
  TRY_ASSIGN(u64 address, descriptor_address(ctx, segment.selector, 8, Vector::Gp));
  TRY_ASSIGN(u8 access, ctx.memory.load<u8>(address + 5, Privilege::Implicit));
  u8 accessed = access | u8{SegmentRegister::kAccessed};
  TRY(ctx.memory.store<u8>(address + 5, accessed, Privilege::Implicit));
  segment.attributes |= SegmentRegister::kAccessed;
  return {};
}

Expected<SegmentRegister> check_data_segment(CpuContext& ctx, u16 selector) {
  if (is_null(selector)) return null_segment(selector);
  TRY_ASSIGN(Descriptor descriptor, read_descriptor(ctx, selector));
  if (!descriptor.is_readable()) return refuse(Vector::Gp, selector);
  u8 privilege = std::max<u8>(ctx.state.cpl, rpl(selector));
  if (!descriptor.is_conforming() && privilege > descriptor.dpl())
    return refuse(Vector::Gp, selector);
  if (!descriptor.present()) return refuse(Vector::Np, selector);
  return segment_register(selector, descriptor);
}

Expected<SegmentRegister> check_stack_segment(CpuContext& ctx, u16 selector, u8 cpl,
                                              Vector vector) {
  if (is_null(selector)) return std::unexpected(Fault::of(vector, 0));
  TRY_ASSIGN(Descriptor descriptor, read_descriptor(ctx, selector, vector));
  if (rpl(selector) != cpl || descriptor.dpl() != cpl || !descriptor.is_writable())
    return refuse(vector, selector);
  if (!descriptor.present()) return refuse(Vector::Ss, selector);
  return segment_register(selector, descriptor);
}

void load_real_segment(CpuState& state, Segment which, u16 selector) {
  SegmentRegister& segment = state.seg(which);
  constexpr u32 kept = SegmentRegister::kBig | SegmentRegister::kGranular;
  u32 code = which == Segment::Cs ? SegmentRegister::kCode : 0;
  if (segment.has(SegmentRegister::kUnusable)) segment.limit = 0xffff;
  segment.attributes = (segment.attributes & kept) | kDataAccessed | code;
  segment.base = u64{selector} << 4;
  segment.selector = selector;
}

void load_v86_segment(CpuState& state, Segment which, u16 selector) {
  state.seg(which) = {u64{selector} << 4, 0xffff, kDataAccessed | 3u << kDplShift, selector};
}

namespace {

Expected<SegmentRegister> check_load(CpuContext& ctx, Segment which, u16 selector) {
  if (which != Segment::Ss) return check_data_segment(ctx, selector);
  u8 cpl = ctx.state.cpl;
  bool null_allowed = in_long_mode(ctx.state) && cpl < 3 && rpl(selector) == cpl;
  if (is_null(selector) && null_allowed) return null_segment(selector);
  return check_stack_segment(ctx, selector, cpl, Vector::Gp);
}

}  // namespace

Expected<> load_segment(CpuContext& ctx, Segment which, u16 selector) {
  if (in_v86(ctx.state)) {
    load_v86_segment(ctx.state, which, selector);
    return {};
  }
  if (!is_protected(ctx.state)) {
    load_real_segment(ctx.state, which, selector);
    return {};
  }
  TRY_ASSIGN(SegmentRegister segment, check_load(ctx, which, selector));
  TRY(mark_accessed(ctx, segment));
  ctx.state.seg(which) = segment;
  return {};
}

Expected<Descriptor> read_code_descriptor(CpuContext& ctx, u16 selector) {
  TRY_ASSIGN(Descriptor descriptor, read_descriptor(ctx, selector));
  if (!descriptor.is_code()) return refuse(Vector::Gp, selector);
  bool long_and_big =
      descriptor.has(SegmentRegister::kLong) && descriptor.has(SegmentRegister::kBig);
  if ((ctx.state.efer & Efer::kLma) && long_and_big) return refuse(Vector::Gp, selector);
  return descriptor;
}

void drop_inner_segments(CpuState& state) {
  for (Segment which : {Segment::Es, Segment::Ds, Segment::Fs, Segment::Gs}) {
    SegmentRegister& segment = state.seg(which);
    if (segment.has(SegmentRegister::kUnusable)) continue;
    bool conforming =
        segment.has(SegmentRegister::kCode) && segment.has(SegmentRegister::kConformingOrDown);
    if (!conforming && segment.dpl() < state.cpl) segment = null_segment(0);
  }
}

}  // namespace penumbra::cpu
