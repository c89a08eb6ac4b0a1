#include "cpu/system/task_state.h"

#include "cpu/operand_access.h"

namespace penumbra::cpu {

bool tss_is_16bit(const SegmentRegister& tr) {
  auto type = static_cast<SystemType>(tr.type());
  return type == SystemType::Tss16 || type == SystemType::BusyTss16;
}

Expected<u64> tss_address(const CpuContext& ctx, u32 offset, u32 size) {
  const SegmentRegister& tr = ctx.state.tr;
  if (u64{offset} + size - 1 > tr.limit || tr.has(SegmentRegister::kUnusable))
    return refuse(Vector::Ts, tr.selector);
  u64 address = tr.base + offset;
  return ctx.state.efer & Efer::kLma ? address : address & 0xffffffffu;
}

Expected<StackPointer> read_inner_stack(CpuContext& ctx, u8 cpl) {
  bool narrow = tss_is_16bit(ctx.state.tr);
  Width width = narrow ? Width::W16 : Width::W32;
  u32 offset = narrow ? 2 + 4 * cpl : 4 + 8 * cpl;
  TRY_ASSIGN(u64 address, tss_address(ctx, offset, bytes(width) + 2));
  TRY_ASSIGN(u64 pointer, load_value(ctx.memory, address, width, Privilege::Implicit));
  TRY_ASSIGN(u16 selector, ctx.memory.load<u16>(address + bytes(width), Privilege::Implicit));
  return StackPointer{selector, pointer};
}

Expected<u64> read_long_stack(CpuContext& ctx, u8 cpl, u8 ist) {
  u32 offset = ist != 0 ? 28 + 8 * ist : 4 + 8 * cpl;
  TRY_ASSIGN(u64 address, tss_address(ctx, offset, 8));
  TRY_ASSIGN(u64 pointer, ctx.memory.load<u64>(address, Privilege::Implicit));
  if (!is_canonical(pointer)) return std::unexpected(Fault::ss(0));
  return pointer;
}

}  // namespace penumbra::cpu
