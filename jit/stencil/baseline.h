// Tier 1: runs blocks of generated code.
//
// The same contract as tier 0 (jit/interp/interpreter.h): from state.rip until a reason to stop, at
// an exact instruction boundary with all state current. What generated code leaves out ends in
// Stop::Single: one instruction for tier 0.
// Between its instructions, generated code may keep the guest's x87 state on the host's unit.
#pragma once

#include "common/host_code.h"
#include "jit/cache/block_cache.h"
#include "jit/core/boundary.h"
#include "jit/core/counters.h"
#include "jit/stencil/entry_x86.h"
#include "jit/stencil/generator.h"

namespace penumbra::jit {

using cpu::CpuState;

class Baseline {
 public:
  Baseline(cpu::CpuContext& context, mmu::AddressSpace& space, mmu::Mmu& mmu, SlowPath& slow,
           CodeSource& source, Boundary& boundary, const Variation& variation);
  ~Baseline();

  /// Starts in `mode`; mode() is that in which it stopped.
  Stop run(CodeMode mode);
  CodeMode mode() const { return {mode_}; }
  EngineCounters counters() const;
  BlockCache<NativeBlock>& cache() { return cache_; }
  /// It is told of all code from now on, and outlives this.
  void add_observer(HostCodeObserver* observer) { observers_.push_back(observer); }
  /// Listings of the blocks with the byte at `address`; empty where there is none.
  std::string describe(GuestPhys address, CodeMode mode) const;
  /// Forgets every block. No block may be running.
  void flush();
  /// The block's code was changed. Where that happens again and again, it is kept.
  void drop(NativeBlock& block);

  const mmu::StoreFilter& store_filter() const { return store_filter_; }
  // -- for generated code (entry_x86.h)
  const u8* slow_path(CpuState& s, const Site& site);
  const u8* follow(CpuState& s, NativeExit& exit);
  void make_flags(CpuState& s, const Site& site);
  /// A load or store over the border of two pages that the view in force has; false: not done.
  bool crosses(CpuState& s, const Site& site);
  const u8* next(CpuState& s);

 private:
  static constexpr u64 kReturnTables = 8;
  static constexpr u32 kRegions = 8;
  static constexpr size_t kMostVersions = 4;  ///< of a block, beside the valid one
  /// Code that was other code so often in a row is not expected back.
  static constexpr u32 kMostStrangers = 16;

  NativeBlock* find_or_translate(CpuState& s);
  NativeBlock* find(const CodeSource::Location& at);
  NativeBlock* translate(const CodeSource::Location& at);
  NativeBlock* make_block(const CodeSource::Location& at);
  NativeBlock* revive(const BlockKey& key);
  bool may_return(const BlockPlace& place) const;
  bool renew(CpuState& s, NativeExit& exit);
  static FarLinkCache cache_of(const CpuState& s, const NativeBlock& target, u64 from_base);
  const u8* resume(CpuState& s, const Leave& leave);
  static const u8* code_of(const NativeBlock* block);
  void set_mode(CodeMode mode);
  void set_segment_base(u64 base);
  bool goes_on(CpuState& s, const Site& site);
  const u8* settle(CpuState& s);
  CpuState::JumpEntry& jump_at(const CpuState& s);
  static u64 linear_of(const CpuState& s, u64 rip);
  void remember_jump(CpuState& s, const NativeBlock& block);
  const u8* remembered_jump(CpuState& s);
  NativeBlock* known_block(CpuState& s);
  void refresh_key(CpuState& s);
  void make_room(u32 bytes);
  void forget_jumps(CpuState& s);

  bool stop_before(CpuState& s, const Site& site, Stop stop);
  bool load(CpuState& s, const Site& site);
  bool store(CpuState& s, const Site& site);
  bool changes(const NativeBlock& block, u64 linear, u32 size);
  bool call(CpuState& s, const Site& site);
  bool divides(const CpuState& s, const Site& site) const;
  bool next_page(CpuState& s, const Site& site);
  void take_back_unit(CpuState& s);
  void set_unit_pointers(CpuState& s, const Site& site);

  cpu::CpuContext& context_;
  mmu::Mmu& mmu_;
  mmu::StoreFilter store_filter_;
  SlowPath& slow_;
  CodeSource& source_;
  Boundary& boundary_;
  const Variation variation_;
  CodeMemory memory_{variation_.code_bytes, kRegions};
  Stencils stencils_;
  Thunks thunks_;
  u64 constants_ = 0;
  Generator generator_;
  BlockCache<NativeBlock> cache_;
  /// Every block with code in a region, valid or not: they live as long as the region.
  std::array<std::vector<NativeBlock*>, kRegions> generated_;
  /// Blocks of patched code, invalid now, that are valid again where their bytes come back.
  struct Versions {
    std::vector<std::unique_ptr<NativeBlock>> blocks;
    u32 strangers = 0;  ///< contents that were none of them, since one was
  };
  std::unordered_map<BlockKey, Versions, KeyHash> versions_;
  std::vector<CpuState::JumpEntry> jumps_ = std::vector<CpuState::JumpEntry>(2 * CpuState::kJumps);
  struct Returns {
    u64 key = 0;  ///< of all entries
    std::array<CpuState::ReturnEntry, CpuState::kReturns> entries{};
  };
  std::vector<Returns> returns_ = std::vector<Returns>(kReturnTables);  ///< by a hash of the key
  std::vector<HostCodeObserver*> observers_;
  EngineCounters counters_;
  std::array<u64, Site::kKinds> slow_paths_{};  ///< taken
  Stop stop_ = Stop::Lookup;
  u32 mode_ = 0;
  u64 segment_base_ = 0;  ///< that the remembered jumps are of
};

}  // namespace penumbra::jit
