// Page tables in guest memory that map chosen linear pages, for tests that run user-mode code.
//
// Four-level paging. Tables are allocated on demand from an arena; when it is exhausted, everything
// is forgotten and mapped anew (reset()). User pages of data are no-execute.
#pragma once

#include <unordered_map>

#include "mmu/address_space.h"

namespace penumbra::oracle {

class LinearMap {
 public:
  struct Rights {
    bool writable, executable, user;
  };

  /// The arena is [arena, arena + size) of `space`; its first page is the root.
  LinearMap(mmu::AddressSpace& space, u64 arena, u64 size);

  u64 root() const { return arena_; }
  /// False when the arena is exhausted.
  bool map(u64 linear, u64 physical, Rights rights);
  void unmap(u64 linear);
  void reset();

 private:
  u64 read(u64 physical) const;
  void write(u64 physical, u64 entry);
  /// Physical address of the last-level entry; 0 when the arena is exhausted.
  u64 leaf_of(u64 linear);

  mmu::AddressSpace& space_;
  u64 arena_, end_, next_;
  std::unordered_map<u64, u64> leaf_tables_;  ///< linear >> 21 -> table
};

}  // namespace penumbra::oracle
