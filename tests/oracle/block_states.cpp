#include "tests/oracle/block_states.h"

#include <bit>

#include "tests/oracle/encodings.h"

namespace penumbra::oracle {
namespace {

constexpr u64 kHeap = 0x12340000, kBlockStack = 0x20000000;

u64 heap_pointer(Random& random) { return kHeap + (random() & 0x3ff8); }

/// Even seeds: what programs hold, pointers and a few small numbers, so that most blocks end.
u64 draw_tame(Random& random) { return random() % 8 == 0 ? random() % 64 : heap_pointer(random); }

u64 draw_register(Random& random, u64 seed) {
  if (seed % 2 == 0) return draw_tame(random);
  switch (random() % 8) {
    case 0:
      return random() % 64;
    case 1:
      return random();
    case 2:
      return 0x7f0000000000 + (random() & 0xfffff8);
    default:
      return heap_pointer(random);
  }
}

u64 draw_lane(Random& random, u64 seed) {
  double number = static_cast<double>(static_cast<i64>(random() % 2'000'000) - 1'000'000) / 1024;
  switch (seed % 4) {
    case 0:
      return random();
    case 1:
      return std::bit_cast<u64>(number);
    default:
      return u64{std::bit_cast<u32>(static_cast<float>(number))} << 32 |
             std::bit_cast<u32>(static_cast<float>(random() % 1000));
  }
}

}  // namespace

Test block_test(std::vector<u8> code, u64 seed) {
  Random random(seed * 7919 + code.size());
  Test test;
  test.code = std::move(code);
  test.pattern_seed = seed;
  test.most_mapped = 64;
  test.state = MachineState::initial();
  for (auto& value : test.state.gpr) value = draw_register(random, seed);
  test.state.gpr[4] = kBlockStack + 0x800;
  test.state.gpr[5] = random() % 2 ? kBlockStack + 0xc00 : draw_register(random, seed);
  test.state.fs_base = kHeap + 0x4000;
  test.state.gs_base = kHeap + 0x8000;
  test.state.rflags |= random() & 0x8d5;
  for (unsigned i = 0; i < 32; ++i)
    test.state.fx.set(FxImage::kXmm + i * 8, draw_lane(random, seed));
  for (auto& half : test.state.ymm_high)
    for (u64& lane : half) lane = draw_lane(random, seed);
  return test;
}

}  // namespace penumbra::oracle
