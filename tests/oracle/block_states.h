// Register states for blocks of real programs, whose registers should mostly hold pointers.
#pragma once

#include "tests/oracle/test_case.h"

namespace penumbra::oracle {

/// A test of `code` from a state that `seed` decides: pointers into pages that are mapped on fault,
/// small integers and random bits; every fourth seed has numbers of all kinds in its vectors.
Test block_test(std::vector<u8> code, u64 seed);

}  // namespace penumbra::oracle
