// POPA and POPAD (SDM 2), which commit in part, as the reference vendor does it: registers popped
// before a fault have their new values, the skipped word of SP is read, and SP moves last.
#include "cpu/operand_access.h"
#include "cpu/ops.h"

namespace penumbra::cpu::ops {

Outcome pop_all(CpuContext& ctx, const Operands& ops) {
  CpuState& state = ctx.state;
  Width stack = stack_width(state);
  u32 size = bytes(ops.width);
  u64 top = state.reg(Reg::Rsp);
  for (u8 number = 8; number-- > 0; top += size) {  // from the lowest address on
    TRY_ASSIGN(u64 linear, linear_address(ctx, Segment::Ss, top & mask(stack), size, Access::Read));
    TRY_ASSIGN(u64 value, load_value(ctx.memory, linear, ops.width));
    if (number != static_cast<u8>(Reg::Rsp)) write_gpr(state, number, ops.width, value);
  }
  write_gpr(state, static_cast<u8>(Reg::Rsp), stack, top);
  return Next::Continue;
}

}  // namespace penumbra::cpu::ops
