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
Expected<> read_source(CpuContext& ctx, const Operands& ops, MemorySource& source);
/// As an integer of 2 or 4 bytes.
Expected<> read_integer_source(CpuContext& ctx, const Operands& ops, MemorySource& source);

/// Exact conversion.
X87Register from_integer(i64 value);

inline void add_operand(HostOperands& in, const X87State& state, unsigned i) {
  in.st[in.count] = &st(state, i);
  in.empty[in.count] = is_empty(state, i);
  ++in.count;
}

/// ST(first), and the source where it is a register: the last visible operand, or the integer,
/// which is pointed at. Without any it is ST(1).
inline HostOperands binary_operands(const X87State& state, unsigned first,
                                    const MemorySource& source, const Operands& ops) {
  HostOperands in = no_operands(state);
  add_operand(in, state, first);
  if (source.kind == MemorySource::Kind::None) {
    add_operand(in, state, ops.count > 0 ? ops.at[ops.count - 1].reg & 7 : 1);
  } else if (source.kind == MemorySource::Kind::Integer) {
    in.st[in.count++] = &source.integer;
  }
  return in;
}

}  // namespace penumbra::cpu::x87
