#include "machine/memory_map.h"

#include <fmt/format.h>

#include <charconv>

namespace penumbra::machine {

std::vector<MemoryMap::Slot> MemoryMap::slots() const {
  std::vector<Slot> slots = {
      {0, kLowEnd, 0},
      {kShadowStart, below_hole() - kShadowStart, kLowEnd},
  };
  if (above_hole() != 0) {
    slots.push_back({kAboveHole, above_hole(), kLowEnd + below_hole() - kShadowStart});
  }
  return slots;
}

std::vector<MemoryMap::Range> MemoryMap::e820() const {
  std::vector<Range> ranges = {
      {0, kExtendedBios, Kind::Ram},
      {kExtendedBios, kLowEnd - kExtendedBios, Kind::Reserved},
      {kTables, kHighStart - kTables, Kind::Reserved},
      {kHighStart, below_hole() - kHighStart, Kind::Ram},
  };
  if (above_hole() != 0) ranges.push_back({kAboveHole, above_hole(), Kind::Ram});
  return ranges;
}

namespace {

u64 unit_of(char suffix) {
  switch (suffix) {
    case 'K':
    case 'k':
      return 1ull << 10;
    case 'M':
    case 'm':
      return 1ull << 20;
    case 'G':
    case 'g':
      return 1ull << 30;
    default:
      return 0;
  }
}

}  // namespace

std::expected<u64, std::string> parse_memory_size(std::string_view text) {
  u64 number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view suffix = text.substr(static_cast<size_t>(end - text.data()));
  u64 unit = suffix.empty() ? 1ull << 20 : suffix.size() == 1 ? unit_of(suffix[0]) : 0;
  u64 size = 0;
  if (error != std::errc() || unit == 0 || __builtin_mul_overflow(number, unit, &size)) {
    return std::unexpected(fmt::format("'{}' is not a size; write 512M or 2G", text));
  }
  if (size < MemoryMap::kSmallest || size > MemoryMap::kLargest) {
    return std::unexpected(fmt::format("{} is outside what a machine can have, 4M to 64G", text));
  }
  if (size % (1 << 20) != 0) {
    return std::unexpected(fmt::format("{} is not a whole number of megabytes", text));
  }
  return size;
}

}  // namespace penumbra::machine
