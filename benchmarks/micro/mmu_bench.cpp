// The software MMU: hits of the inline probe, fills, context switches, stores to page tables.
#include <benchmark/benchmark.h>

#include "mmu/mmu.h"

namespace penumbra::benchmarks {
namespace {

using mmu::AddressSpace;
using mmu::PagingContext;

constexpr u64 kPresent = 1, kWritable = 2, kUser = 4, kAccessed = 0x20, kDirty = 0x40;
constexpr u64 kAll = kPresent | kWritable | kUser | kAccessed | kDirty;
constexpr u64 kMapped = 512 << 20, kTables = kMapped, kRam = kMapped + (64 << 20);
constexpr u64 kLinear = 0x7f0000000000, kTablesLinear = 0x7e0000000000;
constexpr unsigned kRoots = 8;

/// Four-level tables that map 512 MiB at kLinear, from several roots, and their own page tables at
/// kTablesLinear.
struct Guest {
  std::unique_ptr<AddressSpace> space = AddressSpace::create(kRam).value();
  ExternalBuffer external;
  mmu::Mmu mmu;
  u64 next_table = kTables + kRoots * kPageSize;

  Guest() : mmu(with_ram(*space), external) {
    for (u64 at = 0; at < kMapped; at += kPageSize) map(root(0), kLinear + at, at);
    for (u64 at = 0; at < kRam - kMapped; at += kPageSize)
      map(root(0), kTablesLinear + at, kTables + at);
    for (unsigned i = 1; i < kRoots; ++i)
      std::memcpy(space->ram() + root(i), space->ram() + root(0), kPageSize);
    use(0, 3);
  }

  static AddressSpace& with_ram(AddressSpace& space) {
    space.map({0}, kRam, 0, AddressSpace::SlotKind::Ram);
    return space;
  }
  static u64 root(unsigned number) { return kTables + number * kPageSize; }

  u64 entry_address(u64 table, u64 linear) {
    for (unsigned shift = 39;; shift -= 9) {
      u64 at = table + (linear >> shift & 511) * 8;
      if (shift == 12) return at;
      u64 entry = load_from<u64>(space->ram() + at);
      if (!entry)
        store_to<u64>(space->ram() + at,
                      entry = std::exchange(next_table, next_table + kPageSize) | kAll);
      table = page_of(entry);
    }
  }
  void map(u64 table, u64 linear, u64 physical) {
    store_to<u64>(space->ram() + entry_address(table, linear), physical | kAll);
  }

  /// The context of a 64-bit system with supervisor access prevention.
  static PagingContext context(unsigned number, u8 cpl) {
    return {.cr0 = 0x80010001, .cr3 = root(number), .cr4 = 0x2000a0, .efer = 0xd00, .cpl = cpl};
  }
  void use(unsigned number, u8 cpl) { mmu.set_context(context(number, cpl)); }
  void read(u64 linear) {
    u32 length;
    benchmark::DoNotOptimize(mmu.span(linear, Access::Read, Privilege::Current, length));
  }
};

/// Arg: MiB walked by pages.
void table_hit(benchmark::State& state) {
  Guest guest;
  u64 bytes = static_cast<u64>(state.range(0)) << 20, at = 0;
  for (; at < bytes; at += kPageSize) guest.read(kLinear + at);
  const mmu::ShadowTable* table = guest.mmu.table();
  for (auto _ : state) {
    benchmark::DoNotOptimize(table->for_read(kLinear + at, 8));
    at = (at + kPageSize) & (bytes - 1);
  }
}
BENCHMARK(table_hit)->Arg(1)->Arg(64)->Arg(512);

/// Pages one after another, each for the first time since its root entry changed.
void fill(benchmark::State& state) {
  Guest guest;
  u64 at = 0, root_entry = Guest::root(0) + (kLinear >> 39 & 511) * 8;
  u64 directory = load_from<u64>(guest.space->ram() + root_entry), nothing = 0;
  for (auto _ : state) {
    guest.read(kLinear + at);
    at += kPageSize;
    if (at != kMapped) continue;
    state.PauseTiming();
    guest.space->write({root_entry}, &nothing, 8);
    guest.space->write({root_entry}, &directory, 8);
    at = 0;
    state.ResumeTiming();
  }
  state.counters["fills"] =
      static_cast<double>(guest.mmu.counters().fills) / static_cast<double>(state.iterations());
}
BENCHMARK(fill);

/// A fault and its repair: the entry is cleared, stored again, and its page accessed.
void remap(benchmark::State& state) {
  Guest guest;
  u64 entry = guest.entry_address(Guest::root(0), kLinear), value = kAll;
  u64 through_guest = kTablesLinear + (entry - kTables);
  for (auto _ : state) {
    guest.read(kLinear);
    benchmark::DoNotOptimize(guest.mmu.store<u64>(through_guest, 0));
    benchmark::DoNotOptimize(guest.mmu.store<u64>(through_guest, value));
    value ^= kPageSize;
  }
}
BENCHMARK(remap);

/// A store to a page table that changes nothing that is cached.
void page_table_store(benchmark::State& state) {
  Guest guest;
  u64 entry = guest.entry_address(Guest::root(0), kLinear), spare = 0;
  guest.read(kLinear);
  u64 through_guest = kTablesLinear + (entry - kTables) + 8 * 300;
  for (auto _ : state) {
    benchmark::DoNotOptimize(guest.mmu.store<u64>(through_guest, spare));
    spare ^= 0x200;
  }
}
BENCHMARK(page_table_store);

/// Arg: address spaces that take turns.
void cr3_switch(benchmark::State& state) {
  Guest guest;
  unsigned roots = static_cast<unsigned>(state.range(0)), next = 0;
  for (auto _ : state) {
    guest.mmu.write_cr3(Guest::root(next));
    benchmark::DoNotOptimize(guest.mmu.table());
    next = (next + 1) % roots;
  }
}
BENCHMARK(cr3_switch)->Arg(2)->Arg(kRoots);

/// As at each system call and its return.
void privilege_switch(benchmark::State& state) {
  Guest guest;
  PagingContext context = Guest::context(0, 0);
  for (auto _ : state) {
    context.cpl ^= 3;
    guest.mmu.set_context(context);
    benchmark::DoNotOptimize(guest.mmu.table());
  }
}
BENCHMARK(privilege_switch);

}  // namespace
}  // namespace penumbra::benchmarks
