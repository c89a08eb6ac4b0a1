// The source of a two-operand x87 instruction: a register or a memory operand of four types.
//
// m32 and m64 stay in memory form, because converting them is part of the operation (its exceptions
// are the instruction's). Integers are exact in the register format and are converted at once. The
// two integer types share their instructions' names with nothing else: their rows are FIxxx.
#pragma once

#include "cpu/x87/host_unit_x86.h"

namespace penumbra::cpu::x87 {

struct MemorySource {
  enum class Kind : u8 { None, Single, Double, Integer };
  Kind kind = Kind::None;
  u8 bytes[8] = {};
  X87Register integer;
};

/// Reads the memory operand, if there is one, as floating point.
Expected<MemorySource> read_source(CpuContext& ctx, const Operands& ops);
/// As an integer of 2 or 4 bytes.
Expected<MemorySource> read_integer_source(CpuContext& ctx, const Operands& ops);

/// Exact conversion.
X87Register from_integer(i64 value);

/// ST(first), and the source where it is a register: the last visible operand, or the integer.
HostOperands binary_operands(const X87State& state, unsigned first, const MemorySource& source,
                             const Operands& ops);

}  // namespace penumbra::cpu::x87
