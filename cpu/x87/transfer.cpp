// Loads, stores, exchanges, sign changes and conditional moves (SDM 1, 8.3.2).
//
// Register-format moves are bit copies that raise nothing but stack faults; conversions are the
// host's. A store reaches memory before anything of the unit changes, so that it can fault.
#include <utility>

#include "cpu/ops.h"
#include "cpu/x87/host_unit_x86.h"

namespace penumbra::cpu::ops {

using namespace x87;

namespace {

constexpr u32 kRegisterSize = 10;

/// A value in memory as the host sees it; at most 80 bits.
struct Cell {
  u8 bytes[16] = {};
};

/// Pushes a register image, or the response to a full stack. C1 is cleared or tells the overflow.
void push_register(X87State& x87, const X87Register& value) {
  bool full = !is_empty(x87, 7);
  if (full && !stack_fault(x87, true)) return;
  if (!full) merge_status(x87, 0, Status::kC1);
  move_top(x87, -1);
  set_st(x87, 0, full ? kIndefinite : value);
}

/// ST(i), or the response to its being empty. False: unmasked, nothing may be stored.
bool take_register(X87State& x87, unsigned i, X87Register& value) {
  if (!is_empty(x87, i)) {
    merge_status(x87, 0, Status::kC1);
    copy_register(value, st(x87, i));
    return true;
  }
  value = kIndefinite;
  return stack_fault(x87, false);
}

/// A conversion to the register format: opcode and reg field tell the type in memory.
template <u8 Opcode, u8 ModRm>
Outcome load_converted(CpuContext& ctx, const Operands& ops, u32 size) {
  constexpr HostInstruction kLoad = host_instruction<Opcode, ModRm>;
  Cell cell;
  TRY(read_bytes(ctx, ops, cell.bytes, size));
  X87State& x87 = ctx.state.x87;
  track(ctx, ops);
  if (!all_masked(x87) || !is_empty(x87, 7)) [[unlikely]] {
    HostOperands in = top_operands(x87, 0, true);
    commit_top(x87, in, run_image(kLoad, in, cell.bytes), Status::kC1);
    return Next::Continue;
  }
  move_top(x87, -1);
  u16 status = host_compute<kLoad, 1>(x87, {.memory = cell.bytes, .result = &st(x87, 0)});
  set_full(x87, 0);
  merge_status(x87, status, Status::kC1);
  return Next::Continue;
}

Outcome load_register_format(CpuContext& ctx, const Operands& ops) {
  Cell cell;
  TRY(read_bytes(ctx, ops, cell.bytes, kRegisterSize));
  track(ctx, ops);
  push_register(ctx.state.x87, {load_from<u64>(cell.bytes), load_from<u16>(cell.bytes + 8)});
  return Next::Continue;
}

/// An empty source goes before a full stack.
Outcome load_stack_register(CpuContext& ctx, const Operands& ops) {
  X87State& x87 = ctx.state.x87;
  track(ctx, ops);
  bool underflow = is_empty(x87, ops.at[0].reg & 7);
  X87Register value;
  if (!take_register(x87, ops.at[0].reg & 7, value)) return Next::Continue;
  if (underflow) {
    move_top(x87, -1);
    set_st(x87, 0, value);
  } else {
    push_register(x87, value);
  }
  return Next::Continue;
}

/// A store that an unmasked exception prevents still faults where its destination would.
Expected<> probe_destination(CpuContext& ctx, const Operands& ops, u32 size) {
  TRY_ASSIGN(u64 linear, operand_linear(ctx, ops, size, Access::Write));
  return ctx.memory.probe(linear, size, Access::Write, Privilege::Current);
}

enum class Pop : bool { No, Yes };

/// A conversion from ST(0); the host's form pops exactly when it has stored.
template <u8 Opcode, u8 ModRm>
Outcome store_converted(CpuContext& ctx, const Operands& ops, u32 size, Pop pops) {
  constexpr HostInstruction kStore = host_instruction<Opcode, ModRm>;
  Cell cell;
  X87State& x87 = ctx.state.x87;
  u16 status;
  bool stored = true;
  if (!all_masked(x87) || is_empty(x87, 0)) [[unlikely]] {
    HostResult out = run_image(kStore, top_operands(x87, 1), cell.bytes);
    status = out.status;
    stored = out.pushed < 0;
  } else {
    status = host_compute<kStore, 0>(x87, {.st0 = &st(x87, 0), .memory = cell.bytes});
  }
  TRY(stored ? write_bytes(ctx, ops, cell.bytes, size) : probe_destination(ctx, ops, size));
  track(ctx, ops);
  merge_status(x87, status, Status::kC1);
  if (stored && pops == Pop::Yes) pop(x87);
  return Next::Continue;
}

Outcome store_register_format(CpuContext& ctx, const Operands& ops) {
  X87State& x87 = ctx.state.x87;
  bool stores = !is_empty(x87, 0) || (x87.control & Status::kIe);
  const X87Register& value = is_empty(x87, 0) ? kIndefinite : st(x87, 0);
  Cell cell;
  store_to(cell.bytes, value.mantissa);
  store_to(cell.bytes + 8, value.exponent);
  TRY(stores ? write_bytes(ctx, ops, cell.bytes, kRegisterSize)
             : probe_destination(ctx, ops, kRegisterSize));
  track(ctx, ops);
  X87Register taken;
  if (take_register(x87, 0, taken)) pop(x87);
  return Next::Continue;
}

Outcome store_stack_register(CpuContext& ctx, const Operands& ops, Pop pops) {
  X87State& x87 = ctx.state.x87;
  track(ctx, ops);
  X87Register value;
  if (!take_register(x87, 0, value)) return Next::Continue;
  set_st(x87, ops.at[0].reg & 7, value);
  if (pops == Pop::Yes) pop(x87);
  return Next::Continue;
}

Outcome store(CpuContext& ctx, const Operands& ops, Pop pops) {
  TRY(check_waiting(ctx));
  if (!ops.at[0].is_memory()) return store_stack_register(ctx, ops, pops);
  switch (ops.at[0].size) {
    case 4:
      return store_converted<0xd9, 0x18>(ctx, ops, 4, pops);
    case 8:
      return store_converted<0xdd, 0x18>(ctx, ops, 8, pops);
    default:
      return store_register_format(ctx, ops);
  }
}

Outcome store_integer(CpuContext& ctx, const Operands& ops, Pop pops) {
  TRY(check_waiting(ctx));
  switch (ops.at[0].size) {
    case 2:
      return store_converted<0xdf, 0x18>(ctx, ops, 2, pops);
    case 4:
      return store_converted<0xdb, 0x18>(ctx, ops, 4, pops);
    default:
      return store_converted<0xdf, 0x38>(ctx, ops, 8, pops);
  }
}

/// Both must be there, whatever the condition says. C1 changes only with a stack fault.
Outcome conditional_move(CpuContext& ctx, const Operands& ops, Condition condition) {
  TRY(check_waiting(ctx));
  X87State& x87 = ctx.state.x87;
  unsigned source = ops.at[ops.count - 1].reg & 7;
  track(ctx, ops);
  if (is_empty(x87, 0) || is_empty(x87, source)) {
    if (stack_fault(x87, false)) set_st(x87, 0, kIndefinite);
    return Next::Continue;
  }
  if (holds(condition, ctx.state.arithmetic_flags())) copy_register(st(x87, 0), st(x87, source));
  return Next::Continue;
}

constexpr u16 kSign = 0x8000;

template <class Change>
Outcome change_sign(CpuContext& ctx, const Operands& ops, Change change) {
  TRY(check_waiting(ctx));
  X87State& x87 = ctx.state.x87;
  track(ctx, ops);
  if (is_empty(x87, 0)) {
    if (stack_fault(x87, false)) set_st(x87, 0, kIndefinite);
    return Next::Continue;
  }
  merge_status(x87, 0, Status::kC1);
  u16& exponent = st(x87, 0).exponent;
  exponent = change(exponent);
  return Next::Continue;
}

}  // namespace

Outcome fld(CpuContext& ctx, const Operands& ops) {
  TRY(check_waiting(ctx));
  if (!ops.at[0].is_memory()) return load_stack_register(ctx, ops);
  switch (ops.at[0].size) {
    case 4:
      return load_converted<0xd9, 0x00>(ctx, ops, 4);
    case 8:
      return load_converted<0xdd, 0x00>(ctx, ops, 8);
    default:
      return load_register_format(ctx, ops);
  }
}

Outcome fild(CpuContext& ctx, const Operands& ops) {
  TRY(check_waiting(ctx));
  switch (ops.at[0].size) {
    case 2:
      return load_converted<0xdf, 0x00>(ctx, ops, 2);
    case 4:
      return load_converted<0xdb, 0x00>(ctx, ops, 4);
    default:
      return load_converted<0xdf, 0x28>(ctx, ops, 8);
  }
}

Outcome fbld(CpuContext& ctx, const Operands& ops) {
  TRY(check_waiting(ctx));
  return load_converted<0xdf, 0x20>(ctx, ops, kRegisterSize);
}

Outcome fst(CpuContext& ctx, const Operands& ops) { return store(ctx, ops, Pop::No); }
Outcome fstp(CpuContext& ctx, const Operands& ops) { return store(ctx, ops, Pop::Yes); }
Outcome fist(CpuContext& ctx, const Operands& ops) { return store_integer(ctx, ops, Pop::No); }
Outcome fistp(CpuContext& ctx, const Operands& ops) { return store_integer(ctx, ops, Pop::Yes); }

Outcome fisttp(CpuContext& ctx, const Operands& ops) {
  TRY(check_waiting(ctx));
  switch (ops.at[0].size) {
    case 2:
      return store_converted<0xdf, 0x08>(ctx, ops, 2, Pop::Yes);
    case 4:
      return store_converted<0xdb, 0x08>(ctx, ops, 4, Pop::Yes);
    default:
      return store_converted<0xdd, 0x08>(ctx, ops, 8, Pop::Yes);
  }
}

/// D9 D8+i, an undocumented FSTP that an empty ST(0) passes silently: it only pops.
Outcome fstpnce(CpuContext& ctx, const Operands& ops) {
  if (!is_empty(ctx.state.x87, 0)) return fstp(ctx, ops);
  TRY(check_waiting(ctx));
  track(ctx, ops);
  merge_status(ctx.state.x87, 0, Status::kC1);
  pop(ctx.state.x87);
  return Next::Continue;
}

Outcome fbstp(CpuContext& ctx, const Operands& ops) {
  TRY(check_waiting(ctx));
  return store_converted<0xdf, 0x30>(ctx, ops, kRegisterSize, Pop::Yes);
}

Outcome fxch(CpuContext& ctx, const Operands& ops) {
  TRY(check_waiting(ctx));
  X87State& x87 = ctx.state.x87;
  unsigned other = ops.at[0].reg & 7;
  track(ctx, ops);
  if (is_empty(x87, 0) || is_empty(x87, other)) {
    if (!stack_fault(x87, false)) return Next::Continue;
    if (is_empty(x87, 0)) set_st(x87, 0, kIndefinite);
    if (is_empty(x87, other)) set_st(x87, other, kIndefinite);
  } else {
    merge_status(x87, 0, Status::kC1);
  }
  std::swap(st(x87, 0).mantissa, st(x87, other).mantissa);
  std::swap(st(x87, 0).exponent, st(x87, other).exponent);
  return Next::Continue;
}

Outcome fchs(CpuContext& ctx, const Operands& ops) {
  return change_sign(ctx, ops, [](u16 exponent) -> u16 { return exponent ^ kSign; });
}
Outcome fabs(CpuContext& ctx, const Operands& ops) {
  return change_sign(ctx, ops, [](u16 exponent) -> u16 { return exponent & ~kSign; });
}

Outcome fcmovb(CpuContext& ctx, const Operands& ops) {
  return conditional_move(ctx, ops, Condition::B);
}
Outcome fcmove(CpuContext& ctx, const Operands& ops) {
  return conditional_move(ctx, ops, Condition::Z);
}
Outcome fcmovbe(CpuContext& ctx, const Operands& ops) {
  return conditional_move(ctx, ops, Condition::Be);
}
Outcome fcmovu(CpuContext& ctx, const Operands& ops) {
  return conditional_move(ctx, ops, Condition::P);
}
Outcome fcmovnb(CpuContext& ctx, const Operands& ops) {
  return conditional_move(ctx, ops, Condition::Nb);
}
Outcome fcmovne(CpuContext& ctx, const Operands& ops) {
  return conditional_move(ctx, ops, Condition::Nz);
}
Outcome fcmovnbe(CpuContext& ctx, const Operands& ops) {
  return conditional_move(ctx, ops, Condition::Nbe);
}
Outcome fcmovnu(CpuContext& ctx, const Operands& ops) {
  return conditional_move(ctx, ops, Condition::Np);
}

}  // namespace penumbra::cpu::ops
