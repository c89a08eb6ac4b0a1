// MOV, PUSH and POP of segment registers, LDS..LGS, SWAPGS, FS and GS bases.
#include "cpu/ops.h"
#include "cpu/segmentation.h"
#include "cpu/system/forms.h"
#include "cpu/system/privilege.h"
#include "cpu/system/vendor.h"

namespace penumbra::cpu::ops {
namespace {

/// The instruction behind a load of SS by MOV or POP runs without interrupts.
void shadow_after(CpuState& state, Segment which) {
  if (which == Segment::Ss) state.interrupt_shadow = 1;
}

Outcome store_segment(CpuContext& ctx, const Operands& ops, u16 selector) {
  if (ops.at[0].is_memory()) {
    TRY(write_bytes(ctx, ops, &selector, sizeof selector));
  } else {
    write_gpr(ctx.state, ops.at[0], selector);
  }
  return Next::Continue;
}

Expected<u16> selector_source(CpuContext& ctx, const Operands& ops) {
  if (!ops.at[1].is_memory()) return static_cast<u16>(ctx.state.gpr[ops.at[1].reg & 15]);
  u16 selector = 0;
  TRY(read_bytes(ctx, ops, &selector, sizeof selector));
  return selector;
}

/// m16:16 or m16:32 (m16:64 by vendor) into a segment and a general register.
Outcome load_far_pointer(CpuContext& ctx, const Operands& ops, Segment which) {
  if (!ops.at[1].is_memory()) return undefined();
  Width width = far_pointer_width(ctx, ops);
  u32 offset_size = bytes(width);
  u8 image[10] = {};
  TRY(read_bytes(ctx, ops, image, offset_size + 2));
  u64 offset = load_from<u64>(image) & mask(width);
  TRY(load_segment(ctx, which, load_from<u16>(image + offset_size)));
  write_gpr(ctx.state, ops.at[0].reg, width, offset);
  return Next::EndBlock;
}

Expected<> check_fsgsbase(const CpuState& state) {
  if (!in_long_mode(state) || !(state.cr4 & Cr4::kFsgsbase)) return undefined();
  return {};
}

Outcome read_base(CpuContext& ctx, const Operands& ops, Segment which) {
  TRY(check_fsgsbase(ctx.state));
  write_gpr(ctx.state, ops.at[0], ctx.state.seg(which).base);
  return Next::Continue;
}

Outcome write_base(CpuContext& ctx, const Operands& ops, Segment which) {
  TRY(check_fsgsbase(ctx.state));
  u64 base = read_gpr(ctx.state, ops.at[0]);
  if (!is_canonical(base)) return general_protection();
  ctx.state.seg(which).base = base;
  return Next::Continue;
}

}  // namespace

Outcome mov_segment(CpuContext& ctx, const Operands& ops) {
  if (ops.at[0].kind != OperandKind::Segment)
    return store_segment(ctx, ops, ctx.state.segment[ops.at[1].reg % 6].selector);
  auto which = static_cast<Segment>(ops.at[0].reg);
  if (which == Segment::Cs || which > Segment::Gs) return undefined();
  TRY_ASSIGN(u16 selector, selector_source(ctx, ops));
  TRY(load_segment(ctx, which, selector));
  shadow_after(ctx.state, which);
  return Next::EndBlock;
}

Outcome push_segment(CpuContext& ctx, const Operands& ops) {
  Stack stack(ctx);
  stack.push(ctx.state.segment[ops.at[0].reg % 6].selector, ops.width);
  TRY(stack.commit());
  return Next::EndBlock;
}

Outcome pop_segment(CpuContext& ctx, const Operands& ops) {
  auto which = static_cast<Segment>(ops.at[0].reg);
  if (which == Segment::Cs || which > Segment::Gs) return undefined();
  Stack stack(ctx);
  TRY_ASSIGN(u64 selector, stack.pop(ops.width));
  TRY(load_segment(ctx, which, static_cast<u16>(selector)));
  TRY(stack.commit());
  shadow_after(ctx.state, which);
  return Next::EndBlock;
}

Outcome lds(CpuContext& ctx, const Operands& o) { return load_far_pointer(ctx, o, Segment::Ds); }
Outcome les(CpuContext& ctx, const Operands& o) { return load_far_pointer(ctx, o, Segment::Es); }
Outcome lss(CpuContext& ctx, const Operands& o) { return load_far_pointer(ctx, o, Segment::Ss); }
Outcome lfs(CpuContext& ctx, const Operands& o) { return load_far_pointer(ctx, o, Segment::Fs); }
Outcome lgs(CpuContext& ctx, const Operands& o) { return load_far_pointer(ctx, o, Segment::Gs); }

Outcome swapgs(CpuContext& ctx, const Operands&) {
  if (!in_long_mode(ctx.state)) return undefined();
  TRY(require_cpl0(ctx.state));
  std::swap(ctx.state.seg(Segment::Gs).base, ctx.state.kernel_gs_base);
  return Next::Continue;
}

Outcome rdfsbase(CpuContext& ctx, const Operands& o) { return read_base(ctx, o, Segment::Fs); }
Outcome rdgsbase(CpuContext& ctx, const Operands& o) { return read_base(ctx, o, Segment::Gs); }
Outcome wrfsbase(CpuContext& ctx, const Operands& o) { return write_base(ctx, o, Segment::Fs); }
Outcome wrgsbase(CpuContext& ctx, const Operands& o) { return write_base(ctx, o, Segment::Gs); }

}  // namespace penumbra::cpu::ops
