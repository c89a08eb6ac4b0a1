// Operand forms: the compact, decoded shape of an instruction's operands.
//
// Shared by the decoder, the lifter and the named operations, so that any of them can take any
// operand without a second description. Registers are numbered as the manuals number them
// (rax 0, rcx 1, rdx 2, rbx 3, rsp 4, rbp 5, rsi 6, rdi 7, r8..r15; es 0, cs 1, ss 2, ds 3, fs 4,
// gs 5).
#pragma once

#include <array>

#include "common/types.h"

namespace penumbra {

enum class Segment : u8 { Es, Cs, Ss, Ds, Fs, Gs, None = 7 };

enum class OperandKind : u8 {
  None,
  Gpr,
  GprHigh,
  Segment,
  Control,
  Debug,
  X87,
  Mmx,
  Xmm,
  Ymm,
  Memory,
  Immediate,
  Relative,
  FarPointer,
};

struct Operand {
  OperandKind kind = OperandKind::None;
  u8 reg = 0;    ///< register number within its kind (GprHigh: 0..3 for AH, CH, DH, BH)
  u16 size = 0;  ///< bytes: 1, 2, 4, 8, 10 (80-bit), 16, 32, 512...; 0 where none (LEA, INVLPG)
  bool hidden = false;  ///< not in the assembly text (rAX of MUL, stack of PUSH, ...)

  constexpr bool is_memory() const { return kind == OperandKind::Memory; }
  constexpr bool is_gpr() const { return kind == OperandKind::Gpr || kind == OperandKind::GprHigh; }
  constexpr Width width() const {
    return size >= 32   ? Width::W256
           : size >= 16 ? Width::W128
           : size >= 8  ? Width::W64
           : size >= 4  ? Width::W32
           : size >= 2  ? Width::W16
                        : Width::W8;
  }
};

struct MemoryForm {
  static constexpr u8 kNone = 0xff;
  static constexpr u8 kRip = 16;

  u8 base = kNone;                ///< GPR number, kRip or kNone
  u8 index = kNone;               ///< GPR number or kNone
  u8 scale = 0;                   ///< log2: index << scale
  Segment segment = Segment::Ds;  ///< after defaults and overrides
  i64 displacement = 0;
};

enum class Repeat : u8 { None, Rep, Repne };

/// Operands in Intel order, explicit ones first; at most one is memory.
struct Operands {
  std::array<Operand, 4> at{};
  u8 count = 0;              ///< explicit operands
  u8 length = 0;             ///< of the instruction, bytes
  Width width = Width::W32;  ///< effective operand size: W16, W32 or W64 (W8 for byte forms)
  Width address_width = Width::W64;
  Repeat repeat = Repeat::None;
  bool lock = false;
  bool vex = false;  ///< VEX encoding
  bool far = false;  ///< far CALL, JMP and RET, which share their mnemonics
  MemoryForm memory;
  u64 immediate = 0;   ///< sign-extended to 64 bits where the manual says so
  u16 selector = 0;    ///< of a far pointer; second immediate of ENTER and EXTRQ
  u16 x87_opcode = 0;  ///< FOP of an x87 instruction (SDM 1, 8.1.9), else 0
};

}  // namespace penumbra
