// Tables of (mode, entries, access) -> (physical address or page-fault error code), by hand from
// SDM 3A chapter 4: one row, one rule.
#include <initializer_list>

#include "tests/mmu/world.h"

namespace penumbra::mmu::test {
namespace {

constexpr u64 kRoot = 0x100000, kTable3 = 0x101000, kTable2 = 0x102000, kTable1 = 0x103000;
constexpr u64 kAll = kP | kRw | kUs;
constexpr i64 kOk = -1;

struct Row {
  const char* rule;
  u64 leaf;  ///< the entry under test, the others allow everything
  Access access;
  u8 cpl;
  i64 code;  ///< kOk or the error code
};

void check(World& world, u64 linear, const Row& row) {
  INFO(row.rule);
  auto result = world.mmu.probe(linear, 1, row.access, Privilege::Current);
  if (row.code == kOk) {
    CHECK(result.has_value());
  } else {
    REQUIRE(!result);
    CHECK(result.error() == Fault::page(linear, static_cast<u32>(row.code)));
  }
}

/// Runs each row in a fresh world with `mode`, the leaf at `leaf_at` (4 or 8 bytes).
void check_rows(const PagingContext& mode, std::initializer_list<std::pair<u64, u64>> upper,
                u64 leaf_at, u64 linear, std::initializer_list<Row> rows) {
  bool wide = mode.cr4 & kPae;
  for (const Row& row : rows) {
    World world;
    auto poke = [&](u64 at, u64 value) {
      wide ? world.poke<u64>(at, value) : world.poke<u32>(at, static_cast<u32>(value));
    };
    for (auto [at, value] : upper) poke(at, value);
    poke(leaf_at, row.leaf);
    PagingContext context = mode;
    context.cpl = row.cpl;
    world.use(context);
    check(world, linear, row);
  }
}

using enum Access;

TEST_CASE("32-bit paging: rights, error codes, reserved bits") {
  constexpr u64 linear = 0x00c03123;
  auto upper = {std::pair<u64, u64>{kRoot + 3 * 4, kTable1 | kAll}};
  check_rows(mode_32(kRoot), upper, kTable1 + 3 * 4, linear,
             {{"user reads", 0x5000 | kP | kUs, Read, 3, kOk},
              {"user may not write a read-only page", 0x5000 | kP | kUs, Write, 3, 7},
              {"user may not read a supervisor page", 0x5000 | kP | kRw, Read, 3, 5},
              {"not present, read by user", 0x5000, Read, 3, 4},
              {"not present, written by supervisor", 0, Write, 0, 2},
              {"WP stops supervisor writes", 0x5000 | kP | kUs, Write, 0, 3},
              {"without NXE and SMEP the fetch bit stays 0", 0, Execute, 3, 4},
              {"bit 7 of a PTE is PAT", 0x5000 | kAll | kPs, Read, 3, kOk}});
  PagingContext relaxed = mode_32(kRoot);
  relaxed.cr0 &= ~kWp;
  check_rows(relaxed, upper, kTable1 + 3 * 4, linear,
             {{"without WP supervisor writes anything", 0x5000 | kP | kUs, Write, 0, kOk},
              {"WP does not concern users", 0x5000 | kP | kUs, Write, 3, 7}});
  PagingContext smep = mode_32(kRoot);
  smep.cr4 |= kSmep;
  check_rows(smep, upper, kTable1 + 3 * 4, linear,
             {{"SMEP stops supervisor fetches from user pages", 0x5000 | kAll, Execute, 0, 0x11},
              {"SMEP makes the fetch bit appear", 0, Execute, 3, 0x14},
              {"SMEP leaves reads alone", 0x5000 | kAll, Read, 0, kOk}});
  check_rows(
      mode_32(kRoot), {}, kRoot + 3 * 4, linear,
      {{"4-MByte page", 0x400000 | kAll | kPs, Write, 3, kOk},
       {"PSE-36: bit 20 is address bit 39", 0x500000 | kAll | kPs, Read, 3, kOk},
       {"bit 21 of a 4-MByte PDE is reserved", 0x600000 | kAll | kPs, Read, 3, 13},
       {"reserved bits of a page that is not present do not count", 0x200000 | kPs, Read, 0, 0}});
}

TEST_CASE("PAE paging: 64-bit entries, NX, reserved bits") {
  constexpr u64 linear = 0x40603123;  // PDPTE 1, PDE 3, PTE 3
  auto upper = {std::pair<u64, u64>{kRoot + 8, kTable2 | kP},
                std::pair<u64, u64>{kTable2 + 3 * 8, kTable1 | kAll}};
  check_rows(pae_mode(kRoot), upper, kTable1 + 3 * 8, linear,
             {{"user writes", 0x5000 | kAll, Write, 3, kOk},
              {"NX stops fetches", 0x5000 | kAll | kNx, Execute, 3, 0x15},
              {"NX leaves reads alone", 0x5000 | kAll | kNx, Read, 3, kOk},
              {"bits 62:52 are reserved", 0x5000 | kAll | 1ull << 52, Read, 0, 9},
              {"bit 40 is reserved (MAXPHYADDR 40)", 0x5000 | kAll | 1ull << 40, Write, 3, 15},
              {"bit 39 is an address bit", 0x5000 | kAll | 1ull << 39, Read, 3, kOk}});
  PagingContext no_nx = pae_mode(kRoot);
  no_nx.efer = 0;
  check_rows(no_nx, upper, kTable1 + 3 * 8, linear,
             {{"without NXE bit 63 is reserved", 0x5000 | kAll | kNx, Read, 3, 13},
              {"without NXE no fetch bit", 0x5000 | kP, Execute, 3, 5}});
  auto pdpte = {std::pair<u64, u64>{kRoot + 8, kTable2 | kP}};
  check_rows(pae_mode(kRoot), pdpte, kTable2 + 3 * 8, linear,
             {{"2-MByte page", 0x200000 | kAll | kPs, Read, 3, kOk},
              {"bits 20:13 of a 2-MByte PDE are reserved", 0x202000 | kAll | kPs, Read, 3, 13},
              {"bit 12 of a 2-MByte PDE is PAT", 0x201000 | kAll | kPs, Read, 3, kOk}});
  check_rows(pae_mode(kRoot), {}, kRoot + 8, linear,
             {{"PDPTE not present", kTable2, Write, 3, 6},
              {"bit 1 of a PDPTE is reserved", kTable2 | kP | kRw, Read, 0, 9}});
}

TEST_CASE("4-level paging: large pages, reserved bits, SMEP, SMAP, keys") {
  constexpr u64 linear = 0xffffff8040603123;  // 511, 1, 3, 3
  constexpr u64 at4 = kRoot + 511 * 8, at3 = kTable3 + 8, at2 = kTable2 + 24, at1 = kTable1 + 24;
  using List = std::initializer_list<std::pair<u64, u64>>;
  List upper1 = {{at4, kTable3 | kAll}, {at3, kTable2 | kAll}, {at2, kTable1 | kAll}};
  PagingContext mode = long_mode(kRoot);
  check_rows(mode, upper1, at1, linear,
             {{"user writes", 0x5000 | kAll, Write, 3, kOk},
              {"bits 62:52 are ignored", 0x5000 | kAll | 0x7ffull << 52, Write, 3, kOk},
              {"bits 51:40 are reserved", 0x5000 | kAll | 1ull << 51, Read, 3, 13},
              {"a reserved bit comes before rights", 0x5000 | kP | 1ull << 45, Write, 3, 15},
              {"supervisor fetches user pages without SMEP", 0x5000 | kAll, Execute, 0, kOk},
              {"NX", 0x5000 | kAll | kNx, Execute, 0, 0x11}});
  List upper2 = {{at4, kTable3 | kAll}, {at3, kTable2 | kAll}};
  check_rows(mode, upper2, at2, linear,
             {{"2-MByte page", 0x200000 | kAll | kPs, Write, 3, kOk},
              {"bit 13 of a 2-MByte PDE", 0x202000 | kAll | kPs, Read, 0, 9},
              {"not present in the middle", kTable1, Read, 3, 4},
              {"a reserved bit in the middle", kTable1 | kAll | 1ull << 41, Read, 0, 9},
              {"a table in a hole reads as ones", kHole | kAll, Read, 0, 9}});
  List upper3 = {{at4, kTable3 | kAll}};
  check_rows(mode, upper3, at3, linear,
             {{"1-GByte page", kAll | kPs, Write, 3, kOk},
              {"bit 29 of a 1-GByte PDPTE", 0x20000000 | kAll | kPs, Read, 3, 13},
              {"bit 12 of a 1-GByte PDPTE is PAT", 0x1000 | kAll | kPs, Read, 3, kOk}});
  check_rows(mode, {}, at4, linear,
             {{"PS of a PML4E is reserved", kTable3 | kAll | kPs, Read, 0, 9}});

  PagingContext smap = mode;
  smap.cr4 |= kSmap | kSmep;
  check_rows(smap, upper1, at1, linear,
             {{"SMAP stops supervisor reads of user pages", 0x5000 | kAll, Read, 0, 1},
              {"SMAP stops supervisor writes", 0x5000 | kAll, Write, 0, 3},
              {"SMEP stops fetches", 0x5000 | kAll, Execute, 0, 0x11},
              {"supervisor pages are fine", 0x5000 | kP | kRw, Write, 0, kOk},
              {"users are fine", 0x5000 | kAll, Read, 3, kOk}});
  smap.ac = true;
  check_rows(smap, upper1, at1, linear,
             {{"AC lifts SMAP for reads", 0x5000 | kAll, Read, 0, kOk},
              {"AC lifts SMAP for writes, WP stays", 0x5000 | kP | kUs, Write, 0, 3},
              {"AC does not lift SMEP", 0x5000 | kAll, Execute, 0, 0x11}});

  PagingContext keys = mode;
  keys.cr4 |= 1ull << 22;
  keys.pkru = 1 << (2 * 3) | 2 << (2 * 5);
  check_rows(keys, upper1, at1, linear,
             {{"AD of key 3", 0x5000 | kAll | 3ull << 59, Read, 3, 0x25},
              {"AD of key 3 concerns supervisors", 0x5000 | kAll | 3ull << 59, Read, 0, 0x21},
              {"keys do not concern fetches", 0x5000 | kAll | 3ull << 59, Execute, 3, kOk},
              {"keys do not concern supervisor pages", 0x5000 | kP | 3ull << 59, Read, 0, kOk},
              {"WD of key 5 stops writes", 0x5000 | kAll | 5ull << 59, Write, 3, 0x27},
              {"WD of key 5 allows reads", 0x5000 | kAll | 5ull << 59, Read, 3, kOk}});
}

TEST_CASE("Rights combine over the levels") {
  constexpr u64 at4 = kRoot, at3 = kTable3, at2 = kTable2, at1 = kTable1 + 5 * 8;
  for (u64 taken : {kRw, kUs}) {
    for (unsigned level = 1; level <= 4; ++level) {
      INFO("level " << level << " without " << taken);
      World world;
      auto put = [&](u64 at, u64 entry, unsigned l) {
        world.poke<u64>(at, l == level ? entry & ~taken : entry);
      };
      put(at4, kTable3 | kAll, 4);
      put(at3, kTable2 | kAll, 3);
      put(at2, kTable1 | kAll, 2);
      put(at1, 0x5000 | kAll, 1);
      world.use(long_mode(kRoot, 3));
      CHECK(world.fault_code(0x5000, Write) == 7);
      CHECK(world.mmu.probe(0x5000, 1, Read, Privilege::Current).has_value() == (taken == kRw));
    }
  }
}

TEST_CASE("Large pages translate every offset") {
  World world;
  world.poke<u64>(kRoot, kTable3 | kAll);
  world.poke<u64>(kTable3, kAll | kPs);
  world.use(long_mode(kRoot));
  GuestPhys physical;
  REQUIRE(world.mmu.peek(0x3fffffff, physical));
  CHECK(physical.value == 0x3fffffff);
  world.store<u32>(0x7ffff0, 77);
  CHECK(world.ram<u32>(0x7ffff0) == 77);
  CHECK(world.ram<u64>(kTable3) == (kAll | kPs | kA | kD));
  CHECK(world.ram<u64>(kRoot) == (kTable3 | kAll | kA));
  CHECK(world.mmu.table()->for_write(0x7ffff0, 4) == world.space->ram() + 0x7ffff0);
  CHECK(world.mmu.table()->for_write(0x7fe000, 4) == nullptr);
}

TEST_CASE("PSE-36 reaches physical addresses above 4 GiB") {
  World world;
  world.space->map({0x1200000000}, 4096, 0x6000, AddressSpace::SlotKind::Ram);
  world.poke<u32>(kRoot + 4, 0x12 << 13 | kAll | kPs);
  world.use(mode_32(kRoot));
  world.store<u32>(0x400010, 0xcafe);
  CHECK(world.ram<u32>(0x6010) == 0xcafe);
  CHECK(world.ram<u32>(kRoot + 4) == (0x12 << 13 | kAll | kPs | kA | kD));
}

TEST_CASE("PDPTE registers are loaded with CR3, not read by each walk") {
  World world;
  world.poke<u64>(kRoot, kTable2 | kP);
  world.poke<u64>(kTable2, kTable1 | kAll);
  world.poke<u64>(kTable1, 0x5000 | kAll);
  world.poke<u64>(0x104000, 0x105000 | kAll);
  world.poke<u64>(0x105000, 0x6000 | kAll);
  world.use(pae_mode(kRoot));
  world.store<u8>(0, 1);
  world.poke<u64>(kRoot, 0x104000 | kP);
  world.store<u8>(1, 2);
  CHECK(world.ram<u8>(0x5001) == 2);
  SECTION("MOV to CR3") { world.mmu.write_cr3(kRoot); }
  SECTION("a change of CR4.PGE") {
    world.with([](PagingContext& c) { c.cr4 ^= kPge; });
  }
  SECTION("entering PAE paging") {
    world.with([](PagingContext& c) { c.cr0 &= ~kPg; });
    world.with([](PagingContext& c) { c.cr0 |= kPg; });
  }
  world.store<u8>(2, 3);
  CHECK(world.ram<u8>(0x6002) == 3);
  world.with([](PagingContext& c) { c.cpl = 3; });
  world.poke<u64>(kRoot, 0);
  world.store<u8>(3, 4);
  CHECK(world.ram<u8>(0x6003) == 4);
}

TEST_CASE("Five levels work, should a model ever offer them") {
  World world;
  constexpr u64 linear = 0xff12345678abc000;
  u64 table = kRoot;
  for (unsigned shift : {48, 39, 30, 21, 12}) {
    u64 next = shift == 12 ? 0x7000 : table + 0x1000;
    world.poke<u64>(table + ((linear >> shift) & 511) * 8, next | kAll);
    table = next;
  }
  PagingContext context = long_mode(kRoot);
  context.cr4 |= 1ull << 12;
  world.use(context);
  world.store<u64>(linear, 5);
  CHECK(world.ram<u64>(0x7000) == 5);
  world.with([](PagingContext& c) { c.cr4 &= ~(1ull << 12); });
  CHECK(world.mmu.load<u8>(linear).error() == Fault::gp());
}

TEST_CASE("Flags are set only by accesses that complete") {
  World world;
  Tables tables(world, kRoot);
  u64 first = tables.map(0x5000, 0x7000 | kP | kRw);
  u64 second = tables.map(0x6000, 0x8000 | kP);
  world.use(long_mode(kRoot));
  CHECK(!world.mmu.store<u64>(0x5ffc, 0));
  CHECK(world.ram<u64>(first) == (0x7000 | kP | kRw));
  CHECK(world.ram<u64>(second) == (0x8000 | kP));
  CHECK(world.ram<u64>(kRoot) % 0x1000 == kAll);
  world.load<u64>(0x5ffc);
  CHECK(world.ram<u64>(first) == (0x7000 | kP | kRw | kA));
  CHECK(world.ram<u64>(second) == (0x8000 | kP | kA));
  CHECK(world.ram<u64>(kRoot) % 0x1000 == (kAll | kA));
}

TEST_CASE("The guest clears A and D and sees them come back") {
  World world;
  Tables tables(world, kRoot);
  u64 entry = tables.map(0x5000, 0x7000 | kP | kRw);
  world.use(long_mode(kRoot));
  world.store<u8>(0x5000, 1);
  world.poke<u64>(entry, 0x7000 | kP | kRw);
  world.load<u8>(0x5000);
  CHECK(world.ram<u64>(entry) == (0x7000 | kP | kRw | kA));
  world.store<u8>(0x5000, 1);
  CHECK(world.ram<u64>(entry) == (0x7000 | kP | kRw | kA | kD));
  u64 upper = tables.entry_at(0x5000, 3);
  world.poke<u64>(upper, world.ram<u64>(upper) & ~kA);
  world.load<u8>(0x5000);
  CHECK((world.ram<u64>(upper) & kA));
}

TEST_CASE("Implicit accesses are supervisor accesses without EFLAGS.AC") {
  World world;
  Tables tables(world, kRoot);
  tables.map(0x5000, 0x7000 | kP | kRw);
  tables.map(0x6000, 0x8000 | kAll);
  world.use(long_mode(kRoot, 3));
  CHECK(world.mmu.load<u8>(0x5000, Privilege::Implicit).has_value());
  CHECK(world.mmu.load<u8>(0x5000).error() == Fault::page(0x5000, 5));
  world.with([](PagingContext& c) { c.cr4 |= kSmap, c.ac = true; });
  CHECK(world.mmu.load<u8>(0x6000, Privilege::Implicit).error() == Fault::page(0x6000, 1));
  CHECK(world.mmu.load<u8>(0x6000).has_value());
  world.with([](PagingContext& c) { c.cpl = 0; });
  CHECK(world.mmu.load<u8>(0x6000).has_value());
  CHECK(world.mmu.load<u8>(0x6000, Privilege::Implicit).error() == Fault::page(0x6000, 1));
}

TEST_CASE("Alignment is checked at CPL 3 with AM and AC") {
  World world;
  Tables tables(world, kRoot);
  tables.map(0x5000, 0x7000 | kAll);
  PagingContext context = long_mode(kRoot, 3);
  context.cr0 |= kAm;
  context.ac = true;
  world.use(context);
  for (u32 size : {2u, 4u, 8u, 16u, 32u}) {
    u32 alignment = std::min(size, 16u);
    std::vector<u8> bytes(size);
    auto at = [&](u64 a) { return world.mmu.read(a, bytes.data(), size, Privilege::Current); };
    CHECK(at(0x5000 + alignment).has_value());
    CHECK(at(0x5000 + alignment).has_value());
    CHECK(at(0x5000 + alignment / 2).error() == Fault::of(Vector::Ac));
    CHECK(world.mmu.write(0x5001, bytes.data(), size, Privilege::Current).error() ==
          Fault::of(Vector::Ac));
    CHECK(world.mmu.read_for_write(0x5001, bytes.data(), size).error() == Fault::of(Vector::Ac));
  }
  CHECK(world.mmu.load<u32>(0x9001).error() == Fault::of(Vector::Ac));  // before #PF
  CHECK(world.mmu.table()->for_read(0x5008, 8) == nullptr);
  CHECK(world.mmu.fetch(0x5001)->value == 0x7001);
  CHECK(world.mmu.table()->for_execute(0x5001) != nullptr);
  u32 length;
  CHECK(*world.mmu.span(0x5000, Read, Privilege::Current, length) == nullptr);
  CHECK(world.mmu.read(0x5001, &length, 4, Privilege::Implicit).has_value());
  world.with([](PagingContext& c) { c.ac = false; });
  CHECK(world.load<u32>(0x5001) == 0);
}

}  // namespace
}  // namespace penumbra::mmu::test
