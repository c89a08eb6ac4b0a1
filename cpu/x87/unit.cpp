#include "cpu/x87/unit.h"

namespace penumbra::cpu::x87 {

void initialize(X87State& state) {
  state.control = Control::kInitial;
  state.status = 0;
  state.tags = 0;
  state.opcode = 0;
  state.ip = state.dp = 0;
  state.cs = state.ds = 0;
}

void set_control(X87State& state, u16 control) {
  state.control = (control & Control::kWritable) | Control::kFixed;
  update_summary(state);
}

void update_summary(X87State& state) {
  bool pending = state.status & ~state.control & Status::kExceptions;
  state.status &= static_cast<u16>(~(Status::kEs | Status::kBusy));
  if (pending) state.status |= Status::kEs | Status::kBusy;
}

bool stack_fault(X87State& state, bool overflow) {
  u16 raised = Status::kIe | Status::kSf | (overflow ? Status::kC1 : 0);
  merge_status(state, raised, Status::kC1);
  return state.control & Status::kIe;
}

Expected<> probe_environment(CpuContext& ctx, const Operands& ops, u32 size, Access access) {
  TRY_ASSIGN(u64 linear, operand_linear(ctx, ops, size, access));
  u32 field = ops.width == Width::W16 ? 2 : 4;
  TRY(ctx.memory.probe(linear, field, access, Privilege::Current));
  return ctx.memory.probe(linear + size - 1, 1, access, Privilege::Current);
}

}  // namespace penumbra::cpu::x87
