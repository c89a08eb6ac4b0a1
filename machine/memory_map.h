// Where RAM lies in the guest's physical address space, and what E820 tells of it.
//
// The conventional PC layout without a VGA: RAM from 0 to A0000h and from C0000h on, up to 3 GiB;
// the hole below 4 GiB belongs to PCI, IO APIC and local APIC; the rest lies above 4 GiB. The RAM
// file holds the slots in order of their address; A0000h..BFFFFh has no RAM behind it.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "common/types.h"

namespace penumbra::machine {

struct MemoryMap {
  static constexpr u64 kLowEnd = 0xA0000, kShadowStart = 0xC0000, kHighStart = 0x100000;
  static constexpr u64 kHoleStart = 3ull << 30, kAboveHole = 4ull << 30;
  static constexpr u64 kExtendedBios = 0x9FC00;  ///< 1 KiB below A0000h, as PC firmware keeps it
  static constexpr u64 kTables = 0xE0000;        ///< firmware tables, searched from here to 1 MiB
  static constexpr u64 kSmallest = 4ull << 20, kLargest = 64ull << 30;

  struct Slot {
    u64 physical, size, offset;
  };
  /// INT 15h E820h types (ACPI 6.4, 15.1).
  enum class Kind : u32 { Ram = 1, Reserved = 2 };
  struct Range {
    u64 start, size;
    Kind kind;
  };

  /// `memory` is what the user asked for: a multiple of 1 MiB between the limits.
  explicit MemoryMap(u64 memory) : memory_(memory) {}

  u64 memory() const { return memory_; }
  u64 below_hole() const { return memory_ < kHoleStart ? memory_ : kHoleStart; }
  u64 above_hole() const { return memory_ - below_hole(); }
  /// Behind the last byte of RAM.
  u64 memory_end() const { return above_hole() != 0 ? kAboveHole + above_hole() : memory_; }
  u64 file_bytes() const { return memory_ - (kShadowStart - kLowEnd); }

  std::vector<Slot> slots() const;
  std::vector<Range> e820() const;

 private:
  u64 memory_;
};

/// "512M", "2G", "65536K", or a plain number of MiB; the error is one line for the user.
std::expected<u64, std::string> parse_memory_size(std::string_view text);

}  // namespace penumbra::machine
