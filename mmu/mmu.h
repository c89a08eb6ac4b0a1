// The software MMU of one vCPU: guest linear address -> guest memory.
//
// Implements GuestMemory over the machine's address space with the walker and the shadow page
// tables (design 2.6). Generated code probes table() inline and comes here when it misses.
// Guarantees: a shadow table is never stale (guest page-table pages are write-tracked), A and D
// bits are exact, faults carry the manual's error code. Takes a PagingContext, never a CpuState.
#pragma once

#include <memory>

#include "common/external.h"
#include "common/guest_memory.h"
#include "mmu/address_space.h"
#include "mmu/paging_context.h"
#include "mmu/shadow_table.h"

namespace penumbra::mmu {

/// Told when bytes that were translated as code change; the code cache implements it.
class CodeObserver {
 public:
  virtual ~CodeObserver() = default;
  /// Bytes [address, address + size) of guest RAM changed, some of which were translated.
  virtual void code_written(GuestPhys address, u64 size) = 0;
};

class Mmu final : public GuestMemory {
 public:
  /// `external` answers MMIO accesses of this vCPU; all outlive the Mmu.
  Mmu(AddressSpace& space, ExternalBuffer& external);
  ~Mmu() override;

  /// Chooses tables and view for `context`; cheap where the key was seen before.
  void set_context(const PagingContext& context);
  /// set_context() where only these differ; returns table().
  ShadowTable* set_privilege(u8 cpl, bool ac);
  const PagingContext& context() const;
  /// MOV to CR3 / INVLPG / INVPCID with the manual's flushing (SDM 3A 4.10.4). The tables are
  /// coherent with memory, so only the PDPTE registers of PAE paging change (shadow_cache.h).
  void write_cr3(u64 value);
  void invalidate_page(u64 linear);
  void invalidate_pcid(u64 type, u16 pcid, u64 linear);

  /// The view in force, for inline probes. Changes only inside the calls above.
  ShadowTable* table() const;
  /// Of the view in force; returns with the view (ShadowTable::execute_epoch).
  u64 execute_epoch() const { return table()->execute_epoch; }

  Expected<> read(u64 linear, void* out, u32 size, Privilege privilege) override;
  Expected<> write(u64 linear, const void* in, u32 size, Privilege privilege) override;
  Expected<> probe(u64 linear, u32 size, Access access, Privilege privilege) override;
  Expected<u8*> span(u64 linear, Access access, Privilege privilege, u32& length) override;
  u8* direct(u64 linear, u32 size, Access access) override;

  /// Read half of a read-modify-write: translates for writing first, so the fault is a write's.
  Expected<> read_for_write(u64 linear, void* out, u32 size);

  /// Translates `linear` for instruction fetch and fills the execute entry of the table.
  /// The physical address; fails with #PF, or with #GP(0) where no RAM or ROM answers.
  Expected<GuestPhys> fetch(u64 linear);

  /// What a debugger sees: translation without A/D updates, faults or permission checks.
  bool peek(u64 linear, GuestPhys& physical) const;

  struct Counters {
    u64 fills = 0;  ///< entries put into a view
    u64 walks = 0;  ///< from the root; a fill in a known region reads only the leaf entry
    u64 slow_reads = 0, slow_writes = 0;  ///< accesses that missed their view
    u64 table_writes = 0;                 ///< stores to page tables in use
    u64 tables = 0;                       ///< address spaces created, for a new root or mode
    u64 evictions = 0;                    ///< address spaces given up for others
    u64 flushes = 0;                      ///< of everything: slots, A20 or all of RAM changed
  };
  const Counters& counters() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penumbra::mmu
