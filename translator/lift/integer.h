// Lift functions of the integer and control-flow rows (cpu/instructions/integer.def).
//
// One function a family; the argument names the member: an Op, a Condition, a count of bits.
#pragma once

#include "translator/lift/lifter.h"

namespace penumbra::translator {

// data_movement.cpp
void lift_mov(Lifter& l, u32);
void lift_extend(Lifter& l, u32 op);
void lift_lea(Lifter& l, u32);
void lift_xchg(Lifter& l, u32);
void lift_xadd(Lifter& l, u32);
void lift_cmpxchg(Lifter& l, u32);
void lift_movbe(Lifter& l, u32);
void lift_bswap(Lifter& l, u32);
void lift_setcc(Lifter& l, u32 condition);
void lift_cmov(Lifter& l, u32 condition);
void lift_extend_accumulator(Lifter& l, u32 width);  ///< CBW, CWDE, CDQE: to this Width
void lift_extend_into_rdx(Lifter& l, u32 width);     ///< CWD, CDQ, CQO
void lift_xlat(Lifter& l, u32);

// stack.cpp
void lift_push(Lifter& l, u32);
void lift_pop(Lifter& l, u32);
void lift_pusha(Lifter& l, u32 width);
void lift_leave(Lifter& l, u32);

// arithmetic.cpp
/// op0 = op(op0, b, c), flags where asked. To memory, the store comes before the flags (commit
/// order), so they are computed again from the same inputs; dead ones cost nothing.
void apply(Lifter& l, Op op, Value b, Value c, bool flags = true);
void lift_alu(Lifter& l, u32 op);        ///< op0 = op(op0, op1), flags
void lift_compare(Lifter& l, u32 op);    ///< flags of op(op0, op1)
void lift_alu_carry(Lifter& l, u32 op);  ///< ADC, SBB
void lift_unary(Lifter& l, u32 op);      ///< NOT, NEG, INC, DEC
void lift_mul(Lifter& l, u32 high_op);   ///< MUL and IMUL by the accumulator
void lift_divide(Lifter& l, u32 op);     ///< DIV and IDIV
void lift_imul(Lifter& l, u32);          ///< two and three operands too
void lift_mulx(Lifter& l, u32);
void lift_add_with_flag(Lifter& l, u32 op);  ///< ADCX, ADOX

// bits.cpp
void lift_shift(Lifter& l, u32 op);         ///< SHL, SHR, SAR, ROL, ROR
void lift_rotate_carry(Lifter& l, u32 op);  ///< RCL, RCR
void lift_double_shift(Lifter& l, u32 op);  ///< SHLD, SHRD
void lift_bit_test(Lifter& l, u32 op);      ///< BT (Op::Move), BTS, BTR, BTC
void lift_bit_scan(Lifter& l, u32 op);
void lift_count(Lifter& l, u32 op);       ///< op0 = op(op1), flags
void lift_bmi_binary(Lifter& l, u32 op);  ///< op0 = op(op1, op2), flags where it has any
void lift_crc32(Lifter& l, u32);

// flags.cpp
void lift_carry(Lifter& l, u32 op);  ///< CLC (And), STC (Or), CMC (Xor)
void lift_direction(Lifter& l, u32 set);
void lift_lahf(Lifter& l, u32);
void lift_sahf(Lifter& l, u32);

// control.cpp
void lift_jmp(Lifter& l, u32);
void lift_call(Lifter& l, u32);
void lift_ret(Lifter& l, u32);
void lift_jcc(Lifter& l, u32 condition);
void lift_jcxz(Lifter& l, u32 width);
enum class LoopKind : u8 { Always, WhileZero, WhileNotZero };
void lift_loop(Lifter& l, u32 kind);
void lift_nop(Lifter& l, u32);

}  // namespace penumbra::translator
