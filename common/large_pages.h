// Large pages of the host, for memory in which hot data lies far apart: fewer misses of its TLB.
//
// For memory that is in use altogether, so that none is wasted. Where the host has
// no large pages or refuses one, everything stays as it is.
#pragma once

#include "common/types.h"

namespace penumbra {

constexpr u64 kLargePage = 2 << 20;

/// A place for a mapping of `size` bytes at a large page's boundary, which nothing else gets:
/// map over it with MAP_FIXED. nullptr, with errno: the host has none.
void* aligned_place(u64 size);
/// Moves its content into a large page, whoever else maps it.
bool use_large_page(void* place);

}  // namespace penumbra
