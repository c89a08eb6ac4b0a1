// Owns an engine's translated blocks: lookup by key, invalidation by physical address.
//
// A Block has `place` (BlockPlace), `valid`, and unlink(), which takes it out of every link. An
// invalidated block leaves every table at once and is freed by collect(), which the engine calls
// when no block runs.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "jit/cache/block_table.h"

namespace penumbra::jit {

template <class Block>
class BlockCache {
 public:
  BlockCache() = default;
  BlockCache(const BlockCache&) = delete;
  ~BlockCache() {
    blocks_.visit([](Block& block) { delete &block; });
  }

  /// nullptr: there is none.
  Block* find(const BlockKey& key) const { return blocks_.find(key); }

  /// The key must not be there yet.
  Block* insert(std::unique_ptr<Block> block) {
    Block* raw = block.release();
    const BlockPlace& place = raw->place;
    note_page(place.physical.value >> 12, raw);
    if (place.crosses_page) note_page(place.next_page.value >> 12, raw);
    blocks_.insert(place.key, raw);
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
    forget_page(block.place.physical.value >> 12, &block);
    if (block.place.crosses_page) forget_page(block.place.next_page.value >> 12, &block);
    blocks_.erase(block.place.key);
    return std::unique_ptr<Block>(&block);
  }

  void clear() {
    std::vector<Block*> all;
    blocks_.visit([&](Block& block) { all.push_back(&block); });
    for (Block* block : all) invalidate(*block);
  }

  /// Frees what was invalidated. No block may be running.
  void collect() { graveyard_.clear(); }
  /// Only what `goes` holds for.
  template <class Predicate>
  void collect_if(Predicate goes) {
    std::erase_if(graveyard_, [&](const auto& block) { return goes(*block); });
  }

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

  BlockTable<Block> blocks_;                            ///< owned
  std::unordered_map<u64, std::vector<Block*>> pages_;  ///< by page number
  std::vector<bool> has_code_;  ///< whether pages_ has the page; asked by stores
  std::vector<std::unique_ptr<Block>> graveyard_;
};

}  // namespace penumbra::jit
