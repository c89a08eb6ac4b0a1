// Decimal adjustment against the host CPU in compatibility mode, all flags included.
#include <catch2/catch.hpp>

#include "cpu/ops.h"
#include "integer_native.h"
#include "integer_world.h"

namespace penumbra::cpu::test {
namespace {

struct Decimal {
  const char* name;
  NamedOperation operation;
  std::vector<u8> bytes;
  u32 undefined = 0;  ///< flags that the manual leaves open
};

constexpr u32 kAscii = Flag::kOf | Flag::kSf | Flag::kZf | Flag::kPf;
constexpr u32 kAx = Flag::kOf | Flag::kAf | Flag::kCf;

const std::vector<Decimal>& instructions() {
  static const std::vector<Decimal> all = {
      {"daa", ops::daa, {0x27}, Flag::kOf},  {"das", ops::das, {0x2f}, Flag::kOf},
      {"aaa", ops::aaa, {0x37}, kAscii},     {"aas", ops::aas, {0x3f}, kAscii},
      {"aam 10", ops::aam, {0xd4, 10}, kAx}, {"aam 1", ops::aam, {0xd4, 1}, kAx},
      {"aam 7", ops::aam, {0xd4, 7}, kAx},   {"aad 10", ops::aad, {0xd5, 10}, kAx},
      {"aad 0", ops::aad, {0xd5, 0}, kAx},   {"aad 255", ops::aad, {0xd5, 255}, kAx},
      {"salc", ops::salc, {0xd6}, 0},
  };
  return all;
}

bool agrees(World& world, const Decimal& decimal, Native32& native, Native32::Registers in) {
  Operands operands;
  if (decimal.bytes.size() > 1) operands.immediate = decimal.bytes[1];
  world.state.reg(Reg::Rax) = in.eax;
  world.state.set_flags(in.flags);
  Outcome outcome = world.run(decimal.operation, operands);
  Native32::Registers expected = native.run(in);
  u32 compared = Flag::kArithmetic & ~(host_is_reference() ? 0 : decimal.undefined);
  return outcome && world.state.reg(Reg::Rax) == expected.eax &&
         ((world.state.flags() ^ expected.flags) & compared) == 0;
}

TEST_CASE("decimal adjustment agrees with the host CPU", "[integer]") {
  if (!Native32::available()) {
    WARN("the host has no 32-bit user segment: not compared");
    return;
  }
  Native32 native;
  World world(Mode::Protected32, u64{0}, kPageSize);
  for (const Decimal& decimal : instructions()) {
    native.place(decimal.bytes);
    u32 disagreements = 0, first = 0;
    for (u32 ax = 0; ax < 0x10000; ax += ax < 0x300 || ax >= 0xfe00 ? 1 : 0x35) {
      for (u32 flags : {0x2u, 0x3u, 0x12u, 0x13u, 0x8c6u, 0x8d7u}) {
        if (agrees(world, decimal, native, {0xdead0000 | ax, flags | Flag::kIf})) continue;
        if (disagreements++ == 0) first = ax;
      }
    }
    INFO(decimal.name << " first at ax " << first);
    CHECK(disagreements == 0);
  }
}

TEST_CASE("AAM 0 divides by zero", "[integer]") {
  World world(Mode::Protected32, u64{0}, kPageSize);
  world.state.reg(Reg::Rax) = 0x1234;
  Outcome outcome = world.run(ops::aam, Operands{});
  REQUIRE(!outcome);
  CHECK(outcome.error() == Fault::of(Vector::De));
  CHECK(world.state.reg(Reg::Rax) == 0x1234);
}

}  // namespace
}  // namespace penumbra::cpu::test
