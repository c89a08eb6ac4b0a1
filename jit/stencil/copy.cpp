#include "jit/stencil/copy.h"

namespace penumbra::jit {
namespace {

void copy_bytes(const u8* from, u8* to, u32 size) {
  for (u32 at = 0; at < size; at += 32) std::memcpy(to + at, from + at, 32);
}

void fill_register(const RegisterHole& hole, u32 number, u8* to) {
  u8* field = to + hole.field;
  *field ^= static_cast<u8>((number & 7) << hole.shift);
  *(field - hole.distance) ^= static_cast<u8>((number >> 3) << hole.extension_bit);
}

template <class T>
void store(u8* to, u64 value, bool fits) {
  PENUMBRA_ASSERT(fits);
  T narrow = static_cast<T>(value);
  std::memcpy(to, &narrow, sizeof(T));
}

bool fits_signed(u64 value, u32 bits) {
  i64 number = static_cast<i64>(value);
  return number >> (bits - 1) == number >> 63;
}

bool fits_either(u64 value, u32 bits) { return value >> bits == 0 || fits_signed(value, bits); }

void fill_value(const Hole& hole, u64 value, u8* to, u64 run_address) {
  u8* field = to + hole.offset;
  value += static_cast<u64>(i64{hole.addend});
  switch (hole.type) {
    case HoleType::Abs32S:
      return store<u32>(field, value, fits_signed(value, 32));
    case HoleType::Abs32:
      return store<u32>(field, value, value >> 32 == 0);
    case HoleType::Abs8:
      return store<u8>(field, value, fits_either(value, 8));
    case HoleType::Abs16:
      return store<u16>(field, value, fits_either(value, 16));
    case HoleType::Abs64:
      return store<u64>(field, value, true);
    case HoleType::Rel32:
      value -= run_address + hole.offset;
      return store<u32>(field, value, fits_signed(value, 32));
  }
}

}  // namespace

void copy(const StencilTables& tables, const Stencil& stencil, const StencilFill& fill, u8* to,
          u64 run_address) {
  copy_bytes(tables.code.data() + stencil.code, to, stencil.size);
  const RegisterHole* registers = tables.register_holes.data() + stencil.first_register_hole;
  for (u32 i = 0; i < stencil.register_hole_count; i++)
    fill_register(registers[i], fill.registers[registers[i].operand], to);
  const Hole* values = tables.holes.data() + stencil.first_hole;
  for (u32 i = 0; i < stencil.value_hole_count; i++)
    fill_value(values[i], fill.values[static_cast<u32>(values[i].kind)], to, run_address);
}

}  // namespace penumbra::jit
