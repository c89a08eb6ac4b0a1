#include "cpu/operand_access.h"

#include "cpu/mode.h"

#include "common/log.h"
#include "cpu/integer/bulk_memory.h"

namespace penumbra::cpu {
namespace {

Fault segment_fault(bool stack) { return stack ? Fault::ss(0) : Fault::gp(0); }

/// SDM 3A 5.4: what a segment of this type may be used for. Real and virtual-8086 mode do not ask.
bool type_allows(const SegmentRegister& segment, Access access) {
  bool code = segment.has(SegmentRegister::kCode);
  bool bit1 = segment.has(SegmentRegister::kWritableOrReadable);
  switch (access) {
    case Access::Write:
      return !code && bit1;
    case Access::Read:
      return !code || bit1;
    default:
      return code;
  }
}

/// SDM 3A 5.3: limit of expand-up and expand-down segments. A flat segment wraps at 4 GiB.
bool within_limit(const SegmentRegister& segment, u64 offset, u32 size) {
  bool down =
      (segment.attributes & (SegmentRegister::kCode | SegmentRegister::kConformingOrDown)) ==
      SegmentRegister::kConformingOrDown;
  u64 last = offset + size - 1;
  if (down) {
    u64 top = segment.has(SegmentRegister::kBig) ? 0xffffffffu : 0xffffu;
    return offset > segment.limit && last <= top;
  }
  return last <= segment.limit;  // also where a flat segment would wrap, as on the reference CPU
}

Expected<u64> long_mode_address(u64 linear, u32 size, bool stack) {
  if (!is_canonical(linear) || !is_canonical(linear + size - 1)) [[unlikely]]
    return std::unexpected(segment_fault(stack));
  return linear;
}

}  // namespace

Expected<u64> linear_address(const CpuContext& ctx, const SegmentRegister& segment, bool stack,
                             u64 offset, u32 size, Access access) {
  if (size == 0) size = 1;
  if (in_long_mode(ctx.state)) return long_mode_address(segment.base + offset, size, stack);
  offset &= 0xffffffffu;
  if (segment.has(SegmentRegister::kUnusable)) return std::unexpected(segment_fault(stack));
  if (!in_real_or_v86(ctx.state) && !type_allows(segment, access)) [[unlikely]]
    return std::unexpected(segment_fault(stack));
  if (!within_limit(segment, offset, size)) [[unlikely]]
    return std::unexpected(segment_fault(stack));
  return (segment.base + offset) & 0xffffffffu;
}

Expected<u64> detail::checked_linear_address(const CpuContext& ctx, Segment segment, u64 offset,
                                             u32 size, Access access) {
  bool stack = segment == Segment::Ss;
  if (in_long_mode(ctx.state)) {
    u64 base = segment_base(ctx.state, segment);
    return long_mode_address(base + offset, size == 0 ? 1 : size, stack);
  }
  if (segment == Segment::None) segment = Segment::Ds;
  return linear_address(ctx, ctx.state.seg(segment), stack, offset, size, access);
}

Expected<u64> operand_linear(const CpuContext& ctx, const Operands& ops, u32 size, Access access) {
  return linear_address(ctx, ops.memory.segment, effective_address(ctx.state, ops), size, access);
}

Expected<u64> aligned_operand_linear(const CpuContext& ctx, const Operands& ops, u32 size,
                                     u32 alignment, Access access) {
  u64 base = segment_base(ctx.state, ops.memory.segment);
  bool aligned = (base + effective_address(ctx.state, ops)) % alignment == 0;
  // The reference CPU looks at the canonical form first, but at limits last.
  bool is_long = code_size(ctx.state) == CodeSize::Long;
  if (!aligned && !is_long) return std::unexpected(Fault::gp());
  TRY_ASSIGN(u64 linear, operand_linear(ctx, ops, size, access));
  if (!aligned) return std::unexpected(Fault::gp());
  return linear;
}

u64 read_gpr(const CpuState& state, const Operand& operand) {
  if (operand.kind == OperandKind::GprHigh) return (state.gpr[operand.reg & 3] >> 8) & 0xff;
  return state.gpr[operand.reg & 15] & mask(operand.width());
}

void write_gpr(CpuState& state, const Operand& operand, u64 value) {
  if (operand.kind == OperandKind::GprHigh) {
    u64& reg = state.gpr[operand.reg & 3];
    reg = Bits<15, 8>::set(reg, value);
  } else {
    write_gpr(state, operand.reg, operand.width(), value);
  }
}

Expected<u64> load_value(GuestMemory& memory, u64 linear, Width width, Privilege privilege) {
  u64 value = 0;
  TRY(memory.read(linear, &value, bytes(width), privilege));
  return value;
}

Expected<> store_value(GuestMemory& memory, u64 linear, Width width, u64 value,
                       Privilege privilege) {
  return memory.write(linear, &value, bytes(width), privilege);
}

Expected<u64> read_operand(CpuContext& ctx, const Operands& ops, unsigned i) {
  const Operand& operand = ops.at[i];
  switch (operand.kind) {
    case OperandKind::Gpr:
    case OperandKind::GprHigh:
      return read_gpr(ctx.state, operand);
    case OperandKind::Segment:
      return operand.reg < 6 ? u64{ctx.state.segment[operand.reg].selector} : 0;
    case OperandKind::Immediate:
    case OperandKind::Relative:
      return ops.immediate;
    case OperandKind::Memory: {
      TRY_ASSIGN(u64 linear, operand_linear(ctx, ops, bytes(operand.width()), Access::Read));
      return load_value(ctx.memory, linear, operand.width());
    }
    default:
      return std::unexpected(Fault::ud());
  }
}

Expected<> write_operand(CpuContext& ctx, const Operands& ops, unsigned i, u64 value) {
  const Operand& operand = ops.at[i];
  if (operand.is_gpr()) {
    write_gpr(ctx.state, operand, value);
    return {};
  }
  if (!operand.is_memory()) return std::unexpected(Fault::ud());
  TRY_ASSIGN(u64 linear, operand_linear(ctx, ops, bytes(operand.width()), Access::Write));
  return store_value(ctx.memory, linear, operand.width(), value);
}

Expected<> read_bytes(CpuContext& ctx, const Operands& ops, void* out, u32 size, u64 offset) {
  u64 address = (effective_address(ctx.state, ops) + offset) & mask(ops.address_width);
  TRY_ASSIGN(u64 linear, linear_address(ctx, ops.memory.segment, address, size, Access::Read));
  return ctx.memory.read(linear, out, size, Privilege::Current);
}

Expected<> write_bytes(CpuContext& ctx, const Operands& ops, const void* in, u32 size, u64 offset) {
  u64 address = (effective_address(ctx.state, ops) + offset) & mask(ops.address_width);
  TRY_ASSIGN(u64 linear, linear_address(ctx, ops.memory.segment, address, size, Access::Write));
  return ctx.memory.write(linear, in, size, Privilege::Current);
}

Width stack_width(const CpuState& state) {
  if (in_long_mode(state)) return Width::W64;
  return state.seg(Segment::Ss).has(SegmentRegister::kBig) ? Width::W32 : Width::W16;
}

Stack::Stack(CpuContext& ctx)
    : Stack(ctx, ctx.state.seg(Segment::Ss), ctx.state.reg(Reg::Rsp), stack_width(ctx.state),
            Privilege::Current) {}

Stack::Stack(CpuContext& ctx, const SegmentRegister& ss, u64 pointer, Width pointer_width,
             Privilege privilege)
    : ctx_(ctx),
      ss_(ss),
      width_(pointer_width),
      privilege_(privilege),
      pointer_(pointer & mask(pointer_width)) {}

/// 64-bit stacks have no segment; the others are checked as SS.
Expected<u64> Stack::linear(u64 offset, u32 size, Access access) const {
  if (width_ == Width::W64) return long_mode_address(offset, size, true);
  return linear_address(ctx_, ss_, true, offset, size, access);
}

void Stack::push(u64 value, Width width) {
  PENUMBRA_ASSERT(count_ < kMostPushes);
  pointer_ = add(pointer_, u64{0} - bytes(width));
  pushes_[count_++] = {pointer_, value, width};
}

Expected<u64> Stack::peek(u64 offset, Width width) {
  TRY_ASSIGN(u64 address, linear(add(pointer_, offset), bytes(width), Access::Read));
  return load_value(ctx_.memory, address, width, privilege_);
}

Expected<u64> Stack::pop(Width width) {
  TRY_ASSIGN(u64 value, peek(0, width));
  pointer_ = add(pointer_, bytes(width));
  return value;
}

/// The pushes in plain memory of one page, where nothing can fault any more; false: not so simple.
bool Stack::write_in_place() {
  u64 lowest = pushes_[count_ - 1].offset;
  u64 size = pushes_[0].offset + bytes(pushes_[0].width) - lowest;
  if (size > kPageSize) return false;  // the pointer has wrapped
  auto address = linear(lowest, static_cast<u32>(size), Access::Write);
  if (!address) return false;
  u32 length = 0;
  auto host = ctx_.memory.span(*address, Access::Write, privilege_, length);
  if (!host || *host == nullptr || length < size) return false;
  for (unsigned i = 0; i < count_; ++i)
    store_element(*host + (pushes_[i].offset - lowest), pushes_[i].value, pushes_[i].width);
  return true;
}

Expected<> Stack::write_pushes() {
  if (count_ > 1 && write_in_place()) {
    count_ = 0;
    return {};
  }
  u64 address[kMostPushes];
  for (unsigned i = 0; i < count_; ++i) {
    TRY_ASSIGN(address[i], linear(pushes_[i].offset, bytes(pushes_[i].width), Access::Write));
    if (count_ > 1)
      TRY(ctx_.memory.probe(address[i], bytes(pushes_[i].width), Access::Write, privilege_));
  }
  for (unsigned i = 0; i < count_; ++i)
    TRY(store_value(ctx_.memory, address[i], pushes_[i].width, pushes_[i].value, privilege_));
  count_ = 0;
  return {};
}

u64 Stack::merged_rsp() const {
  u64 rsp = ctx_.state.reg(Reg::Rsp);
  return width_ == Width::W16 ? (rsp & ~mask(Width::W16)) | pointer_ : pointer_;
}

Expected<> Stack::commit() {
  TRY(write_pushes());
  ctx_.state.reg(Reg::Rsp) = merged_rsp();
  return {};
}

}  // namespace penumbra::cpu
