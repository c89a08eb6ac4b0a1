// Finds the stencil of a key.
//
// Built once at start over the tables of one host level; does not own them.
#pragma once

#include <vector>

#include "jit/stencil/stencil.h"

namespace penumbra::jit {

class Stencils {
 public:
  explicit Stencils(const StencilTables& tables);

  /// nullptr: there is none.
  const Stencil* find(u64 key) const {
    for (u64 at = start(key);; at = (at + 1) & mask_) {
      const Entry& entry = entries_[at];
      if (entry.stencil == nullptr || entry.key == key) return entry.stencil;
    }
  }
  const StencilTables& tables() const { return tables_; }

 private:
  struct Entry {
    u64 key = 0;
    const Stencil* stencil = nullptr;
  };
  u64 start(u64 key) const { return ((key * 0x9e3779b97f4a7c15ull) >> 32) & mask_; }

  const StencilTables& tables_;
  std::vector<Entry> entries_;  ///< open addressing, at most half full
  u64 mask_;
};

}  // namespace penumbra::jit
