// Owns the translated blocks: lookup by key, links between them, invalidation by physical address.
//
// An invalidated block leaves every table at once and is freed by collect(), which the engine calls
// when no block runs. The direct-mapped array in front is what generated code probes.
#pragma once

#include <unordered_map>
#include <unordered_set>

#include "jit/interp/uop.h"

namespace penumbra::jit {

struct KeyHash {
  size_t operator()(const BlockKey& key) const {
    return (reinterpret_cast<u64>(key.code) * 0x9e3779b97f4a7c15ull) ^ (u64{key.mode} << 17);
  }
};

class BlockCache {
 public:
  static constexpr u32 kFrontBits = 15;
  static constexpr size_t kMostBlocks = 200'000;

  struct FrontEntry {
    const u8* code = nullptr;
    u32 mode = 0;
    const BlockCode* block = nullptr;
  };
  static size_t front_index(const u8* code, u32 mode) {
    u64 address = reinterpret_cast<u64>(code);
    return (address ^ (address >> kFrontBits) ^ (mode * 0x9e5u)) & ((1u << kFrontBits) - 1);
  }
  const FrontEntry& front(const u8* code, u32 mode) const {
    return front_[front_index(code, mode)];
  }

  CompiledBlock* find(const BlockKey& key);
  CompiledBlock* insert(std::unique_ptr<CompiledBlock> block);
  bool full() const { return blocks_.size() >= kMostBlocks; }

  /// `from` (a jump uop of `source`) goes straight to `target` until one of them is invalidated.
  void link(CompiledBlock& source, Uop& from, CompiledBlock& target);

  /// Every block with bytes in [address, address + size). Returns how many went.
  size_t invalidate(GuestPhys address, u64 size);
  void invalidate(CompiledBlock& block);
  void clear();
  /// Frees what was invalidated. No block may be running.
  void collect() { graveyard_.clear(); }

  /// Whether any block is left with bytes in the page.
  bool has_code(GuestPhys page) const { return pages_.contains(page.value >> 12); }
  size_t size() const { return blocks_.size(); }

 private:
  static void unlink(CompiledBlock& block);
  void forget_page(u64 page, CompiledBlock* block);

  std::unordered_map<BlockKey, std::unique_ptr<CompiledBlock>, KeyHash> blocks_;
  std::unordered_map<u64, std::unordered_set<CompiledBlock*>> pages_;
  std::vector<std::unique_ptr<CompiledBlock>> graveyard_;
  std::vector<FrontEntry> front_ = std::vector<FrontEntry>(1u << kFrontBits);
};

}  // namespace penumbra::jit
