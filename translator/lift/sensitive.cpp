#include "translator/lift/sensitive.h"

#include <array>

#include "cpu/system/forms.h"

namespace penumbra::translator {
namespace {

enum class Form : u8 { Any, SegmentOperand, ControlOperand, DebugOperand, Far };

struct SensitiveRow {
  frontend::Mnemonic mnemonic;
  Form form;
  Sensitivity sensitivity;
  NamedCall call;
};

const SensitiveRow kRows[] = {
#define PENUMBRA_SENSITIVE(mnemonic, sensitivity) \
  {ZYDIS_MNEMONIC_##mnemonic, Form::Any, Sensitivity::sensitivity, {}},
#define PENUMBRA_SENSITIVE_FORM(mnemonic, form, sensitivity, function, effects) \
  {ZYDIS_MNEMONIC_##mnemonic,                                                   \
   Form::form,                                                                  \
   Sensitivity::sensitivity,                                                    \
   {#function, cpu::ops::function, (effects)}},
#include "cpu/instructions/sensitive.def"
#undef PENUMBRA_SENSITIVE
#undef PENUMBRA_SENSITIVE_FORM
};

bool matches(Form form, const Operands& operands) {
  auto names = [&](OperandKind kind) {
    return operands.at[0].kind == kind || operands.at[1].kind == kind;
  };
  switch (form) {
    case Form::Any:
      return true;
    case Form::SegmentOperand:
      return names(OperandKind::Segment);
    case Form::ControlOperand:
      return names(OperandKind::Control);
    case Form::DebugOperand:
      return names(OperandKind::Debug);
    case Form::Far:
      return operands.far;
  }
  return false;
}

/// Whether a mnemonic has any row: keeps the common case to one look.
using Known = std::array<bool, ZYDIS_MNEMONIC_MAX_VALUE + 1>;
Known make_known() {
  Known known{};
  for (const SensitiveRow& row : kRows) known[row.mnemonic] = true;
  return known;
}

}  // namespace

Sensitive sensitive(const frontend::Instruction& instruction) {
  static const Known known = make_known();
  if (!known[instruction.mnemonic]) return {};
  for (const SensitiveRow& row : kRows) {
    if (row.mnemonic != instruction.mnemonic || !matches(row.form, instruction.operands)) continue;
    return {row.sensitivity, row.form == Form::Any ? nullptr : &row.call};
  }
  return {};
}

}  // namespace penumbra::translator
