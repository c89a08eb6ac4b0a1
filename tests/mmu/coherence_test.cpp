// That shadow tables are never stale and that what has not changed is never filled again.
#include "mmu/shadow_view.h"
#include "tests/mmu/world.h"

namespace penumbra::mmu::test {
namespace {

constexpr u64 kFirst = 0x100000, kSecond = 0x180000;
constexpr u64 kAll = kP | kRw | kUs;

TEST_CASE("Switching between unchanged address spaces refills nothing") {
  World world;
  std::vector<u64> roots;
  for (u64 i = 0; i < 20; ++i) {
    Tables tables(world, 0x100000 + i * 0x10000);
    for (u64 page = 0; page < 8; ++page)
      tables.map(0x400000 + page * 4096, (0x300000 + (8 * i + page) * 4096) | kAll);
    roots.push_back(tables.root);
  }
  auto visit_all = [&] {
    for (u64 root : roots) {
      world.with([&](PagingContext& c) { c = long_mode(root); });
      for (u64 page = 0; page < 8; ++page) world.store<u64>(0x400000 + page * 4096, root);
    }
  };
  visit_all();
  Mmu::Counters before = world.mmu.counters();
  CHECK(before.fills >= 160);
  CHECK(before.tables == 21);
  for (unsigned round = 0; round < 5; ++round) visit_all();
  CHECK(world.mmu.counters().fills == before.fills);
  CHECK(world.mmu.counters().walks == before.walks);
  CHECK(world.mmu.counters().slow_writes == before.slow_writes);
  for (u64 i = 0; i < 20; ++i) CHECK(world.ram<u64>(0x300000 + 8 * i * 4096) == roots[i]);
}

TEST_CASE("An entry changed while another space is active is seen") {
  World world;
  Tables one(world, kFirst), two(world, kSecond);
  u64 entry = one.map(0x5000, 0x7000 | kAll);
  two.map(0x5000, 0x8000 | kAll);
  two.map(0x9000, page_of(entry) | kAll);
  world.use(long_mode(kFirst));
  world.store<u8>(0x5000, 1);
  world.use(long_mode(kSecond));
  world.store<u8>(0x5000, 2);
  world.store<u64>(0x9000 + (entry & 0xfff), 0xa000 | kAll);
  world.use(long_mode(kFirst));
  world.store<u8>(0x5000, 3);
  CHECK(world.ram<u8>(0x7000) == 1);
  CHECK(world.ram<u8>(0x8000) == 2);
  CHECK(world.ram<u8>(0xa000) == 3);
}

TEST_CASE("A change of one entry keeps the translations of its neighbours") {
  World world;
  Tables tables(world, kFirst);
  u64 entry = tables.map(0x5000, 0x7000 | kAll);
  tables.map(0x6000, 0x8000 | kAll);
  world.use(long_mode(kFirst));
  world.store<u8>(0x5000, 1);
  world.store<u8>(0x6000, 1);
  world.poke<u64>(entry, 0);
  CHECK(world.mmu.table()->for_read(0x5000, 1) == nullptr);
  CHECK(world.mmu.table()->for_write(0x6000, 1) != nullptr);
  CHECK(world.mmu.counters().table_writes == 1);
}

TEST_CASE("Changes that cannot matter drop nothing") {
  World world;
  Tables tables(world, kFirst);
  u64 entry = tables.map(0x5000, 0x7000 | kAll | kA | kD);
  world.use(long_mode(kFirst));
  world.store<u8>(0x5000, 1);
  world.poke<u64>(entry, 0x7000 | kAll | kA | kD | kG | 0xe00 | 1ull << 52);
  CHECK(world.mmu.table()->for_write(0x5000, 1) != nullptr);
  world.poke<u64>(entry, 0x7000 | kAll | kA);
  CHECK(world.mmu.table()->for_write(0x5000, 1) == nullptr);
}

TEST_CASE("More rights in an upper entry are seen at once") {
  World world;
  Tables tables(world, kFirst);
  tables.map(0x5000, 0x7000 | kAll);
  world.use(long_mode(kFirst, 3));
  for (unsigned level = 2; level <= 4; ++level) {
    u64 at = tables.entry_at(0x5000, level);
    world.poke<u64>(at, world.ram<u64>(at) & ~kRw);
    world.load<u8>(0x5000);
    CHECK(world.fault_code(0x5000, Access::Write) == 7);
    world.poke<u64>(at, world.ram<u64>(at) | kRw);
    world.store<u8>(0x5000, 1);
    world.poke<u64>(at, world.ram<u64>(at) & ~kUs);
    CHECK(world.fault_code(0x5000, Access::Read) == 5);
    world.poke<u64>(at, world.ram<u64>(at) | kUs);
    world.load<u8>(0x5000);
  }
}

TEST_CASE("A table that is no longer reached becomes ordinary memory") {
  World world;
  Tables tables(world, kFirst);
  u64 entry = tables.map(0x5000, 0x7000 | kAll);
  u64 page_table = page_of(entry);
  tables.map(0x40000000, page_table | kAll);
  world.use(long_mode(kFirst));
  world.load<u8>(0x5000);
  world.store<u64>(0x40000008, 0);
  CHECK(world.mmu.table()->for_write(0x40000000, 1) == nullptr);
  world.poke<u64>(tables.entry_at(0x5000, 2), 0);
  world.store<u64>(0x40000008, 0);
  CHECK(world.mmu.table()->for_write(0x40000000, 1) != nullptr);
}

TEST_CASE("A data page that becomes a table loses its writers") {
  World world;
  Tables tables(world, kFirst);
  tables.map(0x5000, 0x200000 | kAll);
  world.use(long_mode(kFirst));
  world.store<u64>(0x5000 + 8 * 6, 0x7000 | kAll);
  CHECK(world.mmu.table()->for_write(0x5000, 8) != nullptr);
  world.poke<u64>(tables.entry_at(0x40000000, 2), 0x200000 | kAll);
  world.store<u8>(0x40006000, 1);
  CHECK(world.mmu.table()->for_write(0x5000, 8) == nullptr);
  world.store<u64>(0x5000 + 8 * 6, 0x8000 | kAll);
  world.store<u8>(0x40006000, 2);
  CHECK(world.ram<u8>(0x7000) == 1);
  CHECK(world.ram<u8>(0x8000) == 2);
}

TEST_CASE("A table that maps itself is coherent with itself") {
  World world;
  Tables tables(world, kFirst);
  world.poke<u64>(kFirst + 8 * 256, kFirst | kP | kRw);
  u64 entry = tables.map(0x5000, 0x7000 | kAll);
  world.use(long_mode(kFirst));
  world.store<u8>(0x5000, 1);
  u64 through_itself = 0xffff800000000000 + (0x5000 >> 12) * 8;
  CHECK(world.load<u64>(through_itself) == world.ram<u64>(entry));
  world.store<u64>(through_itself, 0x8000 | kAll);
  world.store<u8>(0x5000, 2);
  CHECK(world.ram<u8>(0x8000) == 2);
  u64 root_itself = 0xffff804020100000 + 8 * 256;
  CHECK(page_of(world.load<u64>(root_itself)) == kFirst);
  world.store<u64>(root_itself, 0);
  CHECK(world.fault_code(root_itself, Access::Read) == 0);
}

TEST_CASE("One page may be a table of every level for the same addresses") {
  World world;
  world.poke<u64>(kFirst, kFirst | kAll);
  world.poke<u64>(kFirst + 8 * 5, 0x200000 | kAll);
  world.poke<u64>(0x200000 + 8 * 3, 0x7000 | kAll);
  world.poke<u64>(0x201000 + 8 * 3, 0x8000 | kAll);
  world.use(long_mode(kFirst));
  u64 as_data = 0x5000, as_table = 5 << 21 | 3 << 12;
  CHECK(world.load<u64>(as_data + 8 * 3) % 0x8000 == (0x7000 | kAll));
  world.store<u8>(as_table, 1);
  world.store<u64>(8 * 5, 0x201000 | kAll);  // root, level 4, 3, 2 and 1 at once
  CHECK(world.load<u64>(as_data + 8 * 3) == (0x8000 | kAll));
  world.store<u8>(as_table, 2);
  CHECK(world.ram<u8>(0x7000) == 1);
  CHECK(world.ram<u8>(0x8000) == 2);
}

TEST_CASE("Stores through an alias and by DMA reach tables, too") {
  World world;
  Tables tables(world, kFirst);
  u64 entry = tables.map(0x5000, 0x7000 | kAll);
  world.use(long_mode(kFirst));
  world.store<u8>(0x5000, 1);
  world.poke<u64>(kAliasAt + (entry - kAliasOf), 0x8000 | kAll);
  world.store<u8>(0x5000, 2);
  CHECK(world.ram<u8>(0x8000) == 2);
  std::vector<u64> page(512);
  page[5] = 0x9000 | kAll;
  world.space->write({page_of(entry)}, page.data(), 4096);
  world.store<u8>(0x5000, 3);
  CHECK(world.ram<u8>(0x9000) == 3);
  u8 one_byte = 0xa0;
  world.space->write({entry + 1}, &one_byte, 1);
  world.store<u8>(0x5000, 4);
  CHECK(world.ram<u8>(0xa000) == 4);
}

TEST_CASE("Two vCPUs see each other's changes of shared tables") {
  World world;
  Mmu other(*world.space, world.external);
  Tables tables(world, kFirst);
  u64 entry = tables.map(0x5000, 0x7000 | kAll);
  tables.map(0x6000, page_of(entry) | kAll);
  world.use(long_mode(kFirst));
  other.set_context(world.context);
  world.store<u8>(0x5000, 1);
  REQUIRE(other.store<u8>(0x5000, 2));
  CHECK(world.ram<u8>(0x7000) == 2);
  REQUIRE(other.store<u64>(0x6000 + (entry & 0xfff), 0x8000 | kAll));
  world.store<u8>(0x5000, 3);
  CHECK(world.ram<u8>(0x8000) == 3);
  REQUIRE(other.store<u8>(0x5000, 4));
  CHECK(world.ram<u8>(0x8000) == 4);
}

TEST_CASE("A table stays one while any vCPU uses it") {
  World world;
  Tables tables(world, kFirst);
  u64 entry = tables.map(0x5000, 0x7000 | kAll);
  tables.map(0x40000000, page_of(entry) | kAll);
  world.use(long_mode(kFirst));
  world.store<u8>(0x5000, 1);
  {
    Mmu other(*world.space, world.external);
    other.set_context(world.context);
    REQUIRE(other.store<u8>(0x5000, 2));
  }
  world.store<u64>(0x40000000 + (entry & 0xfff), 0x8000 | kAll);
  world.store<u8>(0x5000, 3);
  CHECK(world.ram<u8>(0x7000) == 2);
  CHECK(world.ram<u8>(0x8000) == 3);
}

TEST_CASE("PCIDs, global pages and INVLPG need nothing and break nothing") {
  World world;
  Tables tables(world, kFirst);
  u64 entry = tables.map(0x5000, 0x7000 | kAll | kG);
  PagingContext context = long_mode(kFirst | 1);
  context.cr4 |= kPcide | kPge;
  world.use(context);
  world.store<u8>(0x5000, 1);
  u64 fills = world.mmu.counters().fills;
  world.mmu.write_cr3(1ull << 63 | kFirst | 2);
  CHECK(world.mmu.context().cr3 == (kFirst | 2));
  world.mmu.invalidate_page(0x5000);
  for (u64 type = 0; type < 4; ++type) world.mmu.invalidate_pcid(type, 1, 0x5000);
  world.store<u8>(0x5000, 2);
  CHECK(world.mmu.counters().fills == fills);
  world.poke<u64>(entry, 0x8000 | kAll | kG);
  world.mmu.invalidate_page(0x5000);
  world.store<u8>(0x5000, 3);
  CHECK(world.ram<u8>(0x8000) == 3);
}

TEST_CASE("More address spaces than are kept, more regions than a space keeps") {
  World world;
  Tables tables(world, kFirst);
  u64 entry = tables.map(0x5000, 0x7000 | kAll);
  tables.map(0x6000, 0x8000 | kP | kRw);
  SECTION("spaces") {
    for (unsigned round = 0; round < 2; ++round)
      for (u64 i = 0; i < 100; ++i) {
        u64 root = 0x200000 + i * 4096;
        world.poke<u64>(root, world.ram<u64>(kFirst));
        world.use(long_mode(root));
        world.with([](PagingContext& c) { c.cr4 |= kSmap; });
        for (auto [cpl, ac] : {std::pair<u8, bool>{0, true}, {3, false}, {0, false}}) {
          world.with([=](PagingContext& c) { c.cpl = cpl, c.ac = ac; });
          u64 at = cpl == 3 || ac ? 0x5000 : 0x6000;  // three views a space: they run out, too
          world.store<u8>(at, static_cast<u8>(i));
          CHECK(world.ram<u8>(at + 0x2000) == static_cast<u8>(i));
          CHECK(world.mmu.table()->for_write(at, 1) == world.space->ram() + at + 0x2000);
        }
      }
    world.with([](PagingContext& c) { c.cpl = 3; });
    CHECK(world.mmu.counters().evictions >= 136);
  }
  SECTION("regions") {
    for (u64 i = 1; i < 12; ++i) world.poke<u64>(tables.entry_at(i << 30, 3), kAll | kPs);
    world.use(long_mode(kFirst));
    store_to<u8>(world.space->ram() + 0x9000, 9);
    for (u64 i = 512; i < 12 * 512; ++i) {
      CHECK(world.mmu.probe(i << 21, 1, Access::Read, Privilege::Current).has_value());
      world.poke<u64>(entry, (i % 2 ? 0x9000 : 0x7000) | kAll);
      CHECK(world.load<u8>(0x5000) == (i % 2 ? 9 : 0));
    }
    world.poke<u64>(entry, 0x7000 | kAll);
  }
  world.store<u8>(0x5000, 2);
  world.poke<u64>(entry, 0x8000 | kAll);
  world.store<u8>(0x5000, 3);
  CHECK(world.ram<u8>(0x7000) == 2);
  CHECK(world.ram<u8>(0x8000) == 3);
}

TEST_CASE("Modes that translate differently do not share entries") {
  World world;
  Tables tables(world, kFirst);
  tables.map(0x5000, 0x7000 | kP | kUs);
  PagingContext context = long_mode(kFirst);
  context.cr0 &= ~kWp;
  world.use(context);
  world.store<u8>(0x5000, 1);
  world.with([](PagingContext& c) { c.cr0 |= kWp; });
  CHECK(world.fault_code(0x5000, Access::Write) == 3);
  world.with([](PagingContext& c) { c.cr4 |= kSmap; });
  CHECK(world.fault_code(0x5000, Access::Read) == 1);
  world.with([](PagingContext& c) { c.ac = true; });
  world.load<u8>(0x5000);
  world.with([](PagingContext& c) { c.ac = false; });
  CHECK(world.fault_code(0x5000, Access::Read) == 1);
  world.with([](PagingContext& c) { c.cr0 &= ~kPg, c.efer &= ~kLma; });
  world.store<u8>(0x5000, 9);
  CHECK(world.ram<u8>(0x5000) == 9);
}

TEST_CASE("Pages that are near or a power of two apart never share an entry") {
  for (u64 page = 0; page < 1 << 20; ++page) {
    u64 linear = page << 12;
    if (ShadowTable::index(linear) == ShadowTable::index(linear + 4096)) FAIL("page " << page);
  }
  for (unsigned apart = 12; apart < 42; ++apart)
    for (u64 page : {0ull, 5ull, 0xffffull, 0xffffffff81000ull})
      CHECK(ShadowTable::index(page << 12) != ShadowTable::index((page << 12) + bit(apart)));
  for (u64 linear : {0x1000ull, 0x7f1234567000ull, ~0ull, 0x555555554fffull})
    CHECK(ShadowTable::offset(linear) == ShadowTable::index(linear) * sizeof(ShadowEntry));
}

TEST_CASE("An access that wraps around the address space is answered truly") {
  World world;
  Tables tables(world, kFirst);
  tables.map(0, 0x7000 | kAll);
  tables.map(0ull - 4096, 0x9000 | kAll);
  world.use(long_mode(tables.root));
  CHECK(world.mmu.table()->for_read(0ull - 4, 8) == nullptr);
  world.store<u64>(0, 0x1111111122222222);
  CHECK(world.mmu.table()->for_read(0ull - 4, 8) == nullptr);
  world.store<u64>(0ull - 8, 0x3333333344444444);
  CHECK(world.mmu.table()->for_read(0ull - 4, 8) == nullptr);
  CHECK(world.load<u64>(0ull - 4) == 0x2222222233333333);
}

TEST_CASE("Views that use too much of the host's memory give it back") {
  World world;
  Tables tables(world, kFirst), others(world, kSecond);
  u64 directory = tables.next_page();  // 512 times the same large page, in each of 16 GiB
  for (u64 i = 0; i < 512; ++i) world.poke<u64>(directory + 8 * i, kAll | kPs);
  for (u64 i = 0; i < 16; ++i) world.poke<u64>(tables.entry_at(i << 30, 3), directory | kAll);
  others.map(0x5000, 0x7000 | kAll);
  world.use(long_mode(kSecond));
  world.store<u8>(0x5000, 1);
  const ShadowTable* other_table = world.mmu.table();
  CHECK(other_table->for_read(0x5000, 1) != nullptr);
  world.use(long_mode(kFirst));
  constexpr u64 kChunk = ViewPool::kChunkPages * kPageSize;
  auto touch = [&](u64 from, u64 to) {
    for (u64 chunk = from; chunk < to; ++chunk)
      world.mmu.probe(chunk * kChunk, 1, Access::Read, Privilege::Current);
  };
  touch(0, ViewPool::kMostChunks - 1);
  CHECK(world.mmu.counters().evictions == 0);
  CHECK(other_table->for_read(0x5000, 1) != nullptr);
  touch(ViewPool::kMostChunks - 1, ViewPool::kMostChunks);  // of others first
  CHECK(world.mmu.counters().evictions >= 1);
  CHECK(other_table->for_read(0x5000, 1) == nullptr);
  CHECK(world.mmu.table()->for_read(0, 1) != nullptr);
  touch(ViewPool::kMostChunks, 2 * ViewPool::kMostChunks);
  CHECK(world.mmu.table()->for_read(0, 1) == nullptr);
  CHECK(world.mmu.table()->for_read(kChunk * (2 * ViewPool::kMostChunks - 1), 1) != nullptr);
}

}  // namespace
}  // namespace penumbra::mmu::test
