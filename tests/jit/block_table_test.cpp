// The table of blocks against a map, over keys that collide and come back.
#include "jit/cache/block_table.h"

#include <catch2/catch.hpp>
#include <map>
#include <random>

namespace penumbra::jit {
namespace {

TEST_CASE("the table of blocks finds what was inserted and not erased") {
  constexpr size_t kKeys = 6000;
  std::mt19937 random(3);
  std::vector<u8> code(kKeys);
  std::vector<int> blocks(kKeys);
  std::map<size_t, int*> model;
  BlockTable<int> table;
  auto key_of = [&](size_t i) { return BlockKey{&code[i / 2 * 2], static_cast<u32>(i % 2)}; };
  for (int step = 0; step < 60'000; ++step) {
    size_t i = random() % (step < 30'000 ? kKeys : 300);
    BlockKey key = key_of(i);
    REQUIRE(table.find(key) == (model.contains(i) ? model[i] : nullptr));
    if (model.erase(i) != 0) {
      table.erase(key);
    } else {
      table.insert(key, model[i] = &blocks[i]);
    }
    REQUIRE(table.size() == model.size());
  }
  for (size_t i = 0; i < kKeys; ++i) {
    CHECK(table.find(key_of(i)) == (model.contains(i) ? &blocks[i] : nullptr));
  }
  size_t visited = 0;
  table.visit([&](int&) { ++visited; });
  CHECK(visited == model.size());
}

}  // namespace
}  // namespace penumbra::jit
