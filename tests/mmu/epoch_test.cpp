// What renews the execute epoch of a view, and what must not.
#include <set>

#include "tests/mmu/world.h"

namespace penumbra::mmu::test {
namespace {

constexpr u64 kFirst = 0x100000, kSecond = 0x180000;
constexpr u64 kCode = 0x5000, kData = 0x6000, kAll = kP | kRw | kUs | kA | kD;

/// One executed page, one data page that is executable but was never executed, one table of both
/// that the guest can write.
struct CodeWorld : World {
  Tables tables{*this, kFirst};
  u64 code_entry = tables.map(kCode, 0x7000 | kAll);
  u64 data_entry = tables.map(kData, 0x8000 | kAll);

  CodeWorld() {
    tables.map(0x9000, page_of(code_entry) | kAll);
    use(long_mode(kFirst));
    store<u8>(kData, 1);
    REQUIRE(mmu.fetch(kCode));
  }
  u64 epoch() const { return mmu.execute_epoch(); }
};

TEST_CASE("The execute epoch lasts while executed pages stay where they are") {
  CodeWorld world;
  u64 before = world.epoch();
  CHECK(before != 0);
  CHECK(before == world.mmu.table()->execute_epoch);
  SECTION("stores, new pages, repeated fetches") {
    world.store<u8>(kCode, 1);
    world.tables.map(0xa000, 0xb000 | kAll);
    REQUIRE(world.mmu.fetch(0xa000));
    REQUIRE(world.mmu.fetch(kCode));
  }
  SECTION("a data page goes") {
    world.poke<u64>(world.data_entry, 0);
    CHECK(world.fault_code(kData, Access::Read) == 0);
  }
  SECTION("the code page's entry is evicted by a neighbour of the same index") {
    u64 other = kCode + (ShadowTable::kEntries << 12);
    REQUIRE(ShadowTable::index(other) == ShadowTable::index(kCode));
    world.tables.map(other, 0xc000 | kAll);
    world.store<u8>(other, 1);
    CHECK(world.mmu.table()->for_execute(kCode) == nullptr);
  }
  SECTION("INVLPG and CR3 writes") {
    world.mmu.invalidate_page(kCode);
    world.mmu.write_cr3(kFirst);
  }
  CHECK(world.epoch() == before);
}

TEST_CASE("A new execute epoch begins when an executed page goes, and only once") {
  CodeWorld world;
  u64 before = world.epoch();
  u64 through_guest = 0x9000 + (world.code_entry & 0xfff);
  SECTION("by the guest's store") { world.store<u64>(through_guest, 0); }
  SECTION("by DMA") { world.poke<u64>(world.code_entry, 0xb000 | kAll); }
  SECTION("by an upper entry") { world.poke<u64>(world.tables.entry_at(kCode, 3), 0); }
  SECTION("by losing the right") { world.poke<u64>(world.code_entry, 0x7000 | kAll | kNx); }
  SECTION("by filling its table wholesale") {
    u32 length = 0;
    REQUIRE(world.mmu.span(0x9000, Access::Write, Privilege::Current, length));
  }
  SECTION("with all slots") { world.space->unmap({kHole}, kPageSize); }
  u64 after = world.epoch();
  CHECK(after > before);
  world.poke<u64>(world.code_entry, 0xc000 | kAll);
  CHECK(world.epoch() == after);
}

TEST_CASE("Each view has its own execute epoch and keeps it while others run") {
  CodeWorld world;
  Tables second(world, kSecond);
  second.map(kCode, 0xd000 | kAll);
  std::map<std::pair<u64, u8>, u64> epochs;
  std::set<u64> all;
  auto visit = [&](u64 root, u8 cpl) {
    world.use(long_mode(root, cpl));
    REQUIRE(world.mmu.fetch(kCode));
    return world.epoch();
  };
  for (u64 root : {kFirst, kSecond})
    for (u8 cpl : {0, 3}) all.insert(epochs[{root, cpl}] = visit(root, cpl));
  CHECK(all.size() == 4);
  for (auto [where, epoch] : epochs) CHECK(visit(where.first, where.second) == epoch);
  world.poke<u64>(world.code_entry, 0);  // of the first space, while the second is in force
  CHECK(world.epoch() == epochs[{kSecond, 3}]);
  world.poke<u64>(world.code_entry, 0x7000 | kAll);
  for (auto [where, epoch] : epochs)
    CHECK((visit(where.first, where.second) == epoch) == (where.first == kSecond));
}

TEST_CASE("A view that another space takes over does not bring its execute epoch along") {
  World world;
  Tables tables(world, kFirst);
  tables.map(kCode, 0x7000 | kAll);
  std::set<u64> seen;
  for (u64 i = 0; i < 150; ++i) {
    u64 root = 0x200000 + i * 4096;
    world.poke<u64>(root, world.ram<u64>(kFirst));
    world.use(long_mode(root));
    REQUIRE(world.mmu.fetch(kCode));
    CHECK(seen.insert(world.mmu.execute_epoch()).second);
  }
}

}  // namespace
}  // namespace penumbra::mmu::test
