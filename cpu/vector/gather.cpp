// VGATHER and VPGATHER (SDM 2): each element whose mask has its top bit set is loaded from the base
// plus its own index; its mask is then cleared.
//
// A fault leaves the elements before it loaded and their masks cleared, so that the instruction
// continues where it stopped. The other masks stay as they are, as on the reference CPU.
#include "cpu/operand_access.h"
#include "cpu/segmentation.h"
#include "cpu/vector/availability.h"
#include "cpu/vector/element_access.h"

namespace penumbra::cpu::ops {
namespace {

u8* bytes_of(CpuState& state, u8 number) {
  return reinterpret_cast<u8*>(state.vector[number].lanes);
}

/// Offset of an element in the segment.
u64 element_offset(const CpuState& state, const Operands& ops, i64 index) {
  const MemoryForm& form = ops.memory;
  u64 base = form.base == MemoryForm::kNone ? 0 : state.gpr[form.base];
  u64 offset = base + (static_cast<u64>(index) << form.scale) + static_cast<u64>(form.displacement);
  return offset & mask(ops.address_width);
}

template <class Element>
Expected<Element> gathered(CpuContext& ctx, const Operands& ops, i64 index) {
  u64 offset = element_offset(ctx.state, ops, index);
  TRY_ASSIGN(u64 linear,
             linear_address(ctx, ops.memory.segment, offset, sizeof(Element), Access::Read));
  return load_element<Element>(ctx, linear);
}

template <class Index, class Element>
Outcome gather(CpuContext& ctx, const Operands& ops) {
  CpuState& state = ctx.state;
  TRY(require_avx(state));
  u8 *to = bytes_of(state, ops.at[0].reg), *mask_at = bytes_of(state, ops.at[2].reg);
  const u8* indices = bytes_of(state, ops.memory.index);
  unsigned count = ops.at[0].size / sizeof(Element);
  for (unsigned i = 0; i < count; ++i) {
    u8* mask_element = mask_at + i * sizeof(Element);
    if (load_from<std::make_signed_t<Element>>(mask_element) < 0) {
      i64 index = load_from<Index>(indices + i * sizeof(Index));
      TRY_ASSIGN(Element value, gathered<Element>(ctx, ops, index));
      store_to<Element>(to + i * sizeof(Element), value);
    }
    store_to<Element>(mask_element, 0);
  }
  u32 size = ops.at[0].size;
  std::memset(to + size, 0, sizeof(VectorRegister) - size);
  std::memset(mask_at, 0, sizeof(VectorRegister));
  return Next::Continue;
}

}  // namespace

Outcome gather_32_by_32(CpuContext& ctx, const Operands& ops) { return gather<i32, u32>(ctx, ops); }
Outcome gather_64_by_32(CpuContext& ctx, const Operands& ops) { return gather<i32, u64>(ctx, ops); }
Outcome gather_32_by_64(CpuContext& ctx, const Operands& ops) { return gather<i64, u32>(ctx, ops); }
Outcome gather_64_by_64(CpuContext& ctx, const Operands& ops) { return gather<i64, u64>(ctx, ops); }

}  // namespace penumbra::cpu::ops
