// Mnemonics that name both a common instruction and a system one: MOV, PUSH, POP, JMP, CALL, RET.
//
// Each function gives the named operation of the system form that the operands ask for, or nullptr
// for the common form, which the lifter expands.
#pragma once

#include "translator/ir/named.h"

namespace penumbra::translator {

const NamedCall* system_form_of_mov(const Operands& operands);   ///< Sreg, CRn, DRn
const NamedCall* system_form_of_push(const Operands& operands);  ///< PUSH Sreg
const NamedCall* system_form_of_pop(const Operands& operands);
const NamedCall* far_form_of_jmp(const Operands& operands);
const NamedCall* far_form_of_call(const Operands& operands);
const NamedCall* far_form_of_ret(const Operands& operands);

}  // namespace penumbra::translator
