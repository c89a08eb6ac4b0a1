// Tier 0: runs blocks of uops; the reference engine.
//
// run() executes from state.rip until a reason to stop, at an exact instruction boundary with all
// state current. Everything that is not the straight path (translation, misses, faults, stops) is
// a member here; the handlers call it.
#pragma once

#include "jit/cache/block_cache.h"
#include "mmu/mmu.h"

namespace penumbra::jit {

enum class Stop : u8 {
  Lookup,   ///< look up the block at state.rip and go on
  Retired,  ///< as Lookup, but interrupts and the mode have to be looked at first
  Repeat,   ///< a REP instruction stopped between iterations
  Slice,    ///< the next block is longer than what is left of the slice, or a stop was asked for
  Fault,    ///< fault() says which; state is that before the instruction
  Halt,     ///< state.activity is no longer Running
};

class Interpreter final : public mmu::CodeObserver {
 public:
  struct Counters {
    u64 blocks = 0, instructions = 0, lookups = 0, links = 0, invalidations = 0;
  };

  Interpreter(cpu::CpuContext& context, mmu::AddressSpace& space, mmu::Mmu& mmu);
  ~Interpreter() override;

  /// `mode` is the code-mode word of the state. `single`: at most one instruction.
  Stop run(CodeMode mode, bool single);
  const Fault& fault() const { return fault_; }
  const Counters& counters() const { return counters_; }
  void flush() { cache_.clear(); }

  void code_written(GuestPhys address, u64 size) override;

  // -- for handlers
  // --------------------------------------------------------------------------------
  void stop_before(CpuState& s, const Uop* u, i64 left, Stop stop);
  void set_fault(const Fault& fault) { fault_ = fault; }
  void set_stop(Stop stop) { stop_ = stop; }
  /// RIP of an offset from the code base, truncated as the mode says.
  u64 rip_at(const CpuState& s, u64 offset) const { return (s.code_base + offset) & rip_mask_; }
  /// Whether RIP may become `rip`: canonical in 64-bit mode, within CS's limit elsewhere.
  bool valid_target(const CpuState& s, u64 rip) const {
    bool is_long = rip_mask_ == ~0ull;
    return is_long ? static_cast<u64>(static_cast<i64>(rip << 16) >> 16) == rip
                   : rip <= s.seg(Segment::Cs).limit;
  }

  /// The block at `rip` when the tables in front know it; sets code_base.
  const BlockCode* probe(CpuState& s, const mmu::ShadowTable* t, u64 rip) {
    u64 linear = (rip + s.code_segment_base) & linear_mask_;
    const u8* code = t->for_execute(linear);
    if (code == nullptr) [[unlikely]]
      return nullptr;
    const BlockCache::FrontEntry& front = cache_.front(code, mode_);
    if (front.code != code || front.mode != mode_) [[unlikely]]
      return nullptr;
    s.code_base = rip - (linear & kPageMask);
    return front.block;
  }

  /// Slow halves of memory micro-ops. False: stopped with a fault.
  bool read(const Uop* u, u64 linear, void* out, u32 size);
  bool read_for_write(const Uop* u, u64 linear, void* out, u32 size);
  bool write(const Uop* u, u64 linear, const void* in, u32 size);
  bool linear_address(const Uop* u, u64 offset, u64& linear);
  bool check_aligned(u64 linear, u64 alignment);
  /// EndSse: false where an unmasked exception stops the instruction.
  bool end_checked_sse(const Uop* u);
  /// Calls a named operation; whether execution goes on with the next uop. Takes and leaves what
  /// is left of the slice in s.instructions_left.
  bool call(CpuState& s, const Uop* u);
  /// Resolves a jump inside the page; nullptr: look it up from run().
  const BlockCode* link(CpuState& s, const Uop* u);
  /// Whether the second page of a crossing block is the one it was translated from.
  bool check_next_page(CpuState& s, const Uop* u, i64 left);
  cpu::CpuContext& context() { return context_; }

 private:
  /// Whether all bytes are canonical, or below a flat segment's limit; else fault() says.
  bool in_range(const Uop* u, u64 linear, u32 size);
  bool finish(const Expected<>& result);
  void stop_after(CpuState& s, const Uop* u, Stop stop);
  const BlockCode* find_or_translate(CpuState& s);
  CompiledBlock* translate(const BlockKey& key, u64 linear, GuestPhys physical);
  void leave_if_invalid(const Uop* u);
  const UopSite& site(const Uop* u) const;

  cpu::CpuContext& context_;
  mmu::AddressSpace& space_;
  mmu::Mmu& mmu_;
  BlockCache cache_;
  Counters counters_;
  Fault fault_;
  Stop stop_ = Stop::Lookup;
  u32 mode_ = 0;
  u64 rip_mask_ = ~0ull;
  u64 linear_mask_ = ~0ull;
};

/// A block's uops from its micro-ops.
std::unique_ptr<CompiledBlock> compile(const translator::Block& block);

}  // namespace penumbra::jit
