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

bool avx_usable(Lifter& l) {
  constexpr u32 kSseAndAvx = 6u << CodeMode::kXcr0;
  bool enabled = l.mode().has(CodeMode::kOsXsave) && (l.mode().word & kSseAndAvx) == kSseAndAvx;
  if (!enabled) return refuse(l, Vector::Ud);
  return l.mode().has(CodeMode::kTaskSwitched) ? refuse(l, Vector::Nm) : true;
}

bool vector_usable(Lifter& l) { return is_vex(l) ? avx_usable(l) : sse_usable(l); }

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
  if (is_vex(l)) {
    bool known = vector_width(l, i) == Width::W128 || l.model().has(cpu::Feature::Avx2);
    return known ? avx_usable(l) : refuse(l, Vector::Ud);
  }
  return l.model().has(cpu::Feature::Sse2) ? sse_usable(l) : refuse(l, Vector::Ud);
}

Slot vector_register(const Lifter& l, int i) {
  return is_mmx(l, i) ? l.mmx(i) : vector_slot(l.operand(i).reg);
}

Slot vector_source(Lifter& l, int i) {
  const Operand& o = l.operand(i);
  bool aligned = o.size == 16 && !is_vex(l);
  return o.is_memory() ? l.read_vector(i, o.size, aligned) : vector_register(l, i);
}

void finish_vector(Lifter& l) {
  if (is_vex(l) && l.operand(0).kind == OperandKind::Xmm)
    l.emit({.op = Op::ClearUpper, .d = vector_register(l, 0)});
}

void emit_unary(Lifter& l, Op op, Slot d, Slot a, u8 immediate) {
  l.emit({.op = op, .width = Width::W128, .d = d, .a = a, .immediate = immediate});
}

void emit_binary(Lifter& l, Op op, Slot d, Slot a, Slot b, u8 immediate) {
  l.emit({.op = op, .width = Width::W128, .d = d, .a = a, .b = b, .immediate = immediate});
}

void write_unary(Lifter& l, Op op, Slot a, u8 immediate) {
  Slot d = vector_register(l, 0);
  l.emit({.op = op, .width = vector_width(l), .d = d, .a = a, .immediate = immediate});
  finish_vector(l);
}

void write_binary(Lifter& l, Op op, Slot a, Slot b, u8 immediate) {
  Slot d = vector_register(l, 0);
  l.emit({.op = op, .width = vector_width(l), .d = d, .a = a, .b = b, .immediate = immediate});
  finish_vector(l);
}

void write_ternary(Lifter& l, Op op, Slot a, Slot b, Slot c) {
  Slot d = vector_register(l, 0);
  l.emit({.op = op, .width = vector_width(l), .d = d, .a = a, .b = b, .c = c});
  finish_vector(l);
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
  if (is_mmx(l, written)) return finish_mmx(l, written);
  finish_vector(l);
}

}  // namespace penumbra::translator
