// LGDT, LIDT, SGDT, SIDT, LLDT, SLDT, LTR, STR.
#include "cpu/ops.h"
#include "cpu/segmentation.h"
#include "cpu/system/privilege.h"

namespace penumbra::cpu::ops {
namespace {

constexpr u16 kTableIndicator = 4;
constexpr u8 kBusy = 2;

/// A limit of 2 bytes and a base of 8 in 64-bit mode, else 4, of which a 16-bit operand uses 3.
Outcome load_table(CpuContext& ctx, const Operands& ops, DescriptorTable& table) {
  TRY(require_cpl0(ctx.state));
  bool long_mode = in_long_mode(ctx.state);
  u8 image[10] = {};
  TRY(read_bytes(ctx, ops, image, long_mode ? 10 : 6));
  u64 base = load_from<u64>(image + 2);
  if (!long_mode && ops.width == Width::W16) base &= 0xffffff;
  if (long_mode && !is_canonical(base)) return general_protection();
  table = {base, load_from<u16>(image)};
  return Next::EndBlock;
}

/// CR4.UMIP keeps the tables' places from CPL 1..3.
Expected<> check_umip(const CpuState& state) {
  if (state.cpl != 0 && (state.cr4 & Cr4::kUmip)) return general_protection();
  return {};
}

Outcome store_table(CpuContext& ctx, const Operands& ops, const DescriptorTable& table) {
  TRY(check_umip(ctx.state));
  u8 image[10];
  store_to(image, table.limit);
  store_to(image + 2, table.base);
  TRY(write_bytes(ctx, ops, image, in_long_mode(ctx.state) ? 10 : 6));
  return Next::Continue;
}

Expected<u16> read_selector(CpuContext& ctx, const Operands& ops) {
  TRY_ASSIGN(u64 value, read_operand(ctx, ops, 0));
  return static_cast<u16>(value);
}

Outcome store_selector(CpuContext& ctx, const Operands& ops, u16 selector) {
  TRY(require_protected(ctx.state));
  TRY(check_umip(ctx.state));
  TRY(write_operand(ctx, ops, 0, selector));
  return Next::Continue;
}

/// A system segment of the GDT, present, with a canonical base.
Expected<Descriptor> read_gdt_segment(CpuContext& ctx, u16 selector, bool (*wanted)(SystemType)) {
  if (selector & kTableIndicator) return refuse(Vector::Gp, selector);
  TRY_ASSIGN(Descriptor descriptor, read_system_descriptor(ctx, selector));
  if (!descriptor.is_system() || !wanted(descriptor.system_type()))
    return refuse(Vector::Gp, selector);
  if (!descriptor.present()) return refuse(Vector::Np, selector);
  if (!is_canonical(descriptor.base())) return refuse(Vector::Gp, selector);
  return descriptor;
}

}  // namespace

Outcome lgdt(CpuContext& ctx, const Operands& ops) { return load_table(ctx, ops, ctx.state.gdtr); }
Outcome lidt(CpuContext& ctx, const Operands& ops) { return load_table(ctx, ops, ctx.state.idtr); }
Outcome sgdt(CpuContext& ctx, const Operands& ops) { return store_table(ctx, ops, ctx.state.gdtr); }
Outcome sidt(CpuContext& ctx, const Operands& ops) { return store_table(ctx, ops, ctx.state.idtr); }

Outcome lldt(CpuContext& ctx, const Operands& ops) {
  TRY(require_protected(ctx.state));
  TRY(require_cpl0(ctx.state));
  TRY_ASSIGN(u16 selector, read_selector(ctx, ops));
  if (is_null(selector)) {
    ctx.state.ldtr = null_segment(selector);
    return Next::EndBlock;
  }
  auto is_ldt = [](SystemType type) { return type == SystemType::Ldt; };
  TRY_ASSIGN(Descriptor descriptor, read_gdt_segment(ctx, selector, is_ldt));
  ctx.state.ldtr = segment_register(selector, descriptor);
  return Next::EndBlock;
}

/// Marks the TSS busy in its descriptor.
Outcome ltr(CpuContext& ctx, const Operands& ops) {
  TRY(require_protected(ctx.state));
  TRY(require_cpl0(ctx.state));
  TRY_ASSIGN(u16 selector, read_selector(ctx, ops));
  if (is_null(selector)) return general_protection();
  auto is_tss = [](SystemType type) { return type == SystemType::Tss; };
  auto is_any_tss = [](SystemType type) {
    return type == SystemType::Tss || type == SystemType::Tss16;
  };
  bool long_active = ctx.state.efer & Efer::kLma;
  TRY_ASSIGN(Descriptor descriptor,
             read_gdt_segment(ctx, selector, long_active ? +is_tss : +is_any_tss));
  TRY_ASSIGN(u64 address, descriptor_address(ctx, selector, 8, Vector::Gp));
  u8 access = static_cast<u8>(descriptor.attributes() | kBusy);
  TRY(ctx.memory.store<u8>(address + 5, access, Privilege::Implicit));
  ctx.state.tr = segment_register(selector, descriptor);
  ctx.state.tr.attributes |= kBusy;
  return Next::EndBlock;
}

Outcome sldt(CpuContext& ctx, const Operands& ops) {
  return store_selector(ctx, ops, ctx.state.ldtr.selector);
}
Outcome str(CpuContext& ctx, const Operands& ops) {
  return store_selector(ctx, ops, ctx.state.tr.selector);
}

}  // namespace penumbra::cpu::ops
