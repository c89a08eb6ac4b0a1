// The page walker: linear address -> the entries that translate it, their rights, the page.
//
// Reads guest page tables and changes nothing: accessed and dirty bits are the business of whoever
// completes the access (SDM 3A 4.8), with set_flags(). Tables in MMIO or holes read as all ones.
#pragma once

#include "common/guest_memory.h"
#include "mmu/paging_mode.h"
#include "mmu/physical_memory.h"

namespace penumbra::mmu {

/// Where translation starts: the page in CR3, or the four PDPTE registers in PAE paging.
struct Root {
  std::array<u64, 4> value{};
  friend bool operator==(const Root&, const Root&) = default;
};

/// One entry of a paging structure as the walker met it.
struct TableEntry {
  u64 value;
  RamPage page;  ///< of the table; kNoPage where no RAM or ROM answers
  u16 offset;    ///< of the entry, bytes
  u8 level;      ///< 1 = page table
  bool rom;
};

struct Walk {
  enum class End : u8 { Mapped, NotPresent, Reserved };

  End end = End::NotPresent;
  bool from_leaf = false;  ///< entries holds the leaf alone (walk_leaf)
  u8 count = 0;            ///< entries used, root first; the last one is the leaf
  u8 leaf_shift = 12;      ///< log2 of the page size
  Rights rights;
  u64 frame = 0;  ///< physical address of the page that holds the linear address, size 1 << shift
  std::array<TableEntry, kMostLevels> entries;  ///< the first `count` are valid

  bool mapped() const { return end == End::Mapped; }
  const TableEntry& leaf() const { return entries[count - 1]; }
  u64 physical(u64 linear) const { return frame | (linear & ((1ull << leaf_shift) - 1)); }
};

class Walker {
 public:
  explicit Walker(PhysicalMemory& memory) : memory_(memory) {}

  /// `walk` must be new.
  void walk(const PagingMode& mode, const Root& root, u64 linear, Walk& walk) const;
  /// The last step alone: the entry at `offset` of the table that `leaf` is in, where the upper
  /// levels are known to allow `upper`.
  void walk_leaf(const PagingMode& mode, const TableEntry& leaf, u16 offset, Rights upper,
                 Walk& walk) const;

  /// Sets accessed in all entries and dirty in the leaf (for `write`), atomically, and updates the
  /// values in `walk`; false when an entry has changed meanwhile and the walk must be repeated.
  bool set_flags(const PagingMode& mode, Walk& walk, bool write);

 private:
  TableEntry read_entry(const PagingMode& mode, u64 table, u64 index, u8 level) const;
  bool set_entry_flags(const PagingMode& mode, TableEntry& entry, u64 wanted);

  PhysicalMemory& memory_;
};

/// Whether a protection key forbids the access (SDM 3A 4.6.2).
inline bool key_denied(const PagingMode& mode, Rights rights, Access access, Requester requester) {
  if (!mode.keys || !rights.user || access == Access::Execute) return false;
  u32 denied = mode.pkru >> (2 * rights.key);  // bit 0 AD, bit 1 WD
  if (denied & 1) return true;
  bool write_checked = requester == Requester::User || mode.write_protect;
  return (denied & 2) && access == Access::Write && write_checked;
}

/// Whether a mapped page may be accessed (SDM 3A 4.6.1).
inline bool allows(const PagingMode& mode, Rights rights, Access access, Requester requester) {
  if (mode.kind == PagingKind::Off) return true;
  if (key_denied(mode, rights, access, requester)) return false;
  if (access == Access::Execute && rights.no_execute) return false;
  if (requester == Requester::User)
    return rights.user && (access != Access::Write || rights.writable);
  if (access == Access::Execute) return !(rights.user && mode.smep);
  if (rights.user && mode.smap && requester != Requester::SupervisorAc) return false;
  return access == Access::Read || rights.writable || !mode.write_protect;
}

/// The page fault of a walk that did not end in an allowed access (SDM 3A 4.7).
Fault page_fault(const PagingMode& mode, const Walk& walk, u64 linear, Access access,
                 Requester requester);

}  // namespace penumbra::mmu
