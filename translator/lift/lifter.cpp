#include "translator/lift/lifter.h"

#include <algorithm>

#include "common/log.h"
#include "translator/lift/sensitive.h"
#include "translator/lift/table.h"

namespace penumbra::translator {
namespace {

constexpr Slot kCodeBaseSlot = offsetof(cpu::CpuState, code_base);

MicroOp memory_op(Op op, Width width, const Address& where) {
  return {.op = op,
          .width = width,
          .scale = where.scale,
          .segment = where.segment,
          .a = where.base,
          .b = where.index,
          .displacement = where.displacement};
}

bool fits_displacement(i64 value) { return value == static_cast<i32>(value); }

}  // namespace

void Lifter::lift(const frontend::Instruction& instruction, u16 offset) {
  instruction_ = instruction;
  offset_ = offset;
  temporaries_ = vector_temporaries_ = 0;
  address_known_ = false;
  block_.instructions.push_back({offset, instruction.length()});
  position_ = next_offset();
  block_.end = std::max(block_.end, static_cast<u16>(position_));
  const Row* row = find_row(instruction.mnemonic);
  if (row == nullptr || !model_.has(row->feature)) return raise(Vector::Ud);
  Sensitive found = sensitive(instruction);
  if (found.sensitivity != Sensitivity::Innocuous) {
    return lift_sensitive(found.form != nullptr ? *found.form : row->named,
                          policy_.action(found.sensitivity));
  }
  if (row->lift != nullptr) {
    row->lift(*this, row->argument);
  } else {
    call(row->named);
  }
}

void Lifter::lift_sensitive(const NamedCall& operation, SensitiveAction action) {
  if (action == SensitiveAction::Trap) return raise(Vector::Gp);
  if (!lift_harmless(*this, operation)) call(operation);
}

void Lifter::finish() {
  if (!done_) emit({.op = Op::Jump, .immediate = position_});
  done_ = true;
}

void Lifter::go_on(u64 offset) {
  PENUMBRA_ASSERT(done_ && block_.ops.back().op == Op::Jump);
  block_.ops.pop_back();
  position_ = offset;
  done_ = false;
}

Slot Lifter::temporary() {
  PENUMBRA_ASSERT(temporaries_ < cpu::CpuState::kTemporaries);
  return temporary_slot(temporaries_++);
}

Slot Lifter::vector_temporary() {
  PENUMBRA_ASSERT(vector_temporaries_ < cpu::CpuState::kVectorTemporaries);
  return vector_temporary_slot(vector_temporaries_++);
}

Slot Lifter::gpr_operand_slot(const Operand& operand) const {
  return operand.kind == OperandKind::GprHigh ? gpr_high_slot(operand.reg) : gpr_slot(operand.reg);
}

// -- values
// ----------------------------------------------------------------------------------------

Value Lifter::read(int i, Value offset_delta) {
  const Operand& o = operand(i);
  if (o.is_gpr()) return Value::in(gpr_operand_slot(o));
  if (o.kind == OperandKind::Mmx) return Value::in(mmx(i));
  if (o.is_memory()) return Value::in(load(address(o.size, Access::Read, offset_delta), o.width()));
  return Value::of(operands().immediate);
}

Value Lifter::read_variable(int i) {
  if (operand(i).kind != OperandKind::Immediate || !load_immediates_) return read(i);
  u16 size = instruction_.encoding.immediate_size;
  auto at = static_cast<u16>(offset_ + instruction_.encoding.immediate_offset);
  Slot slot = temporary();
  emit({.op = Op::CodeValue,
        .from = static_cast<Width>(__builtin_ctz(size)),
        .d = slot,
        .immediate = at});
  block_.loaded.push_back({at, size});
  return Value::in(slot);
}

Slot Lifter::in_slot(Value value, Width width) {
  if (!value.is_immediate()) return value.slot;
  Slot slot = temporary();
  move(slot, value, width);
  return slot;
}

Slot Lifter::read_slot(int i) { return in_slot(read(i)); }

void Lifter::write(int i, Value value) {
  const Operand& o = operand(i);
  if (o.is_memory()) return store(address(o.size, Access::Write), value, o.width());
  move(gpr_operand_slot(o), value, o.width());
}

Value Lifter::read_for_write(int i, Value offset_delta) {
  const Operand& o = operand(i);
  if (!o.is_memory()) return read(i);
  address_ = address(o.size, Access::Write, offset_delta);
  address_known_ = true;
  return Value::in(check_writable(address_, o.width()));
}

void Lifter::write_back(int i, Value value) {
  const Operand& o = operand(i);
  if (!o.is_memory()) return move(gpr_operand_slot(o), value, o.width());
  PENUMBRA_ASSERT(address_known_);
  store(address_, value, o.width());
}

Slot Lifter::read_vector(int i, u32 size, bool aligned) {
  const Operand& o = operand(i);
  if (!o.is_memory()) return vector_slot(o.reg);
  Slot slot = vector_temporary();
  load_vector(slot, i, size, aligned);
  return slot;
}

void Lifter::check_aligned(const Address& where, u32 alignment) {
  emit(memory_op(Op::CheckAligned, Width::W64, where)).immediate = alignment;
}

Address Lifter::vector_address(u32 size, Access access, bool aligned) {
  if (!aligned || size < 16) return address(size, access);
  if (mode().is_long()) {
    Address where = address(size, access);
    check_aligned(where, size);
    return where;
  }
  // On AMD processors a misaligned operand faults for that before its segment does.
  Segment segment = operands().memory.segment;
  Slot offset = effective_address();
  check_aligned({.base = offset, .index = segment_base_slot(segment), .segment = segment}, size);
  return combine(offset, segment, size, access);
}

void Lifter::load_vector(Slot d, int i, u32 size, bool aligned) {
  PENUMBRA_ASSERT(operand(i).is_memory());
  Address where = vector_address(size, Access::Read, aligned);
  emit(memory_op(Op::LoadVector, static_cast<Width>(__builtin_ctz(size)), where)).d = d;
}

void Lifter::store_vector(int i, Slot value, u32 size, bool aligned) {
  PENUMBRA_ASSERT(operand(i).is_memory());
  Address where = vector_address(size, Access::Write, aligned);
  emit(memory_op(Op::StoreVector, static_cast<Width>(__builtin_ctz(size)), where)).c = value;
}

// -- addresses
// -------------------------------------------------------------------------------------

namespace {

/// Base, index and displacement of a memory form as an Address, RIP-relative included.
Address form_address(const MemoryForm& form, u64 next_offset) {
  Address result;
  i64 displacement = form.displacement;
  if (form.base == MemoryForm::kRip) {
    result.base = kCodeBaseSlot;
    displacement += static_cast<i64>(next_offset);
  } else if (form.base != MemoryForm::kNone) {
    result.base = gpr_slot(form.base);
  }
  if (form.index != MemoryForm::kNone) {
    result.index = gpr_slot(form.index);
    result.scale = form.scale;
  }
  result.segment = form.segment;
  result.displacement = static_cast<i32>(displacement);
  return result;
}

}  // namespace

Slot Lifter::effective_address() {
  const MemoryForm& form = operands().memory;
  Slot slot = temporary();
  i64 displacement = form.displacement;
  if (form.base == MemoryForm::kRip) displacement += static_cast<i64>(next_offset());
  Address parts = form_address(form, next_offset());
  if (!fits_displacement(displacement)) {
    Slot constant = temporary();
    move(constant, Value::of(static_cast<u64>(displacement)), Width::W64);
    PENUMBRA_ASSERT(parts.index == kZeroSlot);
    parts.index = constant;
    parts.displacement = 0;
  }
  Width width = operands().address_width;
  if (width == Width::W16) move(slot, Value::of(0), Width::W64);
  emit({.op = Op::Lea,
        .width = width,
        .scale = parts.scale,
        .d = slot,
        .a = parts.base,
        .b = parts.index,
        .displacement = parts.displacement});
  return slot;
}

Address Lifter::address(u32 size, Access access, Value offset_delta) {
  const MemoryForm& form = operands().memory;
  bool no_delta = offset_delta.is_immediate() && offset_delta.immediate == 0;
  i64 displacement = form.displacement;
  if (form.base == MemoryForm::kRip) displacement += static_cast<i64>(next_offset());
  bool simple = mode().is_long() && operands().address_width == Width::W64 && no_delta &&
                fits_displacement(displacement);
  if (!simple) {
    Slot offset = effective_address();
    if (!no_delta) {
      Slot sum = temporary();
      Width width = operands().address_width;
      if (width == Width::W16) move(sum, Value::of(0), Width::W64);
      emit({.op = Op::Lea, .width = width, .d = sum, .a = offset, .b = in_slot(offset_delta)});
      offset = sum;
    }
    return combine(offset, form.segment, size, access);
  }
  Address result = form_address(form, next_offset());
  bool based = form.segment == Segment::Fs || form.segment == Segment::Gs;
  if (!based) return result;
  if (result.index == kZeroSlot) {
    result.index = segment_base_slot(form.segment);
    result.scale = 0;
    return result;
  }
  return combine(effective_address(), form.segment, size, access);
}

Address Lifter::segment_address(Segment segment, Slot offset, u32 size, Access access) {
  return combine(offset, segment, size, access);
}

Address Lifter::combine(Slot offset, Segment segment, u32 size, Access access) {
  Address result{.base = offset, .segment = segment};
  bool based = segment == Segment::Fs || segment == Segment::Gs;
  if (mode().is_long()) {
    if (based) result.index = segment_base_slot(segment);
    return result;
  }
  bool code_store = segment == Segment::Cs && access == Access::Write;  // always refused
  if (mode().has(CodeMode::kFlatSegments) && !based && !code_store) return result;
  Slot linear = temporary();
  emit({.op = Op::Linear,
        .width = Width::W32,
        .segment = segment,
        .d = linear,
        .a = offset,
        .immediate = size | (access == Access::Write ? 256u : 0u)});
  result.base = linear;
  return result;
}

Slot Lifter::load(const Address& where, Width width) {
  Slot slot = temporary();
  load_into(slot, where, width);
  return slot;
}

Slot Lifter::check_writable(const Address& where, Width width) {
  Slot slot = temporary();
  emit(memory_op(Op::LoadForWrite, width, where)).d = slot;
  return slot;
}

void Lifter::load_into(Slot d, const Address& where, Width width) {
  emit(memory_op(Op::Load, width, where)).d = d;
}

void Lifter::store(const Address& where, Value value, Width width) {
  MicroOp& op = emit(memory_op(Op::Store, width, where));
  op.c = value.slot;
  op.immediate = value.immediate;
}

// -- emission
// --------------------------------------------------------------------------------------

MicroOp& Lifter::emit(const MicroOp& op) {
  block_.ops.push_back(op);
  block_.ops.back().instruction = static_cast<u16>(block_.instructions.size() - 1);
  return block_.ops.back();
}

Slot Lifter::unary(Op op, Width width, Value a, bool flags) {
  Slot slot = temporary();
  emit({.op = op, .width = width, .sets_flags = flags, .d = slot, .a = in_slot(a)});
  return slot;
}

void Lifter::binary_into(Slot d, Op op, Width width, Value a, Value b, bool flags) {
  Slot left = in_slot(a);
  emit({.op = op,
        .width = width,
        .sets_flags = flags,
        .b_is_immediate = b.is_immediate(),
        .d = d,
        .a = left,
        .b = b.slot,
        .immediate = b.immediate & mask(width)});
}

Slot Lifter::binary(Op op, Width width, Value a, Value b, bool flags) {
  Slot slot = temporary();
  binary_into(slot, op, width, a, b, flags);
  return slot;
}

void Lifter::ternary_into(Slot d, Op op, Width width, Value a, Value b, Value c, bool flags) {
  Slot left = in_slot(a), third = in_slot(c);
  emit({.op = op,
        .width = width,
        .sets_flags = flags,
        .b_is_immediate = b.is_immediate(),
        .d = d,
        .a = left,
        .b = b.slot,
        .c = third,
        .immediate = b.immediate & mask(width)});
}

Slot Lifter::ternary(Op op, Width width, Value a, Value b, Value c, bool flags) {
  Slot slot = temporary();
  ternary_into(slot, op, width, a, b, c, flags);
  return slot;
}

void Lifter::move(Slot d, Value value, Width width) {
  emit({.op = Op::Move,
        .width = width,
        .d = d,
        .a = value.slot,
        .immediate = value.immediate & mask(width)});
}

Slot Lifter::condition(Condition condition) {
  Slot slot = temporary();
  emit({.op = Op::GetCondition, .condition = condition, .d = slot});
  return slot;
}

Slot Lifter::flags() {
  Slot slot = temporary();
  emit({.op = Op::GetFlags, .d = slot});
  return slot;
}

void Lifter::call(const NamedCall& call) {
  bool has_address = call.effects & (RunsOnUnit | StoresMxcsr);
  MicroOp op = has_address ? unit_call() : MicroOp{.op = Op::Call};
  op.immediate = block_.calls.size();
  emit(op);
  block_.calls.push_back({call, operands()});
  if (call.effects & EndsBlock) finish();
}

/// A call with the address of its memory operand, where that is the offset itself.
MicroOp Lifter::unit_call() {
  const Operand& memory = operand(0);
  Segment segment = operands().memory.segment;
  bool flat = segment == Segment::Ds || segment == Segment::Ss || segment == Segment::Es ||
              (segment == Segment::Cs && mode().is_long());
  bool direct = mode().is_long() || mode().has(CodeMode::kFlatSegments);
  if (!memory.is_memory() || !flat || !direct) return {.op = Op::Call};
  return memory_op(Op::Call, Width::W64, address(memory.size, Access::Write));
}

void Lifter::raise(Vector vector) {
  emit({.op = Op::Raise, .immediate = static_cast<u64>(vector)});
  done_ = true;
}

// -- control
// ---------------------------------------------------------------------------------------

namespace {

/// Direct targets are offsets in the code page; elsewhere RIP may wrap, so targets are computed.
bool has_direct_targets(CodeMode mode, Width width) {
  if (mode.is_long()) return width == Width::W64;
  return mode.size() == CodeSize::Bits32 && width == Width::W32 &&
         mode.has(CodeMode::kFlatSegments);
}

}  // namespace

void Lifter::jump_direct(u64 displacement) {
  emit({.op = Op::Jump, .immediate = next_offset() + displacement});
  done_ = true;
}

Slot Lifter::computed_target(u64 displacement) {
  if (has_direct_targets(mode(), width())) return kNoSlot;
  return code_address(next_offset() + displacement, width());
}

Slot Lifter::code_address(u64 offset, Width width) {
  Slot slot = temporary();
  if (width == Width::W16) move(slot, Value::of(0), Width::W64);
  emit({.op = Op::Lea,
        .width = width,
        .d = slot,
        .a = kCodeBaseSlot,
        .b = kZeroSlot,
        .displacement = static_cast<i32>(offset)});
  return slot;
}

void Lifter::check_target(Slot rip) {
  bool any_is_valid = !mode().is_long() && mode().has(CodeMode::kFlatSegments);
  if (!any_is_valid) emit({.op = Op::CheckTarget, .a = rip});
}

void Lifter::jump_to(Slot rip) {
  emit({.op = Op::JumpDynamic, .a = rip});
  done_ = true;
}

void Lifter::return_to(Slot rip, u64 popped) {
  emit({.op = Op::JumpDynamic,
        .returns = true,
        .a = rip,
        .displacement = -static_cast<i32>(popped)});
  done_ = true;
}

void Lifter::branch(MicroOp test, u64 displacement) {
  u64 target = next_offset() + displacement;
  if (has_direct_targets(mode(), width())) {
    test.immediate = target;
    emit(test);
    emit({.op = Op::Jump, .immediate = next_offset()});
    done_ = true;
    return;
  }
  Slot taken = test.op == Op::BranchFlags ? condition(test.condition) : test.a;
  Slot to = code_address(target, width());
  Slot next = code_address(next_offset(), code_width());
  Slot rip = ternary(Op::Select, Width::W64, Value::in(to), Value::in(next), Value::in(taken));
  check_target(rip);
  jump_to(rip);
}

Width Lifter::code_width() const {
  if (mode().is_long()) return Width::W64;
  return mode().size() == CodeSize::Bits16 ? Width::W16 : Width::W32;
}

Width Lifter::stack_width() const {
  if (mode().is_long()) return Width::W64;
  return mode().has(CodeMode::kStack32) ? Width::W32 : Width::W16;
}

Address Lifter::stack_address(i32 delta, Width width, Access access) {
  if (mode().is_long()) {
    return {.base = gpr_slot(4), .segment = Segment::Ss, .displacement = delta};
  }
  Slot offset = temporary();
  if (stack_width() == Width::W16) move(offset, Value::of(0), Width::W64);
  emit({.op = Op::Lea,
        .width = stack_width(),
        .d = offset,
        .a = gpr_slot(4),
        .b = kZeroSlot,
        .displacement = delta});
  return segment_address(Segment::Ss, offset, bytes(width), access);
}

void Lifter::move_stack(i32 delta) {
  emit({.op = Op::Lea,
        .width = stack_width(),
        .d = gpr_slot(4),
        .a = gpr_slot(4),
        .b = kZeroSlot,
        .displacement = delta});
}

void Lifter::push(Value value, Width width) {
  i32 size = static_cast<i32>(bytes(width));
  store(stack_address(-size, width, Access::Write), value, width);
  move_stack(-size);
}

void Lifter::address_after_pop(u32 size) {
  if (operands().memory.base == 4) instruction_.operands.memory.displacement += size;
}

Slot Lifter::top_of_stack(Width width) {
  return load(stack_address(0, width, Access::Read), width);
}

}  // namespace penumbra::translator
