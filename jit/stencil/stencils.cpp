#include "jit/stencil/stencils.h"

#include <bit>

namespace penumbra::jit {

Stencils::Stencils(const StencilTables& tables)
    : tables_(tables),
      entries_(std::bit_ceil(2 * tables.stencils.size() + 1)),
      mask_(entries_.size() - 1) {
  for (const Stencil& stencil : tables.stencils) {
    u64 at = start(stencil.key);
    while (entries_[at].stencil != nullptr) at = (at + 1) & mask_;
    entries_[at] = {stencil.key, &stencil};
  }
}

}  // namespace penumbra::jit
