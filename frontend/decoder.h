// Bytes -> Instruction for 16, 32 and 64-bit code, as the reference CPU (AMD) decodes.
//
// Guarantees: never reads past `available`; never throws; an encoding that the reference CPU
// refuses for its bytes alone is #UD (bad LOCK, VEX with forbidden prefixes, undefined opcodes),
// one longer than 15 bytes is #GP(0). Whether the model or the mode allows the instruction is
// the lifter's business (features, CPL, CR4).
#pragma once

#include <expected>
#include <span>

#include "common/fault.h"
#include "frontend/instruction.h"

namespace penumbra::frontend {

/// Why decoding stopped.
struct DecodeError {
  enum class Kind : u8 {
    Truncated,  ///< more bytes are needed than `bytes` holds
    Exception,  ///< `fault` is what the CPU raises
  };
  Kind kind;
  Fault fault;
};

/// Decodes the instruction at the start of `bytes` (at most 15 are looked at).
std::expected<Instruction, DecodeError> decode(std::span<const u8> bytes, CodeMode mode);

}  // namespace penumbra::frontend
