// INS and OUTS: one port access an iteration, which the machine answers outside; so a repeated one
// stops after each (see cpu/integer/strings.h).
#include <algorithm>

#include "cpu/integer/string_walk.h"
#include "cpu/ops.h"
#include "cpu/system/io.h"

namespace penumbra::cpu::ops {
namespace {

u16 port(const StringWalk& walk) { return static_cast<u16>(walk.state().reg(Reg::Rdx)); }

u8 port_size(const StringWalk& walk) { return static_cast<u8>(walk.size()); }

struct Ins {
  /// The destination is checked before the device is read, so that no input is lost to a fault.
  static Expected<bool> element(const StringWalk& walk) {
    CpuContext& ctx = walk.context();
    TRY(check_port(ctx, port(walk), walk.size()));
    TRY(walk.probe_store(Segment::Es, Reg::Rdi));
    TRY_ASSIGN(u32 value, ctx.environment.port_read(port(walk), port_size(walk)));
    TRY(walk.store(Segment::Es, Reg::Rdi, value));
    walk.advance(Reg::Rdi, 1);
    return false;
  }

  static Expected<StringStep> chunk(const StringWalk&, u64) { return StringStep{0, true, false}; }
};

struct Outs {
  static Expected<bool> element(const StringWalk& walk) {
    CpuContext& ctx = walk.context();
    TRY(check_port(ctx, port(walk), walk.size()));
    TRY_ASSIGN(u64 value, walk.load(walk.operands().memory.segment, Reg::Rsi));
    TRY(ctx.environment.port_write(port(walk), port_size(walk), static_cast<u32>(value)));
    walk.advance(Reg::Rsi, 1);
    return false;
  }

  static Expected<StringStep> chunk(const StringWalk&, u64) { return StringStep{0, true, false}; }
};

/// Ports are at most 32 bits wide; REX.W has no effect. The right to the port is checked even when
/// the count is 0.
template <class Operation>
Outcome run_port_string(CpuContext& ctx, const Operands& ops) {
  Operands narrow = ops;
  narrow.width = std::min(ops.width, Width::W32);
  TRY(check_port(ctx, static_cast<u16>(ctx.state.reg(Reg::Rdx)), bytes(narrow.width)));
  return run_string<Operation>(ctx, narrow, Next::EndBlock);
}

}  // namespace

Outcome ins_string(CpuContext& ctx, const Operands& ops) { return run_port_string<Ins>(ctx, ops); }
Outcome outs_string(CpuContext& ctx, const Operands& ops) {
  return run_port_string<Outs>(ctx, ops);
}

}  // namespace penumbra::cpu::ops
