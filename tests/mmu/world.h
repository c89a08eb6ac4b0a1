// A small machine for MMU tests: RAM, a ROM, holes, one Mmu, and a guest that builds page tables.
//
// Physical layout: RAM at [0, 8 MiB), ROM (RAM file 8..8.25 MiB) at 0xfffc0000, an alias of the
// RAM file's second MiB at 0x20000000; everything else is a hole.
#pragma once

#include <catch2/catch.hpp>
#include <map>
#include <vector>

#include "mmu/mmu.h"

namespace penumbra::mmu::test {

constexpr u64 kRam = 8 << 20, kRomSize = 256 << 10;
constexpr u64 kRomAt = 0xfffc0000, kAliasAt = 0x20000000, kAliasOf = 1 << 20;
constexpr u64 kHole = 0xfee00000;

/// Control register bits, written down again from the manual.
constexpr u64 kPe = 1ull, kWp = 1ull << 16, kAm = 1ull << 18, kPg = 1ull << 31;
constexpr u64 kPse = 1ull << 4, kPae = 1ull << 5, kPge = 1ull << 7, kPcide = 1ull << 17,
              kSmep = 1ull << 20, kSmap = 1ull << 21;
constexpr u64 kLme = 1ull << 8, kLma = 1ull << 10, kNxe = 1ull << 11;
constexpr u64 kP = 1, kRw = 2, kUs = 4, kA = 0x20, kD = 0x40, kPs = 0x80, kG = 0x100,
              kNx = 1ull << 63;

struct Notes : CodeObserver {
  std::vector<std::pair<u64, u64>> written;
  void code_written(GuestPhys address, u64 size) override {
    written.push_back({address.value, size});
  }
};

struct World {
  std::unique_ptr<AddressSpace> space = AddressSpace::create(kRam + kRomSize).value();
  ExternalBuffer external;
  Notes notes;
  Mmu mmu;
  PagingContext context;

  World() : mmu(map_slots(*space), external) { space->set_code_observer(&notes); }

  static AddressSpace& map_slots(AddressSpace& space) {
    space.map({0}, kRam, 0, AddressSpace::SlotKind::Ram);
    space.map({kRomAt}, kRomSize, kRam, AddressSpace::SlotKind::Rom);
    space.map({kAliasAt}, 1 << 20, kAliasOf, AddressSpace::SlotKind::Ram);
    return space;
  }

  void use(PagingContext wanted) {
    context = wanted;
    mmu.set_context(context);
  }
  /// Changes fields of the context in force: with([](auto& c) { c.cpl = 3; }).
  template <class F>
  void with(F change) {
    change(context);
    mmu.set_context(context);
  }
  template <class T>
  T ram(u64 physical) const {
    return load_from<T>(space->ram() + physical);
  }
  template <class T>
  void poke(u64 physical, T value) {
    space->write({physical}, &value, sizeof value);
  }
  template <class T>
  T load(u64 linear) {
    auto value = mmu.load<T>(linear);
    REQUIRE(value.has_value());
    return *value;
  }
  template <class T>
  void store(u64 linear, T value) {
    REQUIRE(mmu.store<T>(linear, value).has_value());
  }
  /// The error code of the page fault that an access raises; fails the test if it does not.
  u32 fault_code(u64 linear, Access access) {
    auto result = mmu.probe(linear, 1, access, Privilege::Current);
    REQUIRE(!result);
    REQUIRE(result.error().kind == Fault::Kind::Exception);
    REQUIRE(result.error().vector == Vector::Pf);
    CHECK(result.error().address == linear);
    return result.error().error_code;
  }
};

inline PagingContext long_mode(u64 root, u8 cpl = 0) {
  return {kPe | kPg | kWp, root, kPae | kPge, kLme | kLma | kNxe, 0, cpl, false};
}
inline PagingContext pae_mode(u64 root, u8 cpl = 0) {
  return {kPe | kPg | kWp, root, kPae | kPge, kNxe, 0, cpl, false};
}
inline PagingContext mode_32(u64 root, u8 cpl = 0) {
  return {kPe | kPg | kWp, root, kPse | kPge, 0, 0, cpl, false};
}

/// Builds four-level tables through the guest's memory bus: the root, then pages as needed.
class Tables {
 public:
  Tables(World& world, u64 first_page)
      : root(first_page), world_(world), next_(first_page + 4096) {}

  const u64 root;

  /// Maps one 4-KByte page, creating tables with all rights; the address of the page-table entry.
  u64 map(u64 linear, u64 entry) {
    u64 at = entry_at(linear, 1);
    world_.poke<u64>(at, entry);
    return at;
  }
  /// Physical address of the entry of `level` for `linear`.
  u64 entry_at(u64 linear, unsigned level) {
    u64 table = root;
    for (unsigned l = 4;; --l) {
      u64 at = table + ((linear >> (12 + 9 * (l - 1))) & 511) * 8;
      if (l == level) return at;
      u64 entry = world_.ram<u64>(at);
      if (!(entry & kP)) world_.poke<u64>(at, entry = next_page() | kP | kRw | kUs);
      table = entry & ~0xfffull;
    }
  }
  u64 next_page() {
    u64 page = next_;
    next_ += 4096;
    return page;
  }

 private:
  World& world_;
  u64 next_;
};

}  // namespace penumbra::mmu::test
