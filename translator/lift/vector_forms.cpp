#include "translator/lift/vector_forms.h"

namespace penumbra::translator {
namespace {

constexpr Slot x87_slot(size_t field) {
  return static_cast<Slot>(offsetof(cpu::CpuState, x87) + field);
}
constexpr Slot kStatusSlot = x87_slot(offsetof(cpu::X87State, status));
constexpr Slot kTagsSlot = x87_slot(offsetof(cpu::X87State, tags));
constexpr u16 kTop = 7 << 11;

Slot exponent_slot(u8 number) {
  return static_cast<Slot>(mmx_slot(number) + offsetof(cpu::X87Register, exponent));
}

bool refuse(Lifter& l, Vector vector) {
  l.raise(vector);
  return false;
}

}  // namespace

bool sse_usable(Lifter& l) {
  if (l.mode().has(CodeMode::kEmulation) || !l.mode().has(CodeMode::kOsFxsr))
    return refuse(l, Vector::Ud);
  return l.mode().has(CodeMode::kTaskSwitched) ? refuse(l, Vector::Nm) : true;
}

bool mmx_usable(Lifter& l) {
  if (l.mode().has(CodeMode::kEmulation)) return refuse(l, Vector::Ud);
  if (l.mode().has(CodeMode::kTaskSwitched)) return refuse(l, Vector::Nm);
  l.emit({.op = Op::CheckFpu});
  return true;
}

bool sse_and_mmx_usable(Lifter& l) {
  if (!sse_usable(l)) return false;
  l.emit({.op = Op::CheckFpu});
  return true;
}

bool packed_usable(Lifter& l, int i) {
  if (is_mmx(l, i)) return mmx_usable(l);
  return l.model().has(cpu::Feature::Sse2) ? sse_usable(l) : refuse(l, Vector::Ud);
}

Slot vector_register(const Lifter& l, int i) {
  return is_mmx(l, i) ? l.mmx(i) : vector_slot(l.operand(i).reg);
}

Slot vector_source(Lifter& l, int i) {
  const Operand& o = l.operand(i);
  return o.is_memory() ? l.read_vector(i, o.size, o.size == 16) : vector_register(l, i);
}

void emit_unary(Lifter& l, Op op, Slot d, Slot a, u8 immediate) {
  l.emit({.op = op, .width = Width::W128, .d = d, .a = a, .immediate = immediate});
}

void emit_binary(Lifter& l, Op op, Slot d, Slot a, Slot b, u8 immediate) {
  l.emit({.op = op, .width = Width::W128, .d = d, .a = a, .b = b, .immediate = immediate});
}

void enter_mmx(Lifter& l) {
  l.binary_into(kStatusSlot, Op::And, Width::W16, Value::in(kStatusSlot),
                Value::of(static_cast<u16>(~kTop)), false);
  l.move(kTagsSlot, Value::of(0xff), Width::W8);
}

void finish_mmx(Lifter& l, int written) {
  enter_mmx(l);
  l.move(exponent_slot(l.operand(written).reg & 7), Value::of(0xffff), Width::W16);
}

void finish_packed(Lifter& l, int written) {
  if (is_mmx(l, written)) finish_mmx(l, written);
}

}  // namespace penumbra::translator
