// Lift functions of the vector rows (cpu/instructions/vector.def and sse4.def).
//
// One function a family of operand forms; the argument is the Op unless said otherwise. Whether
// the instruction may run at all (CR0.EM, CR0.TS, CR4.OSFXSR, a pending x87 exception) is decided
// first. Families that MMX shares take both register files. Memory operands have the size that
// the decoder gives; 16-byte ones have to be aligned unless the row says otherwise.
#pragma once

#include "translator/lift/lifter.h"

namespace penumbra::translator {

// vector_arithmetic.cpp
void lift_packed_binary(Lifter& l, u32 op);  ///< integer, XMM or MMX: op0 = op(op0, op1)
void lift_packed_halves(Lifter& l, u32 op);  ///< packs: MMX operands are first put into one vector
void lift_packed_high(Lifter& l, u32 op);    ///< high unpacks; op is that of the low half
void lift_packed_shift(Lifter& l, u32 op);   ///< count in a vector or an immediate
void lift_byte_shift(Lifter& l, u32 op);     ///< PSLLDQ, PSRLDQ
void lift_vector_binary(Lifter& l, u32 op);  ///< XMM only, raises nothing: ANDPS, RCPSS
void lift_vector_unary(Lifter& l, u32 op);   ///< the same: RCPPS, RSQRTPS

// vector_float.cpp
void lift_float_binary(Lifter& l, u32 op);
void lift_float_unary(Lifter& l, u32 op);
void lift_float_compare(Lifter& l, u32 op);  ///< op of predicate 0; the immediate selects
void lift_float_flags(Lifter& l, u32 op);    ///< COMIS, UCOMIS
void lift_float_to_integer(Lifter& l, u32 op);
void lift_float_from_integer(Lifter& l, u32 op);
void lift_float_to_mmx(Lifter& l, u32 op);
void lift_from_mmx(Lifter& l, u32 op);  ///< CVTPI2PS, CVTPI2PD

// vector_move.cpp
enum class Alignment : u32 { None, Natural };
void lift_vector_move(Lifter& l, u32 alignment);  ///< 16 bytes: MOVAPS, MOVUPS, MOVNTPS...
void lift_vector_merge(Lifter& l, u32 op);        ///< MOVSS, MOVSD: lane moves, loads, stores
void lift_movsd(Lifter& l, u32);                  ///< or the string instruction
void lift_cmpsd(Lifter& l, u32);                  ///< or the string instruction
void lift_stmxcsr(Lifter& l, u32);
void lift_movd(Lifter& l, u32);       ///< MOVD, MOVQ in all forms
void lift_move_low(Lifter& l, u32);   ///< MOVLPS, MOVLPD, MOVHLPS
void lift_move_high(Lifter& l, u32);  ///< MOVHPS, MOVHPD, MOVLHPS
void lift_movntq(Lifter& l, u32);
void lift_movdq2q(Lifter& l, u32);
void lift_movq2dq(Lifter& l, u32);

// vector_shuffle.cpp
void lift_shuffle(Lifter& l, u32 op);         ///< op0 = op(op1, immediate)
void lift_shuffle_binary(Lifter& l, u32 op);  ///< op0 = op(op0, op1, immediate)
void lift_pshufw(Lifter& l, u32);
void lift_pinsrw(Lifter& l, u32);
void lift_pextrw(Lifter& l, u32);
void lift_pmovmskb(Lifter& l, u32);
void lift_move_mask(Lifter& l, u32 op);  ///< MOVMSKPS, MOVMSKPD

// vector_sse4.cpp
void lift_packed_unary(Lifter& l, u32 op);  ///< integer, XMM or MMX: op0 = op(op1)
void lift_pshufb(Lifter& l, u32);
/// Integer only: op0 = op(op0, op1, immediate)
void lift_packed_immediate(Lifter& l, u32 op);
void lift_palignr(Lifter& l, u32);
void lift_movddup(Lifter& l, u32);
void lift_duplicate(Lifter& l, u32 lanes);    ///< MOVSLDUP, MOVSHDUP, as PSHUFD's immediate
void lift_blend_variable(Lifter& l, u32 op);  ///< XMM0 chooses
void lift_extension(Lifter& l, u32 op);       ///< PMOVSX, PMOVZX
void lift_insert(Lifter& l, u32 op);          ///< PINSRB, PINSRD, PINSRQ
void lift_extract(Lifter& l, u32 op);         ///< PEXTRx to a register or memory
void lift_insertps(Lifter& l, u32);
void lift_vector_test(Lifter& l, u32 op);  ///< flags = op(op0, op1)
void lift_sha(Lifter& l, u32 op);          ///< AMD processors take memory at any address
void lift_sha1_rounds(Lifter& l, u32);
void lift_sha256_rounds(Lifter& l, u32);
enum class TextForm : u32 { ExplicitIndex, ExplicitMask, ImplicitIndex, ImplicitMask };
void lift_compare_text(Lifter& l, u32 form);

// vector_sse4_float.cpp
void lift_horizontal(Lifter& l, u32 op);   ///< HADDPS...: op of even and odd lanes
void lift_alternate(Lifter& l, u32 op);    ///< ADDSUBPS: subtracts in even lanes
void lift_dot_product(Lifter& l, u32 op);  ///< DPPS, DPPD; op multiplies
void lift_round(Lifter& l, u32 op);        ///< op of control 0; the immediate selects

}  // namespace penumbra::translator
