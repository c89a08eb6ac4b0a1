// Blocks by their key: an open-addressed table, so that a lookup touches one line of memory.
//
// Does not own the blocks. Linear probing, at most three quarters full; erase() closes the gap.
#pragma once

#include <vector>

#include "jit/core/block_key.h"

namespace penumbra::jit {

template <class Block>
class BlockTable {
 public:
  Block* find(const BlockKey& key) const {
    for (size_t at = start(key);; at = next(at)) {
      const Entry& entry = entries_[at];
      if (entry.block == nullptr || entry.key == key) return entry.block;
    }
  }

  /// The key must not be there yet.
  void insert(const BlockKey& key, Block* block) {
    if (4 * ++size_ > 3 * entries_.size()) grow();
    place({key, block});
  }

  /// The key must be there.
  void erase(const BlockKey& key) {
    size_t gap = start(key);
    while (entries_[gap].key != key) gap = next(gap);
    for (size_t at = next(gap); entries_[at].block != nullptr; at = next(at)) {
      size_t wanted = start(entries_[at].key);
      // An entry may move back to the gap unless it belongs behind it.
      bool between = gap < at ? gap < wanted && wanted <= at : gap < wanted || wanted <= at;
      if (between) continue;
      entries_[gap] = entries_[at];
      gap = at;
    }
    entries_[gap] = {};
    --size_;
  }

  template <class Visitor>
  void visit(Visitor visit) const {
    for (const Entry& entry : entries_) {
      if (entry.block != nullptr) visit(*entry.block);
    }
  }
  size_t size() const { return size_; }

 private:
  struct Entry {
    BlockKey key;
    Block* block = nullptr;
  };
  size_t start(const BlockKey& key) const { return KeyHash()(key) >> 16 & (entries_.size() - 1); }
  size_t next(size_t at) const { return (at + 1) & (entries_.size() - 1); }
  void place(const Entry& added) {
    size_t at = start(added.key);
    while (entries_[at].block != nullptr) at = next(at);
    entries_[at] = added;
  }
  void grow() {
    std::vector<Entry> old(2 * entries_.size());
    old.swap(entries_);
    for (const Entry& entry : old) {
      if (entry.block != nullptr) place(entry);
    }
  }

  std::vector<Entry> entries_ = std::vector<Entry>(1u << 12);
  size_t size_ = 0;
};

}  // namespace penumbra::jit
