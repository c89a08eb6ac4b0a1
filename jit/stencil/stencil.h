// The tables of compiled stencils: what stencil_extract writes and the code generator reads.
//
// A stencil is the machine code of one compiled function, position-independent, to be copied and
// filled in. Its operands are open: every use of the four registers of the signature that stand for
// d, a, b and c (and of four vector registers, for vector stencils) is a register hole, so one
// stencil serves every assignment of host registers. Constants are value holes. Control leaves by
// falling off its end (the continuation Next) or by continuation holes, jumps whose distance the
// generator fills in. r12 (the state) and r13 (what is left of the slice) are the same everywhere.
//
// The bytes have zeroes (in VEX prefixes: ones) where holes are, so that filling is XOR and store.
// What is not here: the meaning of keys, and which registers the generator hands out. It may use
// every general register but rax and the state's (rsp, r12, r13) as long as it respects clobbers;
// stencils never touch the stack.
#pragma once

#include <span>

#include "common/types.h"

namespace penumbra::jit {

/// Operands of a stencil by the number of their register hole; the last four are vector registers.
enum class StencilOperand : u8 { D, A, B, C, VectorD, VectorA, VectorB, VectorC };
constexpr u32 kStencilOperands = 8;

/// A set of operands, bit by StencilOperand.
struct OperandSet {
  u8 bits = 0;
  constexpr bool has(StencilOperand operand) const {
    return (bits >> static_cast<u32>(operand) & 1) != 0;
  }
  friend constexpr bool operator==(OperandSet, OperandSet) = default;
};

enum class HoleKind : u8 {
  SlotD,  ///< byte offsets into the CPU's state
  SlotA,
  SlotB,
  SlotC,
  Immediate,
  Displacement,
  Extra,
  Constants,  ///< address at which the generator placed Tables::constants
  Taken,      ///< from here on: continuations
  Slow,
  Exit,
};
constexpr u32 kValueHoleKinds = 8;

/// How a hole's value is stored; the names are those of the ABI's relocations (x86-64 psABI 4.4.1).
enum class HoleType : u8 {
  Abs8,   ///< fits as signed or unsigned
  Abs16,  ///< fits as signed or unsigned
  Abs64,
  Abs32,   ///< zero-extended: the value is below 2^32
  Abs32S,  ///< sign-extended
  Rel32,   ///< to the address of the field; the addend makes up for the rest of the instruction
};

/// The field at `offset` holds value + addend.
struct Hole {
  u16 offset;
  HoleKind kind;
  HoleType type;
  i32 addend;
};
static_assert(sizeof(Hole) == 8);

/// A register number in an instruction. Places are bits of the little-endian 64-bit word that
/// starts at byte `window` of the code: the number's low three bits start at `low`, its high bit
/// (in a REX or VEX prefix, or in the same byte) is at `high`. Holes of one window follow each
/// other; where two windows overlap, neither has holes in the other's bytes.
struct RegisterHole {
  u32 low : 6, high : 6, operand : 4, window : 16;
};
static_assert(sizeof(RegisterHole) == 4);

struct Stencil {
  /// Bits of the key that the extractor looks at.
  static constexpr u64 kDynamicExit = bit(63);  ///< may end in an indirect jump
  static constexpr u64 kWritesLeft = bit(62);   ///< may change r13

  u64 key;
  u32 code;                 ///< first byte in Tables::code
  u32 first_hole;           ///< value holes, then continuations
  u32 first_register_hole;  ///< in Tables::register_holes
  u16 size;                 ///< bytes
  u16 clobbers;             ///< general registers that it overwrites, by number; never a hole
  u16 vector_clobbers;      ///< the same of vector registers
  u16 conflicts;            ///< bit 4*w + r: r is read after w was written; see may_share()
  u16 vector_conflicts;     ///< the same of vector operands
  u8 value_hole_count;
  u8 continuation_count;
  u8 register_hole_count;
  /// Operands whose value at entry matters: read, or written on some ways out and kept on others.
  OperandSet reads;
  /// Operands whose registers the code writes. One that the source passes on unchanged is among
  /// them if the compiler used its register in between or wrote an equal value to it; it has its
  /// value again wherever control leaves.
  OperandSet writes;
  /// Operands that may hold something new when control leaves for Slow.
  OperandSet written_before_slow;
  /// Operands that cannot be rbp, which the encoding of an address does not allow at their place.
  OperandSet not_rbp;
  bool falls_through;  ///< Next is reached, by running off the end
  u8 flag_writers;     ///< instructions that write the host's flags; 2: or more
  /// It uses 256 bits of a vector register. The others leave zero above the 128 that they write,
  /// where the host level has AVX.
  bool is_wide;

  /// Whether `written` and `read` may be the same host register though they are two operands.
  constexpr bool may_share(StencilOperand written, StencilOperand read) const {
    u32 w = static_cast<u32>(written), r = static_cast<u32>(read);
    u16 table = w < 4 ? conflicts : vector_conflicts;
    return (table >> (4 * (w & 3) + (r & 3)) & 1) == 0;
  }
};
static_assert(sizeof(Stencil) == 40);

/// All stencils of one host level. `code` and `constants` are padded (kCopySlack, 32 bytes).
struct StencilTables {
  std::span<const u8> code;
  std::span<const Stencil> stencils;
  std::span<const Hole> holes;
  std::span<const RegisterHole> register_holes;
  std::span<const u8> constants;  ///< place it at a multiple of 32

  std::span<const Hole> value_holes(const Stencil& stencil) const {
    return holes.subspan(stencil.first_hole, stencil.value_hole_count);
  }
  std::span<const Hole> continuations(const Stencil& stencil) const {
    return holes.subspan(stencil.first_hole + stencil.value_hole_count, stencil.continuation_count);
  }
};

}  // namespace penumbra::jit
