#include "translator/lift/shared_mnemonics.h"

#include "cpu/system/forms.h"

namespace penumbra::translator {
namespace {

const NamedCall kMovControl{"mov_control", cpu::ops::mov_control, EndsBlock};
const NamedCall kMovDebug{"mov_debug", cpu::ops::mov_debug, EndsBlock};
const NamedCall kMovSegment{"mov_segment", cpu::ops::mov_segment, EndsBlock};
const NamedCall kPushSegment{"push_segment", cpu::ops::push_segment, EndsBlock};
const NamedCall kPopSegment{"pop_segment", cpu::ops::pop_segment, EndsBlock};
const NamedCall kJmpFar{"jmp_far", cpu::ops::jmp_far, ReadsFlags | WritesFlags | EndsBlock};
const NamedCall kCallFar{"call_far", cpu::ops::call_far, ReadsFlags | WritesFlags | EndsBlock};
const NamedCall kRetFar{"ret_far", cpu::ops::ret_far, EndsBlock};

bool names(const Operands& operands, OperandKind kind) {
  return operands.at[0].kind == kind || operands.at[1].kind == kind;
}

}  // namespace

const NamedCall* system_form_of_mov(const Operands& operands) {
  if (names(operands, OperandKind::Segment)) return &kMovSegment;
  if (names(operands, OperandKind::Control)) return &kMovControl;
  return names(operands, OperandKind::Debug) ? &kMovDebug : nullptr;
}

const NamedCall* system_form_of_push(const Operands& operands) {
  return operands.at[0].kind == OperandKind::Segment ? &kPushSegment : nullptr;
}

const NamedCall* system_form_of_pop(const Operands& operands) {
  return operands.at[0].kind == OperandKind::Segment ? &kPopSegment : nullptr;
}

const NamedCall* far_form_of_jmp(const Operands& operands) {
  return operands.far ? &kJmpFar : nullptr;
}

const NamedCall* far_form_of_call(const Operands& operands) {
  return operands.far ? &kCallFar : nullptr;
}

const NamedCall* far_form_of_ret(const Operands& operands) {
  return operands.far ? &kRetFar : nullptr;
}

}  // namespace penumbra::translator
