// MASKMOVQ and MASKMOVDQU: the bytes of op0 whose mask byte in op1 has its top bit set go to
// [rDI] (SDM 2). All bytes are checked for writing first, as many as the instruction could store.
#include "cpu/operand_access.h"
#include "cpu/vector/availability.h"
#include "cpu/x87/mmx_transition.h"

namespace penumbra::cpu::ops {
namespace {

struct Bytes {
  u8 at[16];
};

Bytes register_bytes(const CpuState& state, const Operand& operand) {
  Bytes bytes{};
  if (operand.kind == OperandKind::Mmx) {
    std::memcpy(bytes.at, &state.x87.registers[operand.reg & 7].mantissa, 8);
  } else {
    std::memcpy(bytes.at, &state.vector[operand.reg].lanes, 16);
  }
  return bytes;
}

/// Writes each run of selected bytes at once.
Expected<> write_selected(GuestMemory& memory, u64 linear, const Bytes& data, const Bytes& mask,
                          u32 size) {
  for (u32 first = 0; first < size;) {
    u32 end = first;
    while (end < size && (mask.at[end] & 0x80)) ++end;
    if (end > first)
      TRY(memory.write(linear + first, data.at + first, end - first, Privilege::Current));
    first = end + 1;
  }
  return {};
}

Outcome masked_store(CpuContext& ctx, const Operands& ops, u32 size) {
  Bytes data = register_bytes(ctx.state, ops.at[0]), mask = register_bytes(ctx.state, ops.at[1]);
  TRY_ASSIGN(u64 linear, operand_linear(ctx, ops, size, Access::Write));
  TRY(ctx.memory.probe(linear, size, Access::Write, Privilege::Current));
  TRY(write_selected(ctx.memory, linear, data, mask, size));
  return Next::Continue;
}

}  // namespace

Outcome maskmovdqu(CpuContext& ctx, const Operands& ops) {
  TRY(require_vector(ctx.state, ops));
  return masked_store(ctx, ops, 16);
}

Outcome maskmovq(CpuContext& ctx, const Operands& ops) {
  TRY(mmx_check(ctx));
  mmx_enter(ctx.state);  // the reference CPU does so even where the store faults
  return masked_store(ctx, ops, 8);
}

}  // namespace penumbra::cpu::ops
