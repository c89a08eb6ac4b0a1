// The memory of generated code: one reservation, mapped twice, given out in regions.
//
// The same pages are writable through one mapping and executable through the other, so no page is
// ever both. Memory is handed out in order; when the reservation is used up, the oldest region is
// given up as a whole (the owner forgets its blocks first). Memory that is used up goes into large
// pages where the host has them: hot code lies far apart, and takes fewer entries of the TLB.
#pragma once

#include <span>

#include "common/types.h"

namespace penumbra::jit {

class CodeMemory {
 public:
  /// `size` bytes in `regions` equal parts, both powers of two. Asserts that the host gives it.
  CodeMemory(u64 size, u32 regions);
  ~CodeMemory();
  CodeMemory(const CodeMemory&) = delete;

  /// Room for `most` bytes in the current region, else nullptr: take next_region().
  u8* writable(u32 most) const {
    return used_ + most <= region_size_ ? write_ + begin_ + used_ : nullptr;
  }
  /// The first `size` of them are in use now; ends aligned to 16 bytes.
  void commit(u32 size);
  /// The first `size` bytes of the reservation are never given out again.
  void reserve(u32 size) {
    reserved_ = (size + 15u) & ~15u;
    used_ = reserved_;
  }
  /// Goes on in the oldest region, which nothing may use any more.
  void next_region();

  /// Where code written at `writable` runs.
  u8* executable(const u8* writable) const { return execute_ + (writable - write_); }
  u8* writable_of(const u8* executable) const { return write_ + (executable - execute_); }
  u32 region_of(const u8* executable) const {
    return static_cast<u32>(static_cast<u64>(executable - execute_) / region_size_);
  }
  /// Where code of a region runs.
  std::span<const u8> region(u32 number) const {
    return {execute_ + number * region_size_, region_size_};
  }
  u32 oldest_region() const { return (region_ + 1) % regions_; }

 private:
  static constexpr u64 kWritten = 512 << 10;  ///< what is mapped for writing goes behind so much
  void use_large_pages(u64 begin, u64 end);

  u8* write_ = nullptr;
  u8* execute_ = nullptr;
  u64 size_, region_size_;
  u32 regions_, region_ = 0;
  u64 begin_ = 0, used_ = 0, reserved_ = 0;
};

}  // namespace penumbra::jit
