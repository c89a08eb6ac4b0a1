#include <cstddef>

#include "cpu/ops.h"
#include "cpu/system/forms.h"
#include "translator/lift/lifter.h"
#include "translator/lift/sensitive.h"

namespace penumbra::translator {
namespace {

constexpr Slot kRflags = offsetof(cpu::CpuState, rflags);

Slot selector_slot(u8 segment) {
  return static_cast<Slot>(offsetof(cpu::CpuState, segment) +
                           sizeof(cpu::SegmentRegister) * segment +
                           offsetof(cpu::SegmentRegister, selector));
}

/// CPL 0 may always change IF.
bool lift_cli(Lifter& l) {
  if (l.mode().cpl() != 0) return false;
  l.binary_into(kRflags, Op::And, Width::W64, Value::in(kRflags), Value::of(~u64{cpu::Flag::kIf}),
                false);
  return true;
}

/// Outside virtual-8086 mode it does not fault.
bool lift_pushf(Lifter& l) {
  if (l.mode().has(CodeMode::kVirtual8086)) return false;
  Slot all = l.binary(Op::Or, Width::W64, Value::in(kRflags), Value::in(l.flags()));
  u64 pushed = ~u64{cpu::Flag::kVm | cpu::Flag::kRf};
  l.push(Value::in(l.binary(Op::And, Width::W64, Value::in(all), Value::of(pushed))), l.width());
  return true;
}

bool lift_swapgs(Lifter& l) {
  constexpr Slot kOther = offsetof(cpu::CpuState, kernel_gs_base);
  if (l.mode().cpl() != 0 || !l.mode().is_long()) return false;
  Slot base = segment_base_slot(Segment::Gs), before = l.temporary();
  l.move(before, Value::in(base), Width::W64);
  l.move(base, Value::in(kOther), Width::W64);
  l.move(kOther, Value::in(before), Width::W64);
  return true;
}

/// From a segment register to a general one.
bool lift_read_segment(Lifter& l) {
  const Operand& to = l.operand(0);
  const Operand& from = l.operand(1);
  if (from.kind != OperandKind::Segment || to.kind != OperandKind::Gpr || from.reg > 5)
    return false;
  Slot selector = l.temporary();
  l.emit({.op = Op::ZeroExtend, .from = Width::W16, .d = selector, .a = selector_slot(from.reg)});
  l.write(0, Value::in(selector));
  return true;
}

struct Recipe {
  cpu::NamedOperation operation;
  bool (*lift)(Lifter&);
};

constexpr Recipe kRecipes[] = {
    {cpu::ops::cli, lift_cli},
    {cpu::ops::pushf, lift_pushf},
    {cpu::ops::swapgs, lift_swapgs},
    {cpu::ops::mov_segment, lift_read_segment},
};

}  // namespace

bool lift_harmless(Lifter& l, const NamedCall& operation) {
  for (const Recipe& recipe : kRecipes)
    if (recipe.operation == operation.function) return recipe.lift(l);
  return false;
}

}  // namespace penumbra::translator
