// Which bytes of the RAM file were translated as code, one bit a byte.
//
// So exact that data may share a line with code, and that a block may leave out the bytes that it
// loads when it runs. Costs memory only where there is code.
#pragma once

#include <algorithm>
#include <bit>

#include "mmu/mapped_array.h"

namespace penumbra::mmu {

class CodeBytes {
 public:
  CodeBytes() = default;
  explicit CodeBytes(u64 ram_bytes) : words_(ram_bytes / 64 + 1) {}  // any_of() looks 8 bytes ahead

  void set(u64 offset, u64 size) {
    for_each_word(offset, size, [](u64& word, u64 mask) { word |= mask; });
  }
  void clear(u64 offset, u64 size) {
    for_each_word(offset, size, [](u64& word, u64 mask) { word &= ~mask; });
  }
  /// The first code byte in [offset, end), else end.
  u64 first(u64 offset, u64 end) const {
    for (u64 at = offset; at < end; at = (at | 63) + 1) {
      if (u64 bits = words_[at / 64] >> (at % 64))
        return std::min(end, at + std::countr_zero(bits));
    }
    return end;
  }
  bool any(u64 offset, u64 size) const { return first(offset, offset + size) != offset + size; }

  const u8* data() const { return reinterpret_cast<const u8*>(words_.data()); }
  static constexpr u32 kMostAtOnce = 32;
  /// any() of up to kMostAtOnce bytes, for data() of another time.
  static bool any_of(const u8* data, u64 offset, u32 size) {
    return (load_from<u64>(data + offset / 8) >> (offset % 8) & ((1ull << size) - 1)) != 0;
  }

 private:
  template <class F>
  void for_each_word(u64 offset, u64 size, F f) {
    for (u64 at = offset, end = offset + size; at < end; at = (at | 63) + 1) {
      u64 last = std::min(end - 1, at | 63);
      f(words_[at / 64], (~0ull << (at % 64)) & (~0ull >> (63 - last % 64)));
    }
  }

  MappedArray<u64> words_;
};

}  // namespace penumbra::mmu
