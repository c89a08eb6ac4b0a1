// Tests as lines of text: "hex bytes ; inputs ; expected outputs".
//
//   4801d8 mode=64 seed=1 ; rax=ffffffffffffffff rbx=1 ; end rax=0 flags=257
//   488903 mode=64 seed=1 ; rbx=20002000 ; fault=14:7:20002000
// Inputs are what differs from a standard test of that seed (random_tests.h), outputs what differs
// from the inputs; [address]=bytes is memory. Vectors and x87 registers are numbers, high digit
// first. A fault is vector:code:address, its RIP an output.
#pragma once

#include <optional>
#include <string>

#include "tests/oracle/test_case.h"

namespace penumbra::oracle {

struct TestVector {
  Test test;
  Result expected;
};

std::string to_vector(const Test& test, const Result& expected);
/// Nothing for a line that is not a vector.
std::optional<TestVector> parse_vector(std::string_view line);

}  // namespace penumbra::oracle
