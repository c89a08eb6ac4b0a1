// The threaded interpreter's code: pre-decoded micro-ops, each with the address of its handler.
//
// A handler computes one micro-op and tail-calls the next one's. The state pointer, the current
// uop, the current view of the shadow page table and the instructions left of the slice stay in
// host registers all along.
#pragma once

#include <memory>
#include <vector>

#include "common/code_mode.h"
#include "cpu/state.h"
#include "jit/core/block_key.h"
#include "mmu/shadow_table.h"
#include "translator/ir/block.h"

namespace penumbra::jit {

using cpu::CpuState;
using translator::Slot;

struct Uop;

#define PENUMBRA_HANDLER __attribute__((preserve_none)) void
#define PENUMBRA_HANDLER_ARGUMENTS                             \
  [[maybe_unused]] CpuState *s, [[maybe_unused]] const Uop *u, \
      [[maybe_unused]] const mmu::ShadowTable *t, [[maybe_unused]] i64 left
using Handler = PENUMBRA_HANDLER (*)(PENUMBRA_HANDLER_ARGUMENTS);

struct Uop {
  Handler handler;
  u64 immediate;
  Slot d, a, b, c;  ///< where `extra` is a flag kind, c is the modifier
  i32 displacement;
  u16 index;  ///< in its block
  u8 scale;   ///< of a jump: kLinked while its immediate is the target's BlockCode
  u8 extra;   ///< of readers of flags: the kind to read; else the flag kind before the uop
};
static_assert(sizeof(Uop) == 32);
constexpr u8 kLinked = 0xff;

struct CompiledBlock;

/// What generated code needs of a block at entry, in front of its uops.
struct BlockCode {
  CompiledBlock* owner;
  i64 count;  ///< guest instructions
  Uop uops[];

  static const BlockCode* of(const Uop* uop) {
    auto* first = reinterpret_cast<const u8*>(uop - uop->index);
    return reinterpret_cast<const BlockCode*>(first - offsetof(BlockCode, uops));
  }
};

/// What a uop's slow path needs to know: the instruction it belongs to.
struct UopSite {
  u16 instruction;
  Segment segment;
  cpu::FlagState flags_before;
};

/// A block and everything that its owner, the cache, has to know of it.
struct CompiledBlock {
  BlockPlace place;
  bool valid = true;
  translator::Block ir;  ///< sites and calls; micro-ops are dropped
  std::vector<UopSite> sites;
  std::unique_ptr<u8[]> storage;  ///< holds the BlockCode
  /// Linked jumps, each in its source's outgoing and its target's incoming list, with the block at
  /// the other end.
  using Link = std::pair<CompiledBlock*, Uop*>;
  std::vector<Link> incoming, outgoing;

  BlockCode* code() { return reinterpret_cast<BlockCode*>(storage.get()); }
  /// `from`, a jump uop of this block, goes straight to `target` until one of them is invalidated.
  void link(Uop& from, CompiledBlock& target);
  void unlink();
};

}  // namespace penumbra::jit
