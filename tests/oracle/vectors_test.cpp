// Vectors as text: what is written reads back, and what is none is refused.
#include "tests/oracle/vectors.h"

#include <catch2/catch.hpp>

#include "tests/oracle/random_tests.h"

namespace penumbra::oracle {

TEST_CASE("a vector line reads back as the test that it came from") {
  Test test = standard_test(CodeSize::Long, 3);
  test.code = parse_hex("488903");
  test.state.gpr[3] = kReadOnlyData;
  test.state.fx.set<u64>(FxImage::xmm(5) + 8, 0x1122334455667788);
  test.state.fx.set<u16>(FxImage::st(2) + 8, 0xbfff);
  test.pages[1].bytes[17] ^= 0x40;
  Result expected;
  expected.outcome = Outcome::Fault;
  expected.fault = Fault::page(kReadOnlyData, 7);
  expected.state = test.state;
  expected.state.gpr[0] = 0x42;
  expected.pages = test.pages;
  expected.pages[0].bytes[9] ^= 1;

  std::string line = to_vector(test, expected);
  auto vector = parse_vector(line);
  REQUIRE(vector.has_value());
  CHECK(vector->test.code == test.code);
  CHECK(vector->test.state.gpr == test.state.gpr);
  CHECK(vector->test.state.fx == test.state.fx);
  CHECK(vector->test.pages == test.pages);
  CHECK(vector->expected.fault == expected.fault);
  CHECK(vector->expected.state.gpr == expected.state.gpr);
  CHECK(vector->expected.pages == expected.pages);
  CHECK(to_vector(vector->test, vector->expected) == line);
}

TEST_CASE("lines that are no vectors are refused") {
  for (const char* line :
       {"", "90", "90 mode=64 seed=1", "90 mode=64 seed=1 ; rax=1", "9 mode=64 seed=1 ; ; end",
        "90 mode=64 seed=1 ; rzx=1 ; end", "90 mode=64 seed=1 ; [123]=00 ; end",
        "90 mode=64 seed=1 ; ; fault=x", "90 mode=64 seed=1 ; rax=11111111111111111 ; end"}) {
    INFO(line);
    CHECK_FALSE(parse_vector(line).has_value());
  }
}

}  // namespace penumbra::oracle
