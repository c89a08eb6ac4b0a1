#include "translator/lift/avx.h"

#include "translator/lift/vector_forms.h"

namespace penumbra::translator {
namespace {

/// Outside 64-bit mode the other registers stay as they are (SDM 2, VZEROALL).
u8 register_count(const Lifter& l) { return l.mode().is_long() ? 16 : 8; }

/// Immediates of PermuteHalves: which halves the result is made of.
constexpr u8 kLowTwice = 0x00, kWithHigh = 0x20, kWithLow = 0x12, kHighAlone = 0x81,
             kLowAlone = 0x80;

void emit_permute_halves(Lifter& l, Slot d, Slot a, Slot b, u8 immediate) {
  l.emit({.op = Op::PermuteHalves,
          .width = Width::W256,
          .d = d,
          .a = a,
          .b = b,
          .immediate = immediate});
}

}  // namespace

void lift_zero_upper(Lifter& l, u32) {
  if (!avx_usable(l)) return;
  for (u8 i = 0; i < register_count(l); ++i) l.emit({.op = Op::ClearUpper, .d = vector_slot(i)});
}

void lift_zero_all(Lifter& l, u32) {
  if (!avx_usable(l)) return;
  for (u8 i = 0; i < register_count(l); ++i) {
    Slot d = vector_slot(i);
    l.emit({.op = Op::Pxor, .width = Width::W256, .d = d, .a = d, .b = d});
  }
}

void lift_broadcast(Lifter& l, u32 op) {
  // SDM 2, VBROADCAST: registers as the source came with AVX2.
  bool known = l.operand(1).is_memory() || l.model().has(cpu::Feature::Avx2);
  if (!known) return l.raise(Vector::Ud);
  if (!avx_usable(l)) return;
  bool small = l.operand(1).is_memory() && l.operand(1).size < 4;
  if (!small) return write_unary(l, static_cast<Op>(op), vector_source(l, 1));
  Slot value = l.read_slot(1), source = l.vector_temporary();
  l.emit({.op = Op::MoveFromInteger,
          .width = l.operand(1).width(),
          .d = source,
          .a = vector_slot(0),
          .b = value});
  write_unary(l, static_cast<Op>(op), source);
}

void lift_broadcast_half(Lifter& l, u32) {
  if (!avx_usable(l)) return;
  Slot source = vector_source(l, 1);
  emit_permute_halves(l, vector_register(l, 0), source, source, kLowTwice);
}

void lift_insert_half(Lifter& l, u32) {
  if (!avx_usable(l)) return;
  Slot a = first_source(l), b = second_source(l);
  emit_permute_halves(l, vector_register(l, 0), a, b, immediate_of(l) & 1 ? kWithHigh : kWithLow);
}

void lift_extract_half(Lifter& l, u32) {
  if (!avx_usable(l)) return;
  Slot a = vector_register(l, 1);
  bool to_memory = l.operand(0).is_memory();
  Slot d = to_memory ? l.vector_temporary() : vector_register(l, 0);
  emit_permute_halves(l, d, a, a, immediate_of(l) & 1 ? kHighAlone : kLowAlone);
  if (to_memory) l.store_vector(0, d, 16, false);
}

void lift_permute_in_half(Lifter& l, u32 op) {
  if (l.operand(2).kind != OperandKind::Immediate) return lift_vector_binary(l, op);
  if (!avx_usable(l)) return;
  Op by_immediate = static_cast<Op>(op) == Op::Permilps ? Op::Pshufd : Op::PermilpdImmediate;
  write_unary(l, by_immediate, vector_source(l, 1), immediate_of(l));
}

void lift_test_signs(Lifter& l, u32 op) {
  if (!avx_usable(l)) return;
  Slot a = vector_register(l, 0), b = vector_source(l, 1);
  l.emit({.op = static_cast<Op>(op), .width = vector_width(l), .sets_flags = true, .a = a, .b = b});
}

}  // namespace penumbra::translator
