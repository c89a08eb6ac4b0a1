// What the host's own instructions compute, where a file may use them, and what the portable twins
// compute: the same, sticky exception flags included.
#include "tests/cpu/vector_levels.h"

#include <string_view>

#include <catch2/catch.hpp>

#include "cpu/semantics/fp_environment.h"
#include "tests/cpu/vector_values.h"

namespace penumbra::cpu {
namespace {

constexpr int kRounds = 600;

struct Case {
  V128 a, b, c;
  u8 immediate;
  u32 mxcsr;
};

V128 operand(VectorValues& values) {
  switch (values.below(5)) {
    case 0:
      return values.integers<u8>();
    case 1:
      return values.integers<u32>();
    case 2:
      return values.floats<u32>();
    case 3:
      return values.floats<u64>();
    default:
      return vector_of(Lanes<u64>{values.below(20), values.below(20)});
  }
}

Case draw(VectorValues& values) {
  u32 mxcsr = Mxcsr::kDefault | static_cast<u32>(values.below(4)) << 13 |
              (values.below(2) ? Mxcsr::kDaz : 0);
  return {operand(values), operand(values), operand(values), static_cast<u8>(values.bits()), mxcsr};
}

std::string run(const LevelOp& op, Case in) {
  fp_environment::enter(in.mxcsr);
  V128 result = op.run(in.a, in.b, in.c, in.immediate);
  u32 after = fp_environment::leave(in.mxcsr);
  return fmt::format("{} mxcsr {:04x}", hex(result), after);
}

void check_against_portable(LevelOps level) {
  LevelOps portable = level_ops_v1();
  REQUIRE(level.count == portable.count);
  VectorValues values(11);
  for (size_t i = 0; i < level.count; ++i) {
    REQUIRE(std::string_view(level.first[i].name) == portable.first[i].name);
    for (int round = 0; round < kRounds; ++round) {
      Case in = draw(values);
      INFO(level.first[i].name << " " << hex(in.a) << " " << hex(in.b) << " " << hex(in.c) << " "
                               << int{in.immediate} << " under " << in.mxcsr);
      REQUIRE(run(level.first[i], in) == run(portable.first[i], in));
    }
  }
}

bool host_has_cryptography() {
  u32 eax = 7, ebx, ecx = 0, edx;
  asm("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
  return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul") && (ebx >> 29 & 1);
}

}  // namespace

TEST_CASE("vector micro-ops compute the same on every level of host instructions") {
  if (__builtin_cpu_supports("x86-64-v2")) check_against_portable(level_ops_v2());
  if (__builtin_cpu_supports("x86-64-v3") && host_has_cryptography())
    check_against_portable(level_ops_v3());
}

}  // namespace penumbra::cpu
