// Random tests of chosen instructions: interesting values in registers, vectors, the x87 and
// memory, and operands at page ends, in read-only and in absent pages.
#pragma once

#include "tests/oracle/encodings.h"
#include "tests/oracle/test_case.h"

namespace penumbra::oracle {

/// Data pages of random tests and vectors: two writable, one read-only, one absent, one writable.
/// Filled with the odd pattern of `seed`.
constexpr u64 kData = 0x20000000;
constexpr u64 kReadOnlyData = kData + 2 * kPageSize, kAbsentData = kData + 3 * kPageSize;
std::vector<PageImage> standard_pages(u64 seed);
/// A test with the standard pages, a usable stack and the initial state.
Test standard_test(CodeSize size, u64 seed);

/// Draws states for tests of `instructions`, which it concatenates.
Test random_test(const std::vector<Drawn>& instructions, CodeSize size, Random& random);

}  // namespace penumbra::oracle
