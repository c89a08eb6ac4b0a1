#include "tests/mmu/world.h"

namespace penumbra::mmu::test {
namespace {

TEST_CASE("Paging off is the identity, with RAM, ROM and holes") {
  World world;
  world.store<u64>(0x1234, 0x1122334455667788);
  CHECK(world.ram<u64>(0x1234) == 0x1122334455667788);
  CHECK(world.load<u32>(0x1236) == 0x33445566);
  world.store<u32>(0x1ffe, 0xa1b2c3d4);
  CHECK(world.ram<u32>(0x1ffe) == 0xa1b2c3d4);
  CHECK(world.load<u32>(0x1ffe) == 0xa1b2c3d4);
  world.space->ram()[kRam + 5] = 0x5a;
  CHECK(world.load<u8>(kRomAt + 5) == 0x5a);
  world.store<u8>(kRomAt + 5, 0x11);
  CHECK(world.load<u8>(kRomAt + 5) == 0x5a);
}

TEST_CASE("A repeated access is answered by the view in force") {
  World world;
  CHECK(world.mmu.table()->for_read(0x3000, 8) == nullptr);
  world.load<u64>(0x3000);
  CHECK(world.mmu.table()->for_read(0x3000, 8) == world.space->ram() + 0x3000);
  CHECK(world.mmu.table()->for_read(0x3ff9, 8) == nullptr);
  world.store<u64>(0x3000, 1);
  CHECK(world.mmu.table()->for_write(0x3ff8, 8) == world.space->ram() + 0x3ff8);
  CHECK(world.mmu.table()->for_execute(0x3000) == nullptr);
  REQUIRE(world.mmu.fetch(0x3000));
  CHECK(world.mmu.table()->for_execute(0x3000) == world.space->ram() + 0x3000);
  CHECK(world.mmu.table()->for_write(0x3ff8, 8) == world.space->ram() + 0x3ff8);
}

TEST_CASE("Four-level paging translates, sets A and D exactly, and faults with the manual's code") {
  World world;
  Tables tables(world, 0x100000);
  u64 entry = tables.map(0xffff800000005000, 0x7000 | kP | kRw);
  world.use(long_mode(tables.root));

  CHECK(world.load<u64>(0xffff800000005008) == 0);
  CHECK(world.ram<u64>(entry) == (0x7000 | kP | kRw | kA));
  CHECK(world.mmu.table()->for_write(0xffff800000005008, 8) == nullptr);
  world.store<u64>(0xffff800000005008, 42);
  CHECK(world.ram<u64>(0x7008) == 42);
  CHECK(world.ram<u64>(entry) == (0x7000 | kP | kRw | kA | kD));
  CHECK(world.mmu.table()->for_write(0xffff800000005008, 8) != nullptr);

  CHECK(world.fault_code(0xffff800000006000, Access::Write) == 2);
  world.with([](PagingContext& c) { c.cpl = 3; });
  CHECK(world.fault_code(0xffff800000005000, Access::Read) == 5);
  CHECK(world.fault_code(0xffff800000005000, Access::Execute) == 0x15);
  auto odd = world.mmu.load<u8>(0x0000800000000000);
  REQUIRE(!odd);
  CHECK(odd.error() == Fault::gp());
}

TEST_CASE("A changed entry is seen at once, whoever changes it") {
  World world;
  Tables tables(world, 0x100000);
  u64 entry = tables.map(0x5000, 0x7000 | kP | kRw);
  tables.map(0x6000, page_of(entry) | kP | kRw);
  world.use(long_mode(tables.root));
  world.store<u64>(0x5000, 1);
  world.store<u64>(0x6000 + (entry & 0xfff), 0x8000 | kP | kRw);
  world.store<u64>(0x5000, 2);
  CHECK(world.ram<u64>(0x7000) == 1);
  CHECK(world.ram<u64>(0x8000) == 2);
  world.poke<u64>(entry, 0x9000 | kP | kRw);
  world.store<u64>(0x5000, 3);
  CHECK(world.ram<u64>(0x9000) == 3);
  world.poke<u64>(tables.entry_at(0x5000, 3), 0);
  CHECK(world.fault_code(0x5000, Access::Read) == 0);
}

TEST_CASE("Stores to code notify, those to other bytes of the page do not") {
  World world;
  world.store<u8>(0x2000, 1);
  world.space->mark_code({0x2040}, 65);
  CHECK(world.mmu.table()->for_write(0x2000, 1) == nullptr);
  world.store<u64>(0x2038, 7);
  world.store<u32>(0x2081, 7);
  CHECK(world.notes.written.empty());
  world.store<u64>(0x203c, 7);
  world.store<u8>(0x2080, 7);
  using List = std::vector<std::pair<u64, u64>>;
  CHECK(world.notes.written == List{{0x203c, 8}, {0x2080, 1}});
  world.space->clear_code({0x2050}, 1);
  world.store<u8>(0x2050, 1);
  CHECK(world.notes.written.size() == 2);
  CHECK(world.mmu.table()->for_write(0x2050, 1) == nullptr);
  world.space->clear_code({0x2000}, kPageSize);
  world.store<u8>(0x2040, 1);
  CHECK(world.notes.written.size() == 2);
  CHECK(world.mmu.table()->for_write(0x2040, 1) != nullptr);
}

TEST_CASE("The store filter lets pass what hits no code and nothing but code is tracked for") {
  World world;
  world.store<u8>(0x2000, 1);
  mmu::StoreFilter filter = world.space->store_filter();
  auto harmless = [&](u64 linear, u32 size) {
    u8* host = filter.harmless(*world.mmu.table(), linear, size);
    CHECK((host == nullptr || host == world.space->ram() + linear));
    return host != nullptr;
  };
  CHECK(!harmless(0x2000, 1));  // a plain page is not its affair
  world.space->mark_code({0x2043}, 2);
  for (u32 size : {1u, 2u, 4u, 8u, 16u, 32u}) {
    CHECK(harmless(0x2043 - size, size));
    CHECK(!harmless(0x2044 - size, size));
    CHECK(!harmless(0x2044, size));
    CHECK(harmless(0x2045, size));
    CHECK(harmless(0x3000 - size, size));
  }
  CHECK(!harmless(0x2ffd, 4));
  CHECK(!harmless(0x4000, 4));  // not in the view
  world.space->start_dirty_log();
  CHECK(!harmless(0x2100, 4));
}

}  // namespace
TEST_CASE("Accesses across two pages that were seen before need no walk, whatever their split") {
  World world;
  Tables tables(world, 0x100000);
  tables.map(0x5000, 0x7000 | kP | kRw | kA | kD);
  tables.map(0x6000, 0x9000 | kP | kRw | kA | kD);
  world.use(long_mode(tables.root));
  world.store<u8>(0x5000, 0);
  world.store<u8>(0x6000, 0);
  Mmu::Counters before = world.mmu.counters();
  for (u32 first = 1; first < 32; ++first) {
    u8 bytes[32], read[32] = {}, again[32] = {};
    for (u32 i = 0; i < 32; ++i) bytes[i] = static_cast<u8>(first * 37 + i + 1);
    u64 linear = 0x6000 - first;
    REQUIRE(world.mmu.write(linear, bytes, 32, Privilege::Current));
    CHECK(std::memcmp(world.space->ram() + 0x8000 - first, bytes, first) == 0);
    CHECK(std::memcmp(world.space->ram() + 0x9000, bytes + first, 32 - first) == 0);
    REQUIRE(world.mmu.read(linear, read, 32, Privilege::Current));
    REQUIRE(world.mmu.read_for_write(linear, again, 32));
    CHECK(std::memcmp(read, bytes, 32) == 0);
    CHECK(std::memcmp(again, bytes, 32) == 0);
  }
  CHECK(world.ram<u8>(0x9020) == 0);
  CHECK(world.mmu.counters().slow_reads == before.slow_reads);
  CHECK(world.mmu.counters().slow_writes == before.slow_writes);
}

}  // namespace penumbra::mmu::test
