#include "cpu/x87/memory_source.h"

#include <bit>

namespace penumbra::cpu::x87 {

Expected<> read_source(CpuContext& ctx, const Operands& ops, MemorySource& source) {
  if (!ops.at[0].is_memory()) return {};
  bool is_double = ops.at[0].size == 8;
  source.kind = is_double ? MemorySource::Kind::Double : MemorySource::Kind::Single;
  return read_bytes(ctx, ops, source.bytes, is_double ? 8 : 4);
}

Expected<> read_integer_source(CpuContext& ctx, const Operands& ops, MemorySource& source) {
  source.kind = MemorySource::Kind::Integer;
  Width width = ops.at[0].size == 2 ? Width::W16 : Width::W32;
  TRY(read_bytes(ctx, ops, source.bytes, bytes(width)));
  u64 value = sign_extend(load_from<u64>(source.bytes), width);
  source.integer = from_integer(static_cast<i64>(value));
  return {};
}

X87Register from_integer(i64 value) {
  if (value == 0) return {};
  u16 sign = value < 0 ? 0x8000 : 0;
  u64 magnitude = value < 0 ? 0 - static_cast<u64>(value) : static_cast<u64>(value);
  auto shift = static_cast<unsigned>(std::countl_zero(magnitude));
  constexpr u16 kExponentOfBit63 = 16383 + 63;
  return {magnitude << shift, static_cast<u16>(sign | (kExponentOfBit63 - shift))};
}

}  // namespace penumbra::cpu::x87
