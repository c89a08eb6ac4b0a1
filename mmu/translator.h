// Translation for one vCPU: which tables and view are in force, and how an access gets its page.
//
// An access first looks for what the view in force already grants (known()), then resolves: walks,
// checks, faults, without any effect. Only what completes is committed: accessed and dirty flags,
// and the fill of the view. So an access that faults on its second page has changed nothing.
#pragma once

#include "mmu/shadow_cache.h"

namespace penumbra::mmu {

/// The part of an access that lies in one page.
struct Piece {
  u64 linear;
  u32 size, done;  ///< done: bytes of the access before this piece
};

struct Pieces {
  std::array<Piece, 2> at;
  u8 count = 0;

  Pieces(u64 linear, u32 size) {
    PENUMBRA_ASSERT(size <= kPageSize);
    u64 left_in_page = kPageSize - (linear & kPageMask);
    u32 first = size < left_in_page ? size : static_cast<u32>(left_in_page);
    at[count++] = {linear, first, 0};
    if (first != size) at[count++] = {linear + first, size - first, first};
  }
};

/// Where a translated piece ended up. The physical address is known for MMIO and for fetches.
struct Target {
  u64 physical = 0;
  Location location;
  bool mmio() const { return !location.host; }
};
using Targets = std::array<Target, 2>;

class Translator {
 public:
  Translator(PhysicalMemory& memory, Mmu::Counters& counters);

  void set_context(const PagingContext& context);
  void set_privilege(u8 cpl, bool ac);
  void write_cr3(u64 value);
  const PagingContext& context() const { return context_; }
  /// CR0.AM, EFLAGS.AC and CPL 3: accesses are to be checked for alignment.
  bool strict() const {
    return context_.ac && context_.cpl == 3 && (context_.cr0 & Control::kCr0Am);
  }

  ShadowTable& table() const { return *table_; }
  ShadowTable& table(Privilege privilege) {
    return privilege == Privilege::Current ? *table_ : shadows_.view(*space_, ViewKind::Supervisor);
  }

  /// The page that the guest may write at [linear, +size) without another check, but perhaps with
  /// consequences; kNoPage: translate it.
  RamPage tracked_page(u64 linear, u32 size, Privilege privilege) {
    return tracked_page(linear, size, requester(privilege));
  }
  /// One access within a page; completes it as far as translation goes.
  Expected<Target> translate(u64 linear, Access access, Privilege privilege);
  /// All pieces, or none of them has an effect.
  Expected<> translate(const Pieces& pieces, Access access, Privilege privilege, Targets& targets);
  /// Translation without checks and effects.
  bool peek(u64 linear, u64& physical) const;

 private:
  Requester requester(Privilege privilege) const;
  ViewKind view_kind(Requester requester) const;
  void select_space();
  void select_view();
  void load_pdptes();

  RamPage tracked_page(u64 linear, u32 size, Requester requester);
  bool known(u64 linear, u32 size, Access access, Requester requester, Target& target);
  Expected<> resolve(u64 linear, Access access, Requester requester, Walk& walk);
  void fill(const Walk& walk, u64 linear, Access access, Requester requester,
            const Location& location);
  Expected<Target> translate(u64 linear, Access access, Requester requester);

  PhysicalMemory& memory_;
  Mmu::Counters& counters_;
  Walker walker_;
  ShadowCache shadows_;
  PagingContext context_;
  PagingMode mode_;
  Root pdptes_;  ///< PDPTE registers (SDM 3A 4.4.1)
  ShadowSpace* space_ = nullptr;
  ShadowTable* table_ = nullptr;  ///< the view in force
};

}  // namespace penumbra::mmu
