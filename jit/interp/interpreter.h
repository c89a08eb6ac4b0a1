// Tier 0: runs blocks of uops; the reference engine.
//
// run() executes from state.rip until a reason to stop, at an exact instruction boundary with all
// state current. Everything that is not the straight path (translation, misses, faults, stops) is
// a member here; the handlers call it.
#pragma once

#include "jit/cache/block_cache.h"
#include "jit/core/code_source.h"
#include "jit/core/stop.h"
#include "jit/interp/uop.h"

namespace penumbra::jit {

class Interpreter {
 public:
  struct Counters {
    u64 lookups = 0, links = 0;
  };

  Interpreter(cpu::CpuContext& context, SlowPath& slow, CodeSource& source)
      : context_(context), slow_(slow), source_(source) {}

  /// `mode` is the code-mode word of the state. `single`: at most one instruction.
  Stop run(CodeMode mode, bool single);
  const Counters& counters() const { return counters_; }
  BlockCache<CompiledBlock>& cache() { return cache_; }
  /// Where more are made, all are forgotten.
  void set_most_blocks(size_t most) { most_blocks_ = most; }

  // -- for handlers
  // --------------------------------------------------------------------------------
  SlowPath& slow() { return slow_; }
  void stop_before(CpuState& s, const Uop* u, i64 left, Stop stop);
  void set_stop(Stop stop) { stop_ = stop; }

  /// The block at `rip` when the tables in front know it; sets code_base.
  const BlockCode* probe(CpuState& s, const mmu::ShadowTable* t, u64 rip) {
    u64 linear = (rip + s.code_segment_base) & slow_.linear_mask();
    const u8* code = t->for_execute(linear);
    if (code == nullptr) [[unlikely]]
      return nullptr;
    CompiledBlock* block = cache_.find({code, mode_});
    if (block == nullptr) [[unlikely]]
      return nullptr;
    s.code_base = rip - (linear & kPageMask);
    return block->code();
  }

  /// Slow halves of memory micro-ops. False: stopped with a fault.
  bool read(const Uop* u, u64 linear, void* out, u32 size);
  bool read_for_write(const Uop* u, u64 linear, void* out, u32 size);
  bool write(const Uop* u, u64 linear, const void* in, u32 size);
  bool linear_address(const Uop* u, u64 offset, u64& linear);
  /// Calls a named operation; whether execution goes on with the next uop. Takes and leaves what
  /// is left of the slice in s.instructions_left.
  bool call(CpuState& s, const Uop* u);
  /// Resolves a jump inside the page; nullptr: look it up from run().
  const BlockCode* link(const Uop* u);
  /// Whether the second page of a crossing block is the one it was translated from.
  bool check_next_page(CpuState& s, const Uop* u, i64 left);

 private:
  const BlockCode* find_or_translate(CpuState& s);
  /// nullptr: a fault.
  CompiledBlock* translate(const CodeSource::Location& at);
  void leave_if_invalid(const Uop* u);
  const UopSite& site(const Uop* u) const;

  cpu::CpuContext& context_;
  SlowPath& slow_;
  CodeSource& source_;
  BlockCache<CompiledBlock> cache_;
  size_t most_blocks_ = 200'000;
  Counters counters_;
  Stop stop_ = Stop::Lookup;
  u32 mode_ = 0;
};

/// A block's uops from its micro-ops; `page` is the first byte of its page.
std::unique_ptr<CompiledBlock> compile(const translator::Block& block, const u8* page);

}  // namespace penumbra::jit
