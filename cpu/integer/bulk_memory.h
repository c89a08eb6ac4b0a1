// Element loops over host memory, as a string instruction iterates: the bulk half of REP.
//
// `width` is W8..W64, counts are elements, at least 1. Elements may be unaligned and may overlap;
// the result is that of one element after the other.
#pragma once

#include "common/types.h"

namespace penumbra::cpu {

/// Elements at host + i * stride.
struct HostElements {
  const u8* host;
  i64 stride;
  Width width;
};

u64 load_element(const u8* host, Width width);
void store_element(u8* host, u64 value, Width width);

/// Copies `count` elements, in descending order if `backward` (both pointers at the first element).
void copy_elements(u8* to, const u8* from, u64 count, Width width, bool backward);

/// Stores `value` into `count` elements from `to` upwards.
void fill_elements(u8* to, u64 value, u64 count, Width width);

/// Index of the first element that equals `value` (or, with until_equal false, that differs), else
/// that of the last element.
u64 scan_elements(HostElements in, u64 count, u64 value, bool until_equal);

/// The same for pairs.
u64 compare_elements(HostElements left, HostElements right, u64 count, bool until_equal);

}  // namespace penumbra::cpu
