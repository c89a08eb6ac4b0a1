// ENTER and BOUND (SDM 2).
#include "cpu/operand_access.h"
#include "cpu/ops.h"

namespace penumbra::cpu::ops {
namespace {

/// The stack under construction by ENTER: its pushes reach memory at once, because the display
/// copied later may overlap them; the registers change only when all is done.
class FrameBuilder {
 public:
  FrameBuilder(CpuContext& ctx, Width operand)
      : ctx_(ctx),
        operand_(operand),
        stack_(stack_width(ctx.state)),
        pointer_(ctx.state.reg(Reg::Rsp) & mask(stack_)),
        display_(ctx.state.reg(Reg::Rbp) & mask(stack_)) {}

  u64 pointer() const { return pointer_; }

  Expected<> push(u64 value) {
    u64 lowered = (pointer_ - bytes(operand_)) & mask(stack_);
    TRY_ASSIGN(u64 linear, address(lowered, Access::Write));
    TRY(store_value(ctx_.memory, linear, operand_, value));
    pointer_ = lowered;
    return {};
  }

  /// Copies the next older frame pointer from the caller's display.
  Expected<> push_display() {
    display_ = (display_ - bytes(operand_)) & mask(stack_);
    TRY_ASSIGN(u64 linear, address(display_, Access::Read));
    TRY_ASSIGN(u64 value, load_value(ctx_.memory, linear, operand_));
    return push(value);
  }

  /// The frame's lowest element must be writable; it is not written.
  Expected<> allocate(u64 size) {
    u64 lowered = (pointer_ - size) & mask(stack_);
    TRY_ASSIGN(u64 linear, address(lowered, Access::Write));
    TRY(ctx_.memory.probe(linear, bytes(operand_), Access::Write, Privilege::Current));
    pointer_ = lowered;
    return {};
  }

  void commit(u64 frame) {
    write_gpr(ctx_.state, static_cast<u8>(Reg::Rbp), operand_, frame);
    write_gpr(ctx_.state, static_cast<u8>(Reg::Rsp), stack_, pointer_);
  }

 private:
  Expected<u64> address(u64 offset, Access access) const {
    return linear_address(ctx_, Segment::Ss, offset, bytes(operand_), access);
  }

  CpuContext& ctx_;
  Width operand_, stack_;
  u64 pointer_, display_;
};

Expected<i64> signed_at(CpuContext& ctx, const Operands& ops, u64 offset) {
  u64 value = 0;
  TRY(read_bytes(ctx, ops, &value, bytes(ops.width), offset));
  return static_cast<i64>(sign_extend(value, ops.width));
}

}  // namespace

Outcome enter(CpuContext& ctx, const Operands& ops) {
  unsigned level = ops.selector & 31;
  FrameBuilder stack(ctx, ops.width);
  TRY(stack.push(ctx.state.reg(Reg::Rbp)));
  u64 frame = stack.pointer();
  for (unsigned i = 1; i < level; ++i) TRY(stack.push_display());
  if (level != 0) TRY(stack.push(frame));
  TRY(stack.allocate(ops.immediate & 0xffff));
  stack.commit(frame);
  return Next::Continue;
}

Outcome bound(CpuContext& ctx, const Operands& ops) {
  TRY_ASSIGN(u64 value, read_operand(ctx, ops, 0));
  TRY_ASSIGN(i64 lower, signed_at(ctx, ops, 0));
  TRY_ASSIGN(i64 upper, signed_at(ctx, ops, bytes(ops.width)));
  i64 index = static_cast<i64>(sign_extend(value, ops.width));
  if (index < lower || index > upper) return std::unexpected(Fault::of(Vector::Br));
  return Next::Continue;
}

}  // namespace penumbra::cpu::ops
