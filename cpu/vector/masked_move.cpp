// VMASKMOV and VPMASKMOV (SDM 2): loads and stores of the elements whose mask has its top bit set.
//
// Other elements are not accessed: loads make them 0, and none of them can fault. What can fault
// does so before anything is written.
#include "cpu/operand_access.h"
#include "cpu/segmentation.h"
#include "cpu/vector/availability.h"
#include "cpu/vector/element_access.h"

namespace penumbra::cpu::ops {
namespace {

const u8* bytes_of(const CpuState& state, const Operand& operand) {
  return reinterpret_cast<const u8*>(state.vector[operand.reg].lanes);
}

/// The elements of a masked access and their addresses.
struct Selection {
  unsigned count = 0;
  bool selected[8] = {};
  u64 linear[8] = {};
};

template <class Element>
Expected<Selection> select(const CpuContext& ctx, const Operands& ops, u32 size, Access access) {
  Selection result{.count = static_cast<unsigned>(size / sizeof(Element))};
  const u8* mask_bytes = bytes_of(ctx.state, ops.at[1]);
  u64 offset = effective_address(ctx.state, ops);
  for (unsigned i = 0; i < result.count; ++i) {
    u64 at = i * sizeof(Element);
    result.selected[i] = load_from<std::make_signed_t<Element>>(mask_bytes + at) < 0;
    if (!result.selected[i]) continue;
    TRY_ASSIGN(result.linear[i],
               linear_address(ctx, ops.memory.segment, (offset + at) & mask(ops.address_width),
                              sizeof(Element), access));
  }
  return result;
}

template <class Element>
Outcome masked_load(CpuContext& ctx, const Operands& ops) {
  TRY_ASSIGN(Selection from, select<Element>(ctx, ops, ops.at[0].size, Access::Read));
  VectorRegister loaded;
  auto* to = reinterpret_cast<u8*>(loaded.lanes);
  for (unsigned i = 0; i < from.count; ++i) {
    if (!from.selected[i]) continue;
    TRY_ASSIGN(Element value, load_element<Element>(ctx, from.linear[i]));
    store_to<Element>(to + i * sizeof(Element), value);
  }
  ctx.state.vector[ops.at[0].reg] = loaded;
  return Next::Continue;
}

template <class Element>
Outcome masked_store(CpuContext& ctx, const Operands& ops) {
  TRY_ASSIGN(Selection to, select<Element>(ctx, ops, ops.at[2].size, Access::Write));
  for (unsigned i = 0; i < to.count; ++i) {
    if (!to.selected[i]) continue;
    TRY(probe_element<Element>(ctx, to.linear[i]));
  }
  const u8* from = bytes_of(ctx.state, ops.at[2]);
  for (unsigned i = 0; i < to.count; ++i) {
    if (!to.selected[i]) continue;
    TRY(store_element(ctx, to.linear[i], load_from<Element>(from + i * sizeof(Element))));
  }
  return Next::Continue;
}

template <class Element>
Outcome masked_move(CpuContext& ctx, const Operands& ops) {
  TRY(require_avx(ctx.state));
  return ops.at[0].is_memory() ? masked_store<Element>(ctx, ops) : masked_load<Element>(ctx, ops);
}

}  // namespace

Outcome masked_move_32(CpuContext& ctx, const Operands& ops) { return masked_move<u32>(ctx, ops); }
Outcome masked_move_64(CpuContext& ctx, const Operands& ops) { return masked_move<u64>(ctx, ops); }

}  // namespace penumbra::cpu::ops
