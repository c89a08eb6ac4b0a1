// The micro-op: one step of an instruction, over slots of CpuState.
//
// Values live in slots (byte offsets of CpuState: guest registers, temporaries, segment bases), so
// a micro-op is the same for an interpreter (load, compute, store), a stencil (holes are offsets,
// pinned registers replace some of them) and LLVM (slots become values). A micro-op writes its d at
// `width`: W8 and W16 leave the rest of the slot, W32 zero-extends, as x86 registers do.
#pragma once

#include <cstddef>

#include "common/fault.h"
#include "common/operands.h"
#include "cpu/state.h"

namespace penumbra::translator {

using cpu::Condition;
using cpu::FlagKind;
using cpu::Slot;

constexpr Slot kNoSlot = 0xffff;

enum class Op : u16 {
#define PENUMBRA_OP(name, shape) name,
#include "translator/ir/ops.def"
#undef PENUMBRA_OP
#define PENUMBRA_VECTOR_OP(name, shape) name,
#include "cpu/semantics/vector_ops.def"
#undef PENUMBRA_VECTOR_OP
  kCount
};

enum class Shape : u8 {
  Move,
  Code,
  Address,
  Widen,
  Unary,
  Binary,
  Counted,
  Ternary,
  Divide,
  ReadFlags,
  WriteFlags,
  FlagState,
  Memory,
  Segmented,
  Check,
  Hint,
  Control,
  // of vector_ops.def. V is V128 or V256 by the micro-op's width.
  VectorUnary,             ///< V d = f(V a)
  VectorBinary,            ///< V d = f(V a, V b)
  VectorTernary,           ///< V d = f(V a, V b, V c)
  VectorUnaryImmediate,    ///< V d = f(V a, u8 immediate)
  VectorBinaryImmediate,   ///< V d = f(V a, V b, u8 immediate)
  VectorTernaryImmediate,  ///< V128 d = f(V128 a, V128 b, V128 c, u8 immediate)
  VectorFromInteger,       ///< V128 d = f(V128 a, u64 b at width, u8 immediate)
  IntegerFromVector,       ///< u64 d = f(V a, u8 immediate), written at width; V by `from`
  VectorClear,             ///< bits 255:128 of d = 0
  VectorFlags,             ///< flags (Explicit, u32) = f(V a, V b)
};

struct MicroOp {
  Op op = Op::Move;
  Width width = Width::W64;
  Width from = Width::W64;  ///< source width: ZeroExtend, SignExtend, CodeValue, IntegerFromVector
  bool sets_flags = false;
  bool cold_flags = false;  ///< sets_flags, but only slow paths and side exits want them
  bool returns = false;  ///< JumpDynamic that ends a call; the displacement leads from RSP back to
                         ///< where the return address was
  Condition condition = Condition::O;
  // The flag pass fills these in.
  cpu::FlagState flags_before;
  /// Of readers: the kind to read, where it is partial that of the patch; Dynamic: by the state.
  FlagKind reads = FlagKind::Dynamic;
  u8 scale = 0;
  Segment segment = Segment::Ds;
  bool b_is_immediate = false;
  Slot d = kNoSlot, a = kNoSlot, b = kNoSlot, c = kNoSlot;
  i32 displacement = 0;
  u64 immediate = 0;
  u16 instruction = 0;  ///< index into Block::instructions
};

constexpr Shape kShapes[] = {
#define PENUMBRA_OP(name, shape) Shape::shape,
#include "translator/ir/ops.def"
#undef PENUMBRA_OP
#define PENUMBRA_VECTOR_OP(name, shape) Shape::shape,
#include "cpu/semantics/vector_ops.def"
#undef PENUMBRA_VECTOR_OP
};
constexpr Shape shape_of(Op op) { return kShapes[static_cast<u16>(op)]; }
const char* name_of(Op op);
/// The family of the flags that the op sets where sets_flags; Explicit for whole-register ops.
cpu::FlagFamily flag_family_of(Op op);

/// The flags that a micro-op that sets flags may change.
u32 flags_set_by(Op op);

/// A conditional jump; what it does not take is behind it.
constexpr bool is_branch(Op op) {
  return op == Op::BranchFlags || op == Op::BranchNonzero || op == Op::BranchSub ||
         op == Op::BranchAnd;
}

/// Whether nothing of the block follows it.
constexpr bool ends_block(Op op) {
  return op == Op::Jump || op == Op::JumpDynamic || op == Op::Raise;
}
/// Whether the block goes on behind a branch with `next`, which else is where it goes otherwise.
constexpr bool goes_on_behind(const MicroOp& branch, const MicroOp& next) {
  return next.op != Op::Jump || next.instruction != branch.instruction;
}

/// Properties that passes ask for, rather than listing ops.
struct Effects {
  bool may_fault = false;  ///< or exit for MMIO
  bool leaves = false;     ///< ends the block or may
  u32 reads_flags = 0;     ///< EFLAGS bits
  bool writes_memory = false;
};
constexpr Effects effects_of(const MicroOp& op) {
  switch (shape_of(op.op)) {
    case Shape::Memory:
      return {.may_fault = true, .writes_memory = op.op == Op::Store || op.op == Op::StoreVector};
    case Shape::Segmented:
      return {.may_fault = true};
    case Shape::Check:
      return {.may_fault = op.op != Op::BeginSse};
    case Shape::ReadFlags:
      return {.reads_flags =
                  op.op == Op::GetFlags ? cpu::Flag::kArithmetic : cpu::flags_of(op.condition)};
    case Shape::Control:
      return {.may_fault = op.op == Op::Call || op.op == Op::Raise,
              .leaves = true,
              .reads_flags = op.op == Op::BranchFlags ? cpu::flags_of(op.condition) : 0};
    default:
      return {};
  }
}

/// Slots of CpuState by name.
constexpr Slot gpr_slot(u8 number) {
  return static_cast<Slot>(offsetof(cpu::CpuState, gpr) + 8 * number);
}
constexpr Slot gpr_high_slot(u8 number) { return static_cast<Slot>(gpr_slot(number) + 1); }
constexpr Slot temporary_slot(unsigned number) {
  return static_cast<Slot>(offsetof(cpu::CpuState, temporary) + 8 * number);
}
constexpr Slot vector_slot(u8 number) {
  return static_cast<Slot>(offsetof(cpu::CpuState, vector) + 32 * number);
}
constexpr Slot vector_temporary_slot(unsigned number) {
  return static_cast<Slot>(offsetof(cpu::CpuState, vector_temporary) + 32 * number);
}
/// MM0..MM7 are the mantissas of the physical x87 registers.
constexpr Slot mmx_slot(u8 number) {
  return static_cast<Slot>(offsetof(cpu::CpuState, x87) + offsetof(cpu::X87State, registers) +
                           16 * number);
}
constexpr Slot segment_base_slot(Segment segment) {
  return static_cast<Slot>(offsetof(cpu::CpuState, segment) +
                           sizeof(cpu::SegmentRegister) * static_cast<u8>(segment) +
                           offsetof(cpu::SegmentRegister, base));
}
constexpr Slot kZeroSlot = offsetof(cpu::CpuState, zero);
constexpr bool is_temporary(Slot slot) {
  return (slot >= temporary_slot(0) && slot < temporary_slot(cpu::CpuState::kTemporaries)) ||
         (slot >= vector_temporary_slot(0) &&
          slot < vector_temporary_slot(cpu::CpuState::kVectorTemporaries));
}

}  // namespace penumbra::translator
