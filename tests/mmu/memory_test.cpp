// Physical memory: slots, ROM, A20, code lines, the dirty log, and accesses that span pages.
#include "tests/mmu/world.h"

namespace penumbra::mmu::test {
namespace {

constexpr u64 kRoot = 0x100000;
constexpr u64 kAll = kP | kRw | kUs;
using Notices = std::vector<std::pair<u64, u64>>;

TEST_CASE("Impossible sizes are refused with one line") {
  for (u64 size : {0ull, 4095ull, 1ull << 62}) {
    auto space = AddressSpace::create(size);
    REQUIRE(!space);
    CHECK(space.error().find('\n') == std::string::npos);
    CHECK(!space.error().empty());
  }
}

TEST_CASE("Reads and writes of physical memory span slots and holes") {
  World world;
  std::vector<u8> bytes(8192, 0x77);
  world.space->write({kRam - 4096}, bytes.data(), bytes.size());
  CHECK(world.ram<u8>(kRam - 1) == 0x77);
  CHECK(world.ram<u8>(kRam) == 0);
  std::vector<u8> back(8192);
  world.space->read({kRam - 4096}, back.data(), back.size());
  CHECK(back[4095] == 0x77);
  CHECK(back[4096] == 0xff);
  CHECK(world.space->host({kRam}) == nullptr);
  CHECK(world.space->host({~0ull}) == nullptr);
  CHECK(world.space->host({kRomAt + 3}) == world.space->ram() + kRam + 3);
  world.poke<u8>(kRomAt, 1);
  CHECK(world.ram<u8>(kRam) == 0);
}

TEST_CASE("Slots are replaced and cut by later ones") {
  World world;
  world.store<u8>(0x5000, 1);
  world.space->map({0x5000}, 0x1000, 0x700000, AddressSpace::SlotKind::Rom);
  CHECK(world.load<u8>(0x5000) == 0);
  world.store<u8>(0x5000, 5);
  CHECK(world.load<u8>(0x5000) == 0);
  CHECK(world.load<u8>(0x4fff) == 0);
  world.space->unmap({0x4000}, 0x2000);
  CHECK(world.space->host({0x4000}) == nullptr);
  CHECK(world.space->host({0x3fff}) != nullptr);
  CHECK(world.space->host({0x6000}) == world.space->ram() + 0x6000);
  CHECK(!world.mmu.load<u8>(0x5000));
  world.space->map({0x5000}, 0x1000, 0x5000, AddressSpace::SlotKind::Ram);
  CHECK(world.load<u8>(0x5000) == 1);
}

TEST_CASE("A20 wraps, for accesses, tables and DMA") {
  World world;
  world.store<u8>(0x5000, 1);
  world.store<u8>(0x105000, 2);
  world.space->set_a20(false);
  CHECK(!world.space->a20());
  CHECK(world.load<u8>(0x105000) == 1);
  world.store<u8>(0x305000, 3);
  CHECK(world.ram<u8>(0x205000) == 3);
  CHECK(world.mmu.fetch(0x105000)->value == 0x5000);
  world.poke<u8>(0x105001, 4);
  CHECK(world.ram<u8>(0x5001) == 4);
  world.space->set_a20(true);
  CHECK(world.load<u8>(0x105000) == 2);
}

TEST_CASE("A store to code through an alias tells the address that the code has") {
  World world;
  world.space->mark_code({kAliasAt + 0x40}, 4);
  world.store<u32>(kAliasOf + 0x40, 1);
  CHECK(world.notes.written == Notices{{kAliasOf + 0x40, 4}, {kAliasAt + 0x40, 4}});
  world.notes.written.clear();
  world.poke<u32>(kAliasOf + 0x3e, 1);
  CHECK(world.notes.written.size() == 2);
}

TEST_CASE("A store that spans pages meets the facts of both") {
  World world;
  world.space->mark_code({0x3000}, 1);
  world.store<u64>(0x2ffc, ~0ull);
  CHECK(world.notes.written == Notices{{0x3000, 4}});
  world.notes.written.clear();
  world.space->mark_code({0x2fff}, 1);
  world.store<u64>(0x2ffc, 0);
  CHECK(world.notes.written == Notices{{0x2ffc, 4}, {0x3000, 4}});
}

TEST_CASE("Code that is remapped is told to the observer") {
  World world;
  world.space->mark_code({0x5010}, 4);
  world.space->map({0x4000}, 0x4000, 0x700000, AddressSpace::SlotKind::Ram);
  CHECK(world.notes.written == Notices{{0x5000, 0x1000}});
}

TEST_CASE("RAM replaced behind the tracking drops translations and code") {
  World world;
  Tables tables(world, kRoot);
  u64 entry = tables.map(0x5000, 0x7000 | kAll);
  world.use(long_mode(kRoot));
  world.store<u8>(0x5000, 1);
  world.space->mark_code({0x9000}, 1);
  store_to<u64>(world.space->ram() + entry, 0x8000 | kAll);
  world.space->ram_replaced();
  world.store<u8>(0x5000, 2);
  CHECK(world.ram<u8>(0x8000) == 2);
  CHECK(world.notes.written == Notices{{0x9000, 0x1000}});
}

std::vector<u64> dirty_pages(AddressSpace& space) {
  std::vector<u64> words = space.collect_dirty(), pages;
  for (u64 page = 0; page < words.size() * 64; ++page)
    if (words[page / 64] >> (page % 64) & 1) pages.push_back(page);
  return pages;
}

TEST_CASE("The dirty log names exactly the pages that were stored to") {
  World world;
  Tables tables(world, kRoot);
  u64 entry = tables.map(0x5000, 0x7000 | kAll | kA);
  for (unsigned level = 2; level <= 4; ++level) {
    u64 at = tables.entry_at(0x5000, level);
    world.poke<u64>(at, world.ram<u64>(at) | kA);
  }
  tables.map(0x6000, 0x8000 | kAll | kA);
  world.use(long_mode(kRoot));
  CHECK(dirty_pages(*world.space).empty());
  world.space->start_dirty_log();
  CHECK(dirty_pages(*world.space).empty());
  world.load<u8>(0x5000);
  CHECK(dirty_pages(*world.space).empty());
  for (unsigned round = 0; round < 3; ++round) {
    world.store<u8>(0x5000, 1);
    world.store<u8>(0x5001, 1);
    CHECK(world.mmu.table()->for_write(0x5002, 1) != nullptr);
    auto expected = std::vector<u64>{0x7};
    if (round == 0) expected.push_back(entry >> 12);  // the D flag
    CHECK(dirty_pages(*world.space) == expected);
    CHECK(world.mmu.table()->for_write(0x5002, 1) == nullptr);
  }
  world.poke<u8>(0x9000, 1);
  u32 length;
  REQUIRE(*world.mmu.span(0x6000, Access::Write, Privilege::Current, length) != nullptr);
  CHECK(dirty_pages(*world.space) == std::vector<u64>{0x8, 0x9, entry >> 12});
  world.space->stop_dirty_log();
  world.store<u8>(0x5000, 1);
  CHECK(world.mmu.table()->for_write(0x5002, 1) != nullptr);
  CHECK(dirty_pages(*world.space).empty());
}

TEST_CASE("Bulk spans end at the page and refuse what is not plain") {
  World world;
  u32 length = 0;
  CHECK(*world.mmu.span(0x5010, Access::Read, Privilege::Current, length) ==
        world.space->ram() + 0x5010);
  CHECK(length == 0xff0);
  world.space->mark_code({0x5200}, 100);
  CHECK(*world.mmu.span(0x5210, Access::Write, Privilege::Current, length) == nullptr);
  CHECK(*world.mmu.span(0x5110, Access::Write, Privilege::Current, length) != nullptr);
  CHECK(length == 0xf0);
  CHECK(*world.mmu.span(0x5280, Access::Write, Privilege::Current, length) != nullptr);
  CHECK(length == 0xd80);
  CHECK(*world.mmu.span(0x5010, Access::Read, Privilege::Current, length) != nullptr);
  CHECK(*world.mmu.span(kRomAt, Access::Write, Privilege::Current, length) == nullptr);
  CHECK(*world.mmu.span(kHole, Access::Read, Privilege::Current, length) == nullptr);
  world.use(long_mode(kRoot));
  CHECK(world.mmu.span(0x5010, Access::Read, Privilege::Current, length).error() ==
        Fault::page(0x5010, 0));
}

TEST_CASE("A page table that is written in bulk stops being one") {
  World world;
  Tables tables(world, kRoot);
  u64 entry = tables.map(0x5000, 0x7000 | kAll);
  tables.map(0x40000000, page_of(entry) | kAll);
  world.use(long_mode(kRoot));
  world.store<u8>(0x5000, 1);
  u32 length = 0;
  auto span = world.mmu.span(0x40000000, Access::Write, Privilege::Current, length);
  REQUIRE(span);
  REQUIRE(*span == world.space->ram() + page_of(entry));
  CHECK(length == 4096);
  store_to<u64>(*span + (entry & 0xfff), 0x8000 | kAll);
  world.store<u8>(0x5000, 2);
  CHECK(world.ram<u8>(0x8000) == 2);
  world.store<u64>(0x40000000 + (entry & 0xfff), 0x9000 | kAll);
  world.store<u8>(0x5000, 3);
  CHECK(world.ram<u8>(0x9000) == 3);
}

// -- MMIO ----------------------------------------------------------------------------------------

struct Device {
  ExternalBuffer& buffer;
  std::vector<ExternalAccess> seen;

  /// Runs an instruction to its end, answering each device access with its low address bits.
  template <class F>
  auto run(F instruction) {
    buffer.clear();
    for (;;) {
      buffer.rewind();
      auto result = instruction();
      if (result || result.error().kind != Fault::Kind::External) return result;
      seen.push_back(buffer.pending());
      buffer.complete(buffer.pending().address & 0xff);
    }
  }
  std::vector<std::pair<u64, u32>> fragments() const {
    std::vector<std::pair<u64, u32>> list;
    for (const ExternalAccess& access : seen) list.push_back({access.address, access.size});
    return list;
  }
};
using Fragments = std::vector<std::pair<u64, u32>>;

TEST_CASE("Device accesses are aligned fragments, each performed once") {
  World world;
  Device device{world.external, {}};
  SECTION("an aligned access is one fragment") {
    auto value = device.run([&] { return world.mmu.load<u32>(kHole + 0x20); });
    CHECK(*value == 0x20);
    CHECK(device.fragments() == Fragments{{kHole + 0x20, 4}});
  }
  SECTION("a misaligned one is split") {
    auto value = device.run([&] { return world.mmu.load<u64>(kHole + 3); });
    CHECK(device.fragments() ==
          Fragments{{kHole + 3, 1}, {kHole + 4, 4}, {kHole + 8, 2}, {kHole + 10, 1}});
    CHECK(*value == 0x0a'0008'00000004'03);
  }
  SECTION("vectors go by eight bytes") {
    u8 bytes[16];
    auto done = device.run([&] { return world.mmu.read(kHole, bytes, 16, Privilege::Current); });
    CHECK(done.has_value());
    CHECK(device.fragments() == Fragments{{kHole, 8}, {kHole + 8, 8}});
  }
  SECTION("stores carry their bytes") {
    auto done = device.run([&] { return world.mmu.store<u32>(kHole + 2, 0x44332211); });
    CHECK(done.has_value());
    CHECK(device.fragments() == Fragments{{kHole + 2, 2}, {kHole + 4, 2}});
    CHECK(device.seen[0].data == 0x2211);
    CHECK(device.seen[1].data == 0x4433);
  }
}

TEST_CASE("An access half in RAM and half in a device touches RAM only when it completes") {
  World world;
  Device device{world.external, {}};
  u64 at = kRam - 2;
  world.space->ram()[at] = 0x11;
  unsigned runs = 0;
  auto add = [&]() -> Expected<> {
    ++runs;
    u32 value;
    TRY(world.mmu.read_for_write(at, &value, 4));
    value += 0x01010101;
    return world.mmu.write(at, &value, 4, Privilege::Current);
  };
  CHECK(device.run(add).has_value());
  CHECK(runs == 3);
  CHECK(device.fragments() == Fragments{{kRam, 2}, {kRam, 2}});
  CHECK(world.ram<u8>(at) == 0x12);
  CHECK(device.seen[1].data == 0x0101);
}

TEST_CASE("Fetches from devices and holes raise general protection") {
  World world;
  CHECK(world.mmu.fetch(kHole).error() == Fault::gp());
  CHECK(world.mmu.fetch(kRomAt)->value == kRomAt);
  CHECK(world.mmu.table()->for_execute(kRomAt) == world.space->ram() + kRam);
  CHECK(world.mmu.table()->for_write(kRomAt, 1) == nullptr);
}

TEST_CASE("A fault on the second page leaves the first untouched") {
  World world;
  Tables tables(world, kRoot);
  tables.map(0x5000, 0x7000 | kAll);
  tables.map(0x6000, 0x8000 | kP | kUs);
  tables.map(0xffffffffffffe000, 0x9000 | kAll);
  world.use(long_mode(kRoot, 3));
  store_to<u32>(world.space->ram() + 0x7ffc, 0x12345678);
  CHECK(world.mmu.store<u64>(0x5ffc, 0).error() == Fault::page(0x6000, 7));
  CHECK(world.ram<u32>(0x7ffc) == 0x12345678);
  u64 value;
  CHECK(world.mmu.read_for_write(0x5ffc, &value, 8).error() == Fault::page(0x6000, 7));
  CHECK(world.mmu.probe(0x5ffc, 8, Access::Write, Privilege::Current).error() ==
        Fault::page(0x6000, 7));
  CHECK(world.load<u64>(0x5ffc) == 0x12345678);
  CHECK(world.mmu.load<u64>(0x4ffc).error() == Fault::page(0x4ffc, 4));
  CHECK(world.mmu.load<u64>(0xffffffffffffeffc).error() == Fault::page(0xfffffffffffff000, 4));
}

TEST_CASE("Linear addresses wrap at 4 GiB outside long mode") {
  World world;
  world.poke<u32>(kRoot, 0x101000 | kAll);
  world.poke<u32>(0x101000, 0x7000 | kAll);
  world.poke<u32>(kRoot + 1023 * 4, 0x102000 | kAll);
  world.poke<u32>(0x102000 + 1023 * 4, 0x8000 | kAll);
  world.use(mode_32(kRoot));
  world.store<u64>(0xfffffffc, 0x1122334455667788);
  CHECK(world.ram<u32>(0x8ffc) == 0x55667788);
  CHECK(world.ram<u32>(0x7000) == 0x11223344);
  CHECK(world.load<u64>(0xfffffffc) == 0x1122334455667788);
  CHECK(world.load<u32>(0x100000000) == 0x11223344);
}

}  // namespace
}  // namespace penumbra::mmu::test
