// How named operations reach their operands: effective and linear addresses, registers, the stack.
//
// Guarantees: nothing is written before everything that the call can fault on has been checked, and
// sub-register writes merge or zero-extend as the manual says (SDM 1, 3.4.1.1). Generated code does
// the same with micro-ops; the rules of segments live here once for everything out of line.
#pragma once

#include "cpu/context.h"

namespace penumbra::cpu {

/// 64-bit mode: EFER.LMA and CS.L.
inline bool in_long_mode(const CpuState& state) {
  return (state.efer & Efer::kLma) && state.seg(Segment::Cs).has(SegmentRegister::kLong);
}
inline bool is_protected(const CpuState& state) { return state.cr0 & Cr0::kPe; }
inline bool in_v86(const CpuState& state) { return state.flag(Flag::kVm); }
inline bool in_real_or_v86(const CpuState& state) { return !is_protected(state) || in_v86(state); }

/// Bits 63..47 equal: the 48-bit linear addresses of the model.
constexpr bool is_canonical(u64 address) {
  return static_cast<u64>(static_cast<i64>(address << 16) >> 16) == address;
}

/// base + index * scale + displacement, truncated to the address width; rip must be current.
inline u64 effective_address(const CpuState& state, const Operands& ops) {
  const MemoryForm& form = ops.memory;
  u64 address = static_cast<u64>(form.displacement);
  if (form.base == MemoryForm::kRip) {
    address += state.rip + ops.length;
  } else if (form.base != MemoryForm::kNone) {
    address += state.gpr[form.base & 15];
  }
  if (form.index != MemoryForm::kNone) address += state.gpr[form.index & 15] << form.scale;
  return address & mask(ops.address_width);
}

/// The base that counts: in 64-bit mode only FS and GS have one.
inline u64 segment_base(const CpuState& state, Segment segment) {
  bool has_base = segment == Segment::Fs || segment == Segment::Gs || !in_long_mode(state);
  return has_base && segment != Segment::None ? state.seg(segment).base : 0;
}

namespace detail {
Expected<u64> checked_linear_address(const CpuContext& ctx, Segment segment, u64 offset, u32 size,
                                     Access access);
}

/// Checks `size` bytes at `offset` of a segment and adds its base: canonical form in 64-bit mode,
/// else null, type and limit (SDM 3A 5.3, 5.4). #SS(0) for SS, #GP(0) for the others.
inline Expected<u64> linear_address(const CpuContext& ctx, Segment segment, u64 offset, u32 size,
                                    Access access) {
  if (in_long_mode(ctx.state)) [[likely]] {
    u64 first = segment_base(ctx.state, segment) + offset, last = first + size - (size != 0);
    if (is_canonical(first) && is_canonical(last)) [[likely]]
      return first;
  }
  return detail::checked_linear_address(ctx, segment, offset, size, access);
}
/// The same against a segment register that is not loaded yet (`stack` chooses #SS).
Expected<u64> linear_address(const CpuContext& ctx, const SegmentRegister& segment, bool stack,
                             u64 offset, u32 size, Access access);

/// Linear address of the memory operand, checked for `size` bytes.
Expected<u64> operand_linear(const CpuContext& ctx, const Operands& ops, u32 size, Access access);
/// The same for an operand that must be a multiple of `alignment`: on AMD processors that #GP(0)
/// goes before the segment's own fault.
Expected<u64> aligned_operand_linear(const CpuContext& ctx, const Operands& ops, u32 size,
                                     u32 alignment, Access access);

/// Operand `i`, up to 64 bits: general or segment register, memory, immediate (all zero-extended
/// to 64 bits, an immediate as the decoder left it).
Expected<u64> read_operand(CpuContext& ctx, const Operands& ops, unsigned i);
/// General registers by their size (8-bit high, 16 merges, 32 zero-extends) or memory.
Expected<> write_operand(CpuContext& ctx, const Operands& ops, unsigned i, u64 value);

u64 read_gpr(const CpuState& state, const Operand& operand);
void write_gpr(CpuState& state, const Operand& operand, u64 value);
inline void write_gpr(CpuState& state, u8 number, Width width, u64 value) {
  u64& reg = state.gpr[number & 15];
  u64 kept = width >= Width::W32 ? 0 : reg & ~mask(width);
  reg = kept | (value & mask(width));
}

/// Memory operands of any size (1..4096), `offset` bytes behind the effective address.
Expected<> read_bytes(CpuContext& ctx, const Operands& ops, void* out, u32 size, u64 offset = 0);
Expected<> write_bytes(CpuContext& ctx, const Operands& ops, const void* in, u32 size,
                       u64 offset = 0);

/// One memory access of a given width by linear address, value zero-extended to 64 bits.
Expected<u64> load_value(GuestMemory& memory, u64 linear, Width width,
                         Privilege privilege = Privilege::Current);
Expected<> store_value(GuestMemory& memory, u64 linear, Width width, u64 value,
                       Privilege privilege = Privilege::Current);

/// Width of the stack pointer: W64 in 64-bit mode, else by SS.B.
Width stack_width(const CpuState& state);

/// A sequence of pushes or pops on one stack. Reads happen at once; pushes are kept and written
/// together by commit(), which alone moves the stack pointer, so a fault leaves everything as it
/// was. Works on the current stack or on one that is about to become current.
class Stack {
 public:
  /// The current stack.
  explicit Stack(CpuContext& ctx);
  /// A stack that is not current yet: `ss` (hidden part loaded), its pointer and pointer width.
  Stack(CpuContext& ctx, const SegmentRegister& ss, u64 pointer, Width pointer_width,
        Privilege privilege);

  void push(u64 value, Width width);
  Expected<u64> pop(Width width);
  /// Value `offset` bytes above the pointer, without moving it.
  Expected<u64> peek(u64 offset, Width width);
  /// Moves the pointer up (RET n) without reading.
  void release(u64 bytes) { pointer_ = add(pointer_, bytes); }

  /// Checks, then writes what was pushed; faults before anything is written.
  Expected<> write_pushes();
  /// write_pushes(), then RSP = pointer (SP, ESP or RSP by the width).
  Expected<> commit();

  /// The pointer so far, not wrapped into RSP's untouched upper bits.
  u64 pointer() const { return pointer_; }
  /// RSP with the pointer put into its low part (16-bit stacks keep the upper bits).
  u64 merged_rsp() const;

 private:
  struct Push {
    u64 offset, value;
    Width width;
  };
  static constexpr unsigned kMostPushes = 48;  // a call gate copies at most 31 parameters

  u64 add(u64 pointer, u64 amount) const { return (pointer + amount) & mask(width_); }
  Expected<u64> linear(u64 offset, u32 size, Access access) const;
  bool write_in_place();

  CpuContext& ctx_;
  SegmentRegister ss_;
  Width width_;
  Privilege privilege_;
  u64 pointer_;
  unsigned count_ = 0;
  Push pushes_[kMostPushes];
};

}  // namespace penumbra::cpu
