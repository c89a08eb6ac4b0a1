// One machine instruction of a stencil, with the uses of its operand registers made holes.
//
// decode() brings the instruction into a form in which every register field can be patched in
// place: a REX prefix where none is, the three-byte VEX prefix for the two-byte one. An operand
// that is a base without a displacement, which rbp cannot be, becomes the index or gets a
// displacement of zero; only where two operands are added it stays and is "not rbp". What a stencil
// may not contain is refused with a message.
#pragma once

#include <array>
#include <optional>

#include "jit/stencil/extract/object_file.h"
#include "jit/stencil/stencil.h"

namespace penumbra::jit::extract {

/// What a stencil is allowed to do.
struct Rules {
  bool has_vector_operands = false;  ///< xmm0 to xmm3 are operands, not scratch
  bool may_jump_anywhere = false;    ///< Stencil::kDynamicExit
  bool may_write_left = false;       ///< Stencil::kWritesLeft
};

/// A relocated field of an instruction, relative to its first byte.
struct RelocatedField {
  u32 offset = 0;
  u32 size = 0;
  Relocation relocation{};
};

/// Where an instruction holds the number of an operand's register, relative to its first byte: the
/// low three bits at `shift` of byte `field`, the high one at `extension_bit` of byte `extension`.
struct RegisterField {
  u32 field = 0, shift = 0;
  u32 extension = 0, extension_bit = 0;
  u32 operand = 0;
};

struct Instruction {
  enum class Kind : u8 { Plain, Nop, Jump, ConditionalJump, IndirectJump };

  Kind kind = Kind::Plain;
  u8 condition = 0;  ///< of ConditionalJump: the low four bits of its opcode
  u32 offset = 0;    ///< in the source
  u32 length = 0;    ///< in the source
  i64 target = 0;    ///< of a direct jump without a relocation: offset in the source
  std::vector<u8> bytes;
  std::vector<RegisterField> registers;
  std::vector<RelocatedField> fields;
  OperandSet reads, writes;  ///< a write that keeps a part of the register is also a read
  OperandSet not_rbp;
  u16 clobbers = 0, vector_clobbers = 0;
  bool is_wide = false;  ///< has an operand in a register of 256 bits
  bool writes_flags = false;
};

/// The instruction at `offset`.
Result<Instruction> decode(const StencilSource& source, u32 offset, const Rules& rules);

}  // namespace penumbra::jit::extract
