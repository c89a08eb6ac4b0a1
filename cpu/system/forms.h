// Named operations for forms of a mnemonic whose row belongs to another recipe.
//
// Zydis calls all of them MOV, PUSH, POP, JMP, CALL or RET; the lift function of that row chooses
// these by the kinds of the operands (far forms: by OperandKind::FarPointer, a memory operand of a
// far branch, or the decoder's word). All may end the block.
#pragma once

#include "cpu/context.h"

namespace penumbra::cpu::ops {

/// MOV to and from CR0, CR2, CR3, CR4, CR8; either operand is of kind Control.
Outcome mov_control(CpuContext& ctx, const Operands& ops);
/// MOV to and from DR0..DR7; either operand is of kind Debug.
Outcome mov_debug(CpuContext& ctx, const Operands& ops);
/// MOV Sreg, r/m16 and MOV r/m, Sreg. The load of SS leaves an interrupt shadow.
Outcome mov_segment(CpuContext& ctx, const Operands& ops);
/// PUSH and POP of a segment register (operand 0).
Outcome push_segment(CpuContext& ctx, const Operands& ops);
Outcome pop_segment(CpuContext& ctx, const Operands& ops);
/// Far forms: pointer in (selector, immediate), or in memory as offset of `width`, then selector.
Outcome jmp_far(CpuContext& ctx, const Operands& ops);
Outcome call_far(CpuContext& ctx, const Operands& ops);
/// RETF and RETF imm16 (`immediate` bytes released, 0 for the form without).
Outcome ret_far(CpuContext& ctx, const Operands& ops);

}  // namespace penumbra::cpu::ops
