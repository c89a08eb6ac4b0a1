// What identifies a translated block, and where its bytes are: common to all engines' blocks.
#pragma once

#include "translator/ir/block.h"

namespace penumbra::jit {

/// Key of a block: the host address of its first byte stands for the physical address.
struct BlockKey {
  const u8* code = nullptr;
  u32 mode = 0;  ///< CodeMode word; kSingle: at most one instruction
  static constexpr u32 kSingle = 1u << 31;
  friend bool operator==(const BlockKey&, const BlockKey&) = default;
};

struct KeyHash {
  static constexpr u64 mixed(u64 value) { return value * 0x9e3779b97f4a7c15ull; }
  size_t operator()(const BlockKey& key) const {
    return mixed(reinterpret_cast<u64>(key.code) ^ u64{key.mode} << 40);
  }
};

struct BlockPlace {
  BlockKey key;
  GuestPhys physical;  ///< of the first byte
  u32 size = 0;        ///< bytes in the first page
  bool crosses_page = false;
  GuestPhys next_page{};   ///< of the second page where crosses_page
  u32 next_page_size = 0;  ///< bytes in it
  const u8* next_page_code = nullptr;
  /// Bytes of the first page that the block loads when it runs, in order: they may change.
  std::vector<translator::CodeRange> loaded;

  u64 page() const { return page_of(physical.value); }
  /// Calls f(physical address, size) for all bytes but the loaded ones.
  template <class F>
  void for_each_fixed(F f) const {
    u64 at = physical.value, end = physical.value + size;
    for (const translator::CodeRange& range : loaded) {
      u64 begin = page() + range.offset;
      if (begin > at) f(at, begin - at);
      at = begin + range.size;
    }
    if (at < end) f(at, end - at);
    if (crosses_page) f(next_page.value, next_page_size);
  }
  /// Whether a change of `length` bytes at `host`, in one page, makes the block invalid.
  bool made_from(const u8* host, u32 length) const {
    bool any = false;
    for_each_fixed([&](u64 at, u64 bytes) {
      bool first = page_of(at) == page();
      const u8* code = first ? key.code + (at - physical.value) : next_page_code;
      any |= host < code + bytes && code < host + length;
    });
    return any;
  }
  /// Whether a change of [begin, end) makes the block invalid.
  bool overlaps(u64 begin, u64 end) const {
    bool any = false;
    for_each_fixed([&](u64 at, u64 length) { any |= at < end && begin < at + length; });
    return any;
  }
};

}  // namespace penumbra::jit
