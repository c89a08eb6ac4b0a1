// INT n, INT3, INTO, INT1.
#include "cpu/interrupts.h"
#include "cpu/ops.h"
#include "cpu/system/privilege.h"

namespace penumbra::cpu::ops {
namespace {

/// The handler returns behind the instruction; a fault of the delivery belongs to the instruction.
Outcome enter(CpuContext& ctx, const Operands& ops, EventSource source, u8 vector) {
  Event event = Event::of(source, vector);
  event.length = ops.length;
  TRY(deliver_once(ctx, event));
  return Next::Branch;
}

u8 vector_number(Vector vector) { return static_cast<u8>(vector); }

}  // namespace

Outcome int_n(CpuContext& ctx, const Operands& ops) {
  return enter(ctx, ops, EventSource::SoftwareInt, static_cast<u8>(ops.immediate));
}

Outcome int3(CpuContext& ctx, const Operands& ops) {
  return enter(ctx, ops, EventSource::SoftwareTrap, vector_number(Vector::Bp));
}

Outcome int1(CpuContext& ctx, const Operands& ops) {
  return enter(ctx, ops, EventSource::PrivilegedTrap, vector_number(Vector::Db));
}

Outcome into(CpuContext& ctx, const Operands& ops) {
  if (in_long_mode(ctx.state)) return undefined();
  if (!(ctx.state.arithmetic_flags() & Flag::kOf)) return Next::Continue;
  return enter(ctx, ops, EventSource::SoftwareTrap, vector_number(Vector::Of));
}

}  // namespace penumbra::cpu::ops
