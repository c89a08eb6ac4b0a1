#include "mmu/paging_mode.h"

#include "mmu/physical_memory.h"

namespace penumbra::mmu {
namespace {

constexpr u64 bits_between(unsigned high, unsigned low) {
  return high < low ? 0 : ((2ull << (high - low)) - 1) << low;
}

/// SDM 3A 4.3: with PSE-36, bits 21:(M-19) of a 4-MByte PDE are reserved; nothing else is.
void set_reserved_32(PagingMode& mode) {
  mode.reserved_leaf[2] = bits_between(21, kPhysicalBits - 19);
}

/// SDM 3A 4.4 (bits 62:M) and 4.5 (bits 51:M; 62:52 are ignored); XD counts unless NXE.
void set_reserved_64(PagingMode& mode) {
  u64 high = bits_between(mode.kind == PagingKind::Pae ? 62 : 51, kPhysicalBits);
  if (!mode.no_execute) high |= Entry::kNoExecute;
  for (unsigned level = 1; level <= mode.levels; ++level)
    mode.reserved_leaf[level] = mode.reserved_table[level] = high;
  mode.reserved_leaf[2] |= bits_between(20, 13);
  mode.reserved_leaf[3] |= bits_between(29, 13);
  for (unsigned level = 4; level <= mode.levels; ++level)
    mode.reserved_table[level] |= Entry::kPageSize;
}

u64 key_of(const PagingMode& mode) {
  u64 word = static_cast<u64>(mode.kind) | u64{mode.levels} << 2;
  unsigned position = 8;
  for (bool flag : {mode.write_protect, mode.no_execute, mode.smep, mode.smap, mode.pse, mode.keys})
    word |= u64{flag} << position++;
  return word | u64{mode.pkru} << 32;
}

PagingKind kind_of(const PagingContext& context) {
  if (!(context.cr0 & Control::kCr0Pg)) return PagingKind::Off;
  if (!(context.cr4 & Control::kCr4Pae)) return PagingKind::Bits32;
  return context.efer & Control::kEferLma ? PagingKind::Long : PagingKind::Pae;
}

}  // namespace

PagingMode PagingMode::of(const PagingContext& context) {
  PagingMode mode;
  mode.kind = kind_of(context);
  if (mode.kind == PagingKind::Off) return mode;
  bool wide = mode.kind != PagingKind::Bits32;
  mode.write_protect = context.cr0 & Control::kCr0Wp;
  mode.smep = context.cr4 & Control::kCr4Smep;
  mode.smap = context.cr4 & Control::kCr4Smap;
  mode.pse = !wide && (context.cr4 & Control::kCr4Pse);
  mode.no_execute = wide && (context.efer & Control::kEferNxe);
  mode.keys = mode.kind == PagingKind::Long && (context.cr4 & Control::kCr4Pke);
  mode.pkru = mode.keys ? context.pkru : 0;
  mode.levels = mode.kind != PagingKind::Long ? 2 : context.cr4 & Control::kCr4La57 ? 5 : 4;
  mode.index_bits = wide ? 9 : 10;
  mode.entry_bytes = wide ? 8 : 4;
  wide ? set_reserved_64(mode) : set_reserved_32(mode);
  mode.key_ = key_of(mode);
  return mode;
}

u64 PagingMode::reserved_pdpte() {
  return bits_between(63, kPhysicalBits) | bits_between(8, 5) | bits_between(2, 1);
}

}  // namespace penumbra::mmu
