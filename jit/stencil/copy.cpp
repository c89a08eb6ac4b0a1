#include "jit/stencil/copy.h"

namespace penumbra::jit {
namespace {

void copy_bytes(const u8* from, u8* to, u32 size) {
  u32 at = 0;
  do {
    std::memcpy(to + at, from + at, 32);
    at += 32;
  } while (at < size);
}

/// Collects the holes of a window in a register, so that no hole waits for the store of another.
/// A window's bytes come from the stencil: those that it shares with the window before have no
/// holes of that.
void fill_registers(std::span<const RegisterHole> holes, const u8* registers, const u8* from,
                    u8* to) {
  for (size_t i = 0; i < holes.size();) {
    u32 window = holes[i].window;
    u64 word;
    std::memcpy(&word, from + window, sizeof word);
    do {
      u64 number = registers[holes[i].operand];
      word ^= (number & 7) << holes[i].low ^ (number >> 3) << holes[i].high;
    } while (++i < holes.size() && holes[i].window == window);
    std::memcpy(to + window, &word, sizeof word);
  }
}

template <class T>
void store(u8* to, u64 value) {
  i64 number = static_cast<i64>(value);
  bool fits_signed = number == static_cast<std::make_signed_t<T>>(value);
  PENUMBRA_ASSERT(fits_signed || value == static_cast<T>(value));
  T narrow = static_cast<T>(value);
  std::memcpy(to, &narrow, sizeof narrow);
}

/// The types that are not four bytes long.
void fill_odd(HoleType type, u64 value, u8* field) {
  if (type == HoleType::Abs64) return store<u64>(field, value);
  return type == HoleType::Abs16 ? store<u16>(field, value) : store<u8>(field, value);
}

void fill_value(const Hole& hole, u64 value, u8* to, u64 run_address) {
  u8* field = to + hole.offset;
  value += static_cast<u64>(i64{hole.addend});
  if (hole.type < HoleType::Abs32) return fill_odd(hole.type, value, field);
  value -= hole.type == HoleType::Rel32 ? run_address + hole.offset : 0;
  u32 narrow = static_cast<u32>(value);
  u64 sign_extended = static_cast<u64>(i64{static_cast<i32>(narrow)});
  PENUMBRA_ASSERT(value == (hole.type == HoleType::Abs32 ? u64{narrow} : sign_extended));
  std::memcpy(field, &narrow, sizeof narrow);
}

}  // namespace

void copy(const StencilTables& tables, const Stencil& stencil, const StencilFill& fill, u8* to,
          u64 run_address) {
  const u8* from = tables.code.data() + stencil.code;
  copy_bytes(from, to, stencil.size);
  fill_registers(
      {tables.register_holes.data() + stencil.first_register_hole, stencil.register_hole_count},
      fill.registers, from, to);
  for (const Hole& hole :
       std::span(tables.holes.data() + stencil.first_hole, stencil.value_hole_count))
    fill_value(hole, fill.values[static_cast<u32>(hole.kind)], to, run_address);
}

}  // namespace penumbra::jit
