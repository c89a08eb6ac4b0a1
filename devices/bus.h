// The two buses of the board: 65,536 ports, and the memory-mapped registers.
//
// Ranges never overlap: map() and remap() refuse. What nobody claims reads as all ones and swallows
// writes. An access that a device does not take whole (its size, an unaligned address, the end of
// the range) is split into the largest naturally aligned pieces that it takes, lowest address
// first. A write narrower than the smallest size that a device takes is dropped, such a read is cut
// out of a wider one. A device may map, move and unmap ranges while it is being accessed.
// Lookup: a flat table for ports, a sorted vector with a one-entry memory for MMIO.
#pragma once

#include <vector>

#include "devices/interfaces.h"

namespace penumbra::devices {

/// The access sizes that a device takes, in bytes, as a set.
enum class AccessSizes : u8 {
  Byte = 1,
  ByteWord = 1 | 2,
  Dword = 4,
  ByteWordDword = 1 | 2 | 4,
  Any = 1 | 2 | 4 | 8,
};

class Bus {
 public:
  enum class Space : u8 { Port, Mmio };

  explicit Bus(Space space);

  /// Claims [base, base + size) for `device`, which outlives the claim. False, and nothing done, if
  /// the range is empty, leaves the space or overlaps another.
  [[nodiscard]] bool map(u64 base, u64 size, BusDevice& device, AccessSizes sizes);
  /// Gives up the range that starts at `base`; false if there is none.
  bool unmap(u64 base);
  /// Moves the range that starts at `base`; false, and unchanged, if it does not fit.
  [[nodiscard]] bool remap(u64 base, u64 new_base);

  /// `size` is 1, 2, 4 or 8 bytes; the value is zero-extended.
  u64 read(u64 address, u32 size);
  void write(u64 address, u32 size, u64 value);

  bool is_mapped(u64 address);

 private:
  struct Mapping {
    u64 base;
    u64 size;
    BusDevice* device;
    AccessSizes sizes;

    bool contains(u64 address) const { return address - base < size; }
    bool takes(u64 address, u32 bytes) const {
      return (static_cast<u32>(sizes) & bytes) && (address & (bytes - 1)) == 0 &&
             size - (address - base) >= bytes;
    }
  };

  const Mapping* find(u64 address);
  bool fits(u64 base, u64 size) const;
  void rebuild();
  u32 piece(const Mapping& mapping, u64 address, u32 remaining) const;
  u64 read_pieces(u64 address, u32 size);
  void write_pieces(u64 address, u32 size, u64 value);

  Space space_;
  std::vector<Mapping> mappings_;  ///< sorted by base
  std::vector<u16> port_table_;    ///< index + 1 into mappings_, 0 where nothing is mapped
  size_t last_ = 0;                ///< MMIO: the mapping that was hit last
};

}  // namespace penumbra::devices
