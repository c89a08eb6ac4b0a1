#include "jit/cache/block_cache.h"

#include <algorithm>

#include "jit/interp/handlers.h"

namespace penumbra::jit {

CompiledBlock* BlockCache::find(const BlockKey& key) {
  auto found = blocks_.find(key);
  if (found == blocks_.end()) return nullptr;
  CompiledBlock* block = found->second.get();
  front_[front_index(key.code, key.mode)] = {key.code, key.mode, block->code()};
  return block;
}

CompiledBlock* BlockCache::insert(std::unique_ptr<CompiledBlock> block) {
  CompiledBlock* raw = block.get();
  pages_[raw->physical.value >> 12].insert(raw);
  if (raw->crosses_page) pages_[raw->next_page.value >> 12].insert(raw);
  front_[front_index(raw->key.code, raw->key.mode)] = {raw->key.code, raw->key.mode, raw->code()};
  blocks_[raw->key] = std::move(block);
  return raw;
}

void BlockCache::link(CompiledBlock& source, Uop& from, CompiledBlock& target) {
  link_jump(from, *target.code());
  target.incoming.emplace_back(&source, &from);
  source.outgoing.emplace_back(&target, &from);
}

void BlockCache::forget_page(u64 page, CompiledBlock* block) {
  auto found = pages_.find(page);
  if (found == pages_.end()) return;
  found->second.erase(block);
  if (found->second.empty()) pages_.erase(found);
}

void BlockCache::unlink(CompiledBlock& block) {
  for (auto& [source, jump] : block.incoming) {
    unlink_jump(*jump);
    if (source != &block) std::erase(source->outgoing, CompiledBlock::Link{&block, jump});
  }
  for (auto& [target, jump] : block.outgoing) {
    if (target != &block) std::erase(target->incoming, CompiledBlock::Link{&block, jump});
  }
  block.incoming.clear();
  block.outgoing.clear();
}

void BlockCache::invalidate(CompiledBlock& block) {
  if (!block.valid) return;
  block.valid = false;
  unlink(block);
  FrontEntry& front = front_[front_index(block.key.code, block.key.mode)];
  if (front.block == block.code()) front = {};
  forget_page(block.physical.value >> 12, &block);
  if (block.crosses_page) forget_page(block.next_page.value >> 12, &block);
  auto owner = blocks_.extract(block.key);
  graveyard_.push_back(std::move(owner.mapped()));
}

namespace {

bool overlaps(const CompiledBlock& block, u64 begin, u64 end) {
  u64 first = block.physical.value;
  if (first < end && begin < first + block.size) return true;
  if (!block.crosses_page) return false;
  u64 rest = block.ir.end - kPageSize;
  return block.next_page.value < end && begin < block.next_page.value + rest;
}

}  // namespace

size_t BlockCache::invalidate(GuestPhys address, u64 size) {
  u64 begin = address.value, end = address.value + size;
  std::vector<CompiledBlock*> hit;
  for (u64 page = begin >> 12; page <= (end - 1) >> 12; ++page) {
    auto found = pages_.find(page);
    if (found == pages_.end()) continue;
    for (CompiledBlock* block : found->second) {
      if (overlaps(*block, begin, end)) hit.push_back(block);
    }
  }
  for (CompiledBlock* block : hit) invalidate(*block);
  return hit.size();
}

void BlockCache::clear() {
  while (!blocks_.empty()) invalidate(*blocks_.begin()->second);
}

}  // namespace penumbra::jit
