// The smallest test that still shows a disagreement.
#pragma once

#include <string>
#include <vector>

#include "tests/oracle/test_case.h"

namespace penumbra::oracle {

struct Disagreement {
  Result expected;
  std::vector<std::string> lines;  ///< empty: both sides agree
};

/// Runs `test` on both sides and compares, with what is undefined masked.
Disagreement disagreement(const Test& test, Runner& host, Runner& engine);

/// Sets registers, vectors, x87 and memory back to their standard values and drops instructions,
/// as long as the sides still disagree.
Test shrink(Test test, Runner& host, Runner& engine);

}  // namespace penumbra::oracle
