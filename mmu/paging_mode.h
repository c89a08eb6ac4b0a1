// A PagingContext digested: which paging mode is in force and what it checks (SDM 3A chapter 4).
//
// Holds only what makes translations differ, so that equal modes share shadow tables: with paging
// off nothing counts, with 32-bit paging EFER.NXE does not. The level count is a parameter; masks
// of reserved bits are per level, for entries that map a page and for entries that name a table.
#pragma once

#include <array>

#include "mmu/paging_context.h"
#include "mmu/physical_memory.h"

namespace penumbra::mmu {

/// Bits of paging-structure entries (SDM 3A tables 4-4 to 4-20).
struct Entry {
  static constexpr u64 kPresent = bit(0), kWritable = bit(1), kUser = bit(2),
                       kWriteThrough = bit(3), kCacheDisable = bit(4), kAccessed = bit(5),
                       kDirty = bit(6), kPageSize = bit(7), kGlobal = bit(8), kNoExecute = bit(63);
  using Key = Bits<62, 59>;
};

/// The control register bits that the MMU reads; the CPU's own tables live above this folder.
struct Control {
  static constexpr u64 kCr0Wp = bit(16), kCr0Am = bit(18), kCr0Pg = bit(31);
  static constexpr u64 kCr4Pse = bit(4), kCr4Pae = bit(5), kCr4La57 = bit(12), kCr4Smep = bit(20),
                       kCr4Smap = bit(21), kCr4Pke = bit(22);
  static constexpr u64 kEferLma = bit(10), kEferNxe = bit(11);
  /// Bits whose change reloads the PDPTE registers in PAE paging (SDM 3A 4.4.1): CR0.CD, NW, PG
  /// and CR4.PSE, PAE, PGE, SMEP.
  static constexpr u64 kCr0Reload = bit(29) | bit(30) | bit(31);
  static constexpr u64 kCr4Reload = bit(4) | bit(5) | bit(7) | bit(20);
};

enum class PagingKind : u8 { Off, Bits32, Pae, Long };

constexpr unsigned kMostLevels = 5;

struct PagingMode {
  PagingKind kind = PagingKind::Off;
  bool write_protect = false, no_execute = false, smep = false, smap = false, pse = false,
       keys = false;
  u8 levels = 0;       ///< of tables in memory: PAE has 2, its PDPTEs are registers
  u8 index_bits = 0;   ///< of the linear address that one level consumes
  u8 entry_bytes = 0;  ///< 4 or 8
  u32 pkru = 0;
  std::array<u64, kMostLevels + 1> reserved_leaf{}, reserved_table{};  ///< by level, 1 = page table

  static PagingMode of(const PagingContext& context);

  /// The mode as one word: equal words and roots mean equal translations.
  u64 key() const { return key_; }
  unsigned shift(unsigned level) const { return 12 + (level - 1) * index_bits; }
  /// Whether a present entry of this level maps a page.
  bool is_leaf(unsigned level, u64 entry) const {
    if (level == 1) return true;
    return (entry & Entry::kPageSize) && (level == 2 ? kind != PagingKind::Bits32 || pse
                                                     : level == 3 && kind == PagingKind::Long);
  }
  u64 reserved(unsigned level, u64 entry) const {
    return is_leaf(level, entry) ? reserved_leaf[level] : reserved_table[level];
  }
  /// Physical address of the page that a leaf entry maps.
  u64 leaf_frame(unsigned level, u64 entry) const {
    u64 page = ~0ull << shift(level);
    if (kind != PagingKind::Bits32) return entry & kFrameMask & page;
    u64 frame = entry & 0xffffffff & page;
    return level == 1 ? frame : frame | Bits<20, 13>::get(entry) << 32;  // PSE-36
  }
  /// Reserved bits of a PDPTE register (SDM 3A table 4-8).
  static u64 reserved_pdpte();

  bool canonical(u64 linear) const {
    if (kind != PagingKind::Long) return true;
    unsigned unused = 64 - (12 + levels * index_bits);
    return static_cast<u64>(static_cast<i64>(linear << unused) >> unused) == linear;
  }
  /// Outside long mode linear addresses have 32 bits and wrap.
  u64 wrap(u64 linear) const { return kind == PagingKind::Long ? linear : linear & 0xffffffff; }

 private:
  u64 key_ = 0;
};

/// What the entries on the way to a page allow, combined (SDM 3A 4.6).
struct Rights {
  bool user = true, writable = true, no_execute = false;
  u8 key = 0;

  Rights with(u64 entry) const {
    return {user && (entry & Entry::kUser), writable && (entry & Entry::kWritable),
            no_execute || (entry & Entry::kNoExecute), key};
  }
};

/// In whose name an access is made: SupervisorAc has EFLAGS.AC set and is explicit.
enum class Requester : u8 { User, Supervisor, SupervisorAc };

}  // namespace penumbra::mmu
