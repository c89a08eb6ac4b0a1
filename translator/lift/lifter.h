// Turns one decoded instruction after the other into micro-ops.
//
// The context of the lift functions that instruction rows name: operand access, temporaries, and
// emission. Lift functions write in commit order: reads and address checks first, then what can
// fault, then architectural writes. Temporaries live until the instruction's end.
#pragma once

#include "cpu/model.h"
#include "frontend/instruction.h"
#include "translator/ir/block.h"
#include "translator/lift/sensitive.h"

namespace penumbra::translator {

/// A slot or a constant.
struct Value {
  Slot slot = kNoSlot;
  u64 immediate = 0;
  constexpr bool is_immediate() const { return slot == kNoSlot; }
  static constexpr Value of(u64 immediate) { return {kNoSlot, immediate}; }
  static constexpr Value in(Slot slot) { return {slot, 0}; }
};

/// A linear address, checked as far as segmentation goes: [base + (index << scale) + displacement].
struct Address {
  Slot base = kZeroSlot, index = kZeroSlot;
  u8 scale = 0;
  Segment segment = Segment::Ds;
  i32 displacement = 0;
};

class Lifter {
 public:
  Lifter(Block& block, const cpu::CpuModel& model, SensitivePolicy policy = {})
      : block_(block), model_(model), policy_(policy), position_(block.start) {}

  /// Appends one instruction at `offset` of the code page. Afterwards done() tells whether the
  /// block has to end behind it (its last micro-op is then in place).
  void lift(const frontend::Instruction& instruction, u16 offset);
  /// Ends a block whose last instruction falls through.
  void finish();
  bool done() const { return done_; }
  /// Page offset at which the block goes on.
  u64 position() const { return position_; }
  /// Takes back the Jump that ended the block, to go on at `offset`.
  void go_on(u64 offset);
  /// Whether read_variable() of the next instruction loads the bytes when it runs.
  void load_immediates(bool load) { load_immediates_ = load; }

  // -- the instruction ---------------------------------------------------------------------------
  const Operands& operands() const { return instruction_.operands; }
  const Operand& operand(int i) const { return instruction_.operands.at[i]; }
  CodeMode mode() const { return block_.mode; }
  const cpu::CpuModel& model() const { return model_; }
  Width width() const { return operands().width; }
  /// Page offset of the next instruction.
  u64 next_offset() const { return offset_ + operands().length; }

  // -- values ------------------------------------------------------------------------------------
  Slot temporary();
  Slot vector_temporary();
  /// An operand of up to 64 bits: a register's slot, an immediate, or memory loaded into a
  /// temporary. Registers are not copied: read before you write.
  Value read(int i, Value offset_delta = Value::of(0));
  /// As read(), for instructions that take an immediate as they would take a register.
  Value read_variable(int i);
  /// As read(), always in a slot.
  Slot read_slot(int i);
  Slot in_slot(Value value, Width width = Width::W64);
  /// Writes a register at the operand's width, or stores to memory.
  void write(int i, Value value);
  /// Read half of a read-modify-write: memory faults as a write does. Pair with write_back().
  Value read_for_write(int i, Value offset_delta = Value::of(0));
  void write_back(int i, Value value);

  /// Vector register operand's slot, or memory of `size` bytes loaded (zero-extended) into a
  /// vector temporary. `aligned` raises #GP(0) on addresses not a multiple of size.
  Slot read_vector(int i, u32 size, bool aligned);
  /// Loads memory operand i as read_vector() does, into a vector slot of the caller's choice.
  void load_vector(Slot d, int i, u32 size, bool aligned);
  /// Stores the low `size` bytes (4 to 32) of a vector slot to memory operand i.
  void store_vector(int i, Slot value, u32 size, bool aligned);
  Slot mmx(int i) const { return mmx_slot(operand(i).reg & 7); }

  // -- addresses ---------------------------------------------------------------------------------
  /// The memory operand's address for an access of `size` bytes; offset_delta is added to the
  /// offset before segmentation (bit strings, second halves).
  Address address(u32 size, Access access, Value offset_delta = Value::of(0));
  /// Effective address without segment, truncated to the address size (LEA).
  Slot effective_address();
  /// Offset `offset` (a slot already truncated) of `segment`.
  Address segment_address(Segment segment, Slot offset, u32 size, Access access);
  Slot load(const Address& address, Width width);
  /// Zero-extended into the whole of d, which may be a register of 32 or 64 bits.
  void load_into(Slot d, const Address& address, Width width);
  /// Faults as a write would; what is there now, in a temporary.
  Slot check_writable(const Address& address, Width width);
  void store(const Address& address, Value value, Width width);

  // -- emission ----------------------------------------------------------------------------------
  MicroOp& emit(const MicroOp& op);
  Slot unary(Op op, Width width, Value a, bool flags = false);
  /// d = op(a, b) into a fresh temporary, or into `d`.
  Slot binary(Op op, Width width, Value a, Value b, bool flags = false);
  void binary_into(Slot d, Op op, Width width, Value a, Value b, bool flags);
  Slot ternary(Op op, Width width, Value a, Value b, Value c, bool flags = false);
  void ternary_into(Slot d, Op op, Width width, Value a, Value b, Value c, bool flags);
  void move(Slot d, Value value, Width width);
  Slot condition(Condition condition);
  Slot flags();

  /// A call of a named operation. Alone in its instruction, unless everything before it only
  /// fills temporaries.
  void call(const NamedCall& call);
  void raise(Vector vector);
  /// Control: target is an offset relative to the next instruction (Relative operand).
  void jump_direct(u64 displacement);
  /// Where targets are not offsets in the code page (RIP may wrap): the target. Else kNoSlot.
  Slot computed_target(u64 displacement);
  /// `rip` fills its slot (zero-extended) and was checked.
  void jump_to(Slot rip);
  /// The same as the end of a call.
  /// `popped`: bytes, the return address included.
  void return_to(Slot rip, u64 popped);
  void branch(MicroOp condition, u64 displacement);

  /// Stack width: 64 in 64-bit mode, else by SS.B.
  Width stack_width() const;
  void push(Value value, Width width);
  /// The value on top of the stack, which stays until move_stack() commits the pop.
  Slot top_of_stack(Width width);
  /// SS:(RSP + delta) at the stack width.
  Address stack_address(i32 delta, Width width, Access access);
  /// RSP += delta at the stack width.
  void move_stack(i32 delta);
  /// POP to memory addresses with RSP as it is after the pop.
  void address_after_pop(u32 size);
  /// RIP of an offset from the code page's start, truncated to `width`, in a temporary.
  Slot code_address(u64 offset, Width width);
  /// Raises #GP(0) where RIP may not become `rip`. Before anything is committed.
  void check_target(Slot rip);

 private:
  void lift_sensitive(const NamedCall& operation, SensitiveAction action);
  MicroOp unit_call();
  Slot gpr_operand_slot(const Operand& operand) const;
  /// What RIP is truncated to as it advances.
  Width code_width() const;
  void check_aligned(const Address& where, u32 alignment);
  Address vector_address(u32 size, Access access, bool aligned);
  Address combine(Slot offset, Segment segment, u32 size, Access access);

  Block& block_;
  const cpu::CpuModel& model_;
  SensitivePolicy policy_;
  frontend::Instruction instruction_;
  u16 offset_ = 0;
  u64 position_;
  unsigned temporaries_ = 0, vector_temporaries_ = 0;
  bool done_ = false;
  bool load_immediates_ = false;
  bool address_known_ = false;  ///< of read_for_write, for write_back
  Address address_;
};

using LiftFunction = void (*)(Lifter&, u32 argument);

}  // namespace penumbra::translator
