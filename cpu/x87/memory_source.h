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

/// The register among the visible operands that is the source: the last, without any ST(1).
inline unsigned second_register(const Operands& ops) {
  return ops.count > 0 ? ops.at[ops.count - 1].reg & 7 : 1;
}
/// The source in register format; null: it is memory.
inline const X87Register* second_operand(const X87State& state, const MemorySource& source,
                                         const Operands& ops) {
  if (source.kind == MemorySource::Kind::None) return &st(state, second_register(ops));
  return source.kind == MemorySource::Kind::Integer ? &source.integer : nullptr;
}
inline bool second_is_empty(const X87State& state, const MemorySource& source,
                            const Operands& ops) {
  return source.kind == MemorySource::Kind::None && is_empty(state, second_register(ops));
}

inline void add_operand(HostOperands& in, const X87State& state, unsigned i) {
  in.st[in.count] = &st(state, i);
  in.empty[in.count] = is_empty(state, i);
  ++in.count;
}

/// ST(first), and the source where it is a register or the integer, which is pointed at.
inline HostOperands binary_operands(const X87State& state, unsigned first,
                                    const MemorySource& source, const Operands& ops) {
  HostOperands in = no_operands(state);
  add_operand(in, state, first);
  if (source.kind == MemorySource::Kind::None) {
    add_operand(in, state, second_register(ops));
  } else if (source.kind == MemorySource::Kind::Integer) {
    in.st[in.count++] = &source.integer;
  }
  return in;
}

}  // namespace penumbra::cpu::x87
