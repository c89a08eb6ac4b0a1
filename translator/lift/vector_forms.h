// What the vector lift functions share: may the instruction run, operands as slots, MMX effects.
//
// Internal to translator/lift/vector_*.cpp. The usable() functions have raised where they return
// false; the lift function then returns.
#pragma once

#include "translator/lift/vector.h"

namespace penumbra::translator {

/// #UD where CR0.EM or not CR4.OSFXSR, #NM where CR0.TS (SDM 2, tables 2-18 to 2-25).
bool sse_usable(Lifter& l);
/// The same for a VEX form: #UD unless CR4.OSXSAVE and XCR0 enable AVX state, #NM where CR0.TS.
bool avx_usable(Lifter& l);
/// One of the two, by the encoding.
bool vector_usable(Lifter& l);
/// #UD where CR0.EM, #NM where CR0.TS, #MF where an x87 exception is pending (SDM 3A 12.5).
bool mmx_usable(Lifter& l);
/// An SSE2 instruction that names an MMX register: both sets of conditions.
bool sse_and_mmx_usable(Lifter& l);
/// Packed integer instructions: the MMX form where operand `i` is MMX, else SSE2; AVX or, of 256
/// bits, AVX2.
bool packed_usable(Lifter& l, int i = 0);

inline bool is_mmx(const Lifter& l, int i) { return l.operand(i).kind == OperandKind::Mmx; }

/// The slot of a vector or MMX register operand.
Slot vector_register(const Lifter& l, int i);
/// A register's slot, or memory of the operand's size loaded; 16 bytes of a legacy form have to be
/// aligned.
Slot vector_source(Lifter& l, int i);

/// Two-source forms: legacy ones read their destination, VEX ones name it apart.
inline bool is_vex(const Lifter& l) { return l.operands().vex; }
inline int second_operand(const Lifter& l) { return is_vex(l) ? 2 : 1; }
inline Slot first_source(const Lifter& l) { return vector_register(l, is_vex(l) ? 1 : 0); }
inline Slot second_source(Lifter& l) { return vector_source(l, second_operand(l)); }
/// W256 where operand i is a YMM register or 32 bytes, else W128.
inline Width vector_width(const Lifter& l, int i = 0) {
  return l.operand(i).size == 32 ? Width::W256 : Width::W128;
}
/// Ends an instruction that wrote operand 0 at 128 bits: VEX forms clear the upper half.
void finish_vector(Lifter& l);

inline u8 immediate_of(const Lifter& l) { return static_cast<u8>(l.operands().immediate); }

/// At 128 bits.
void emit_unary(Lifter& l, Op op, Slot d, Slot a, u8 immediate = 0);
void emit_binary(Lifter& l, Op op, Slot d, Slot a, Slot b, u8 immediate = 0);
/// At the width of operand 0, which they write; upper halves are cleared as the encoding has it.
void write_unary(Lifter& l, Op op, Slot a, u8 immediate = 0);
void write_binary(Lifter& l, Op op, Slot a, Slot b, u8 immediate = 0);
void write_ternary(Lifter& l, Op op, Slot a, Slot b, Slot c);

/// Emits floating-point arithmetic `op` so that its exceptions are raised before its vector
/// register is written. A narrower width than W256 leaves the upper half.
void emit_float(Lifter& l, MicroOp op);

/// MMX instructions set TOP to 0 and all tags to valid (SDM 1, 9.6.2).
void enter_mmx(Lifter& l);
/// enter_mmx(), and the written register's exponent becomes all ones.
void finish_mmx(Lifter& l, int written);
/// finish_mmx() where the operand is an MMX register, else finish_vector().
void finish_packed(Lifter& l, int written);

}  // namespace penumbra::translator
