// What the vector lift functions share: may the instruction run, operands as slots, MMX effects.
//
// Internal to translator/lift/vector_*.cpp. The usable() functions have raised where they return
// false; the lift function then returns.
#pragma once

#include "translator/lift/vector.h"

namespace penumbra::translator {

/// #UD where CR0.EM or not CR4.OSFXSR, #NM where CR0.TS (SDM 2, tables 2-18 to 2-25).
bool sse_usable(Lifter& l);
/// #UD where CR0.EM, #NM where CR0.TS, #MF where an x87 exception is pending (SDM 3A 12.5).
bool mmx_usable(Lifter& l);
/// An SSE2 instruction that names an MMX register: both sets of conditions.
bool sse_and_mmx_usable(Lifter& l);
/// Packed integer instructions: the MMX form where operand `i` is MMX, else SSE2.
bool packed_usable(Lifter& l, int i = 0);

inline bool is_mmx(const Lifter& l, int i) { return l.operand(i).kind == OperandKind::Mmx; }

/// The slot of an XMM or MMX register operand.
Slot vector_register(const Lifter& l, int i);
/// A register's slot, or memory of the operand's size loaded; 16 bytes have to be aligned.
Slot vector_source(Lifter& l, int i);
inline u8 immediate_of(const Lifter& l) { return static_cast<u8>(l.operands().immediate); }

void emit_unary(Lifter& l, Op op, Slot d, Slot a, u8 immediate = 0);
void emit_binary(Lifter& l, Op op, Slot d, Slot a, Slot b, u8 immediate = 0);

/// Emits floating-point arithmetic `op` so that its exceptions are raised before its vector
/// register is written.
void emit_float(Lifter& l, MicroOp op);

/// MMX instructions set TOP to 0 and all tags to valid (SDM 1, 9.6.2).
void enter_mmx(Lifter& l);
/// enter_mmx(), and the written register's exponent becomes all ones.
void finish_mmx(Lifter& l, int written);
/// finish_mmx() where the operand is an MMX register.
void finish_packed(Lifter& l, int written);

}  // namespace penumbra::translator
