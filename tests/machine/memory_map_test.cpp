#include "machine/memory_map.h"

#include <catch2/catch.hpp>

namespace penumbra::machine {

TEST_CASE("slots cover the memory file once and never overlap") {
  for (u64 memory : {4ull << 20, 512ull << 20, 3ull << 30, (3ull << 30) + (1 << 20), 8ull << 30}) {
    MemoryMap map(memory);
    u64 offset = 0, physical = 0;
    for (const MemoryMap::Slot& slot : map.slots()) {
      CHECK(slot.offset == offset);
      CHECK(slot.physical >= physical);
      CHECK(slot.physical % kPageSize == 0);
      CHECK(slot.size % kPageSize == 0);
      CHECK((slot.physical + slot.size <= MemoryMap::kHoleStart ||
             slot.physical >= MemoryMap::kAboveHole));
      offset += slot.size;
      physical = slot.physical + slot.size;
    }
    CHECK(offset == map.file_bytes());
  }
}

TEST_CASE("E820 tells of RAM only where there is RAM") {
  for (u64 memory : {4ull << 20, 512ull << 20, 3ull << 30, 8ull << 30}) {
    MemoryMap map(memory);
    u64 end = 0;
    for (const MemoryMap::Range& range : map.e820()) {
      CHECK(range.start >= end);
      CHECK(range.size != 0);
      end = range.start + range.size;
      if (range.kind != MemoryMap::Kind::Ram) continue;
      bool backed = false;
      for (const MemoryMap::Slot& slot : map.slots()) {
        backed |= range.start >= slot.physical && end <= slot.physical + slot.size;
      }
      CHECK(backed);
    }
  }
}

TEST_CASE("more than 3 GiB goes on above 4 GiB") {
  MemoryMap map(5ull << 30);
  CHECK(map.below_hole() == 3ull << 30);
  CHECK(map.above_hole() == 2ull << 30);
  CHECK(map.e820().back().start == 4ull << 30);
  CHECK(map.e820().back().size == 2ull << 30);
}

TEST_CASE("memory sizes") {
  CHECK(parse_memory_size("512M") == 512ull << 20);
  CHECK(parse_memory_size("512") == 512ull << 20);
  CHECK(parse_memory_size("2G") == 2ull << 30);
  CHECK(parse_memory_size("65536K") == 64ull << 20);
  for (const char* bad : {"", "M", "512X", "512MB", "-1", "0", "1M", "1000G", "5000K", "0x200M",
                          "99999999999999999999", "18446744073709551615G", "1.5G", " 512M"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_memory_size(bad).has_value());
  }
}

}  // namespace penumbra::machine
