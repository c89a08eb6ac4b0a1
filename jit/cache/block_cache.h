// Owns an engine's translated blocks: lookup by key, invalidation by physical address.
//
// A Block has `place` (BlockPlace), `valid`, and unlink(), which takes it out of every link. An
// invalidated block leaves every table at once and is freed by collect(), which the engine calls
// when no block runs. The direct-mapped array in front answers most lookups.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "jit/core/block_key.h"

namespace penumbra::jit {

struct KeyHash {
  size_t operator()(const BlockKey& key) const {
    return (reinterpret_cast<u64>(key.code) * 0x9e3779b97f4a7c15ull) ^ (u64{key.mode} << 17);
  }
};

template <class Block>
class BlockCache {
 public:
  static constexpr u32 kFrontBits = 15;

  /// The block in front, or nullptr where a slower find() may still know it.
  Block* front(const BlockKey& key) const {
    const FrontEntry& entry = front_[front_index(key)];
    return entry.key == key ? entry.block : nullptr;
  }

  Block* find(const BlockKey& key) {
    if (Block* block = front(key)) return block;
    auto found = blocks_.find(key);
    if (found == blocks_.end()) return nullptr;
    Block* block = found->second.get();
    front_[front_index(key)] = {key, block};
    return block;
  }

  Block* insert(std::unique_ptr<Block> block) {
    Block* raw = block.get();
    const BlockPlace& place = raw->place;
    note_page(place.physical.value >> 12, raw);
    if (place.crosses_page) note_page(place.next_page.value >> 12, raw);
    front_[front_index(place.key)] = {place.key, raw};
    blocks_[place.key] = std::move(block);
    return raw;
  }

  /// Blocks that a change of [begin, end), which lies in one page, makes invalid.
  std::vector<Block*> overlapping(u64 begin, u64 end) const {
    std::vector<Block*> hit;
    visit_page({begin}, [&](Block& block) {
      if (block.place.overlaps(begin, end)) hit.push_back(&block);
    });
    return hit;
  }

  void invalidate(Block& block) {
    if (block.valid) bury(remove(block));
  }
  /// To be freed by collect().
  void bury(std::unique_ptr<Block> block) { graveyard_.push_back(std::move(block)); }
  /// The same, but the block stays with the caller, who may insert() it again.
  std::unique_ptr<Block> remove(Block& block) {
    block.valid = false;
    block.unlink();
    FrontEntry& entry = front_[front_index(block.place.key)];
    if (entry.block == &block) entry = {};
    forget_page(block.place.physical.value >> 12, &block);
    if (block.place.crosses_page) forget_page(block.place.next_page.value >> 12, &block);
    return std::move(blocks_.extract(block.place.key).mapped());
  }

  template <class Predicate>
  void invalidate_if(Predicate goes) {
    std::vector<Block*> hit;
    for (auto& [key, block] : blocks_) {
      if (goes(*block)) hit.push_back(block.get());
    }
    for (Block* block : hit) invalidate(*block);
  }

  void clear() {
    while (!blocks_.empty()) invalidate(*blocks_.begin()->second);
  }

  /// Frees what was invalidated. No block may be running.
  void collect() { graveyard_.clear(); }

  /// Every block with bytes in the page of `address`.
  template <class Visitor>
  void visit_page(GuestPhys address, Visitor visit) const {
    auto found = pages_.find(address.value >> 12);
    if (found == pages_.end()) return;
    for (Block* block : found->second) visit(*block);
  }
  /// Every block with the byte at `address`.
  template <class Visitor>
  void visit_at(GuestPhys address, Visitor visit) const {
    visit_page(address, [&](const Block& block) {
      if (block.place.overlaps(address.value, address.value + 1)) visit(block);
    });
  }

  /// Whether any block is left with bytes in the page.
  bool has_code(GuestPhys page) const {
    u64 number = page.value >> 12;
    return number < has_code_.size() && has_code_[number];
  }
  size_t size() const { return blocks_.size(); }

 private:
  struct FrontEntry {
    BlockKey key;
    Block* block = nullptr;
  };
  static size_t front_index(const BlockKey& key) {
    u64 address = reinterpret_cast<u64>(key.code);
    return (address ^ (address >> kFrontBits) ^ (key.mode * 0x9e5u)) & ((1u << kFrontBits) - 1);
  }
  void note_page(u64 page, Block* block) {
    pages_[page].push_back(block);
    if (page >= has_code_.size()) has_code_.resize(page + 1);
    has_code_[page] = true;
  }
  void forget_page(u64 page, Block* block) {
    auto found = pages_.find(page);
    if (found == pages_.end()) return;
    std::erase(found->second, block);
    if (!found->second.empty()) return;
    pages_.erase(found);
    has_code_[page] = false;
  }

  std::unordered_map<BlockKey, std::unique_ptr<Block>, KeyHash> blocks_;
  std::unordered_map<u64, std::vector<Block*>> pages_;  ///< by page number
  std::vector<bool> has_code_;  ///< whether pages_ has the page; asked by stores
  std::vector<std::unique_ptr<Block>> graveyard_;
  std::vector<FrontEntry> front_ = std::vector<FrontEntry>(1u << kFrontBits);
};

}  // namespace penumbra::jit
