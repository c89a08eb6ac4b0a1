#include "jit/stencil/baseline.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "cpu/x87/host_unit_x86.h"
#include "jit/interp/uop.h"
#include "jit/stencil/host_listing.h"
#include "jit/stencil/thunks.h"

namespace penumbra::jit {

extern "C" const u8* penumbra_follow_exit(cpu::CpuState* s, NativeExit* exit) {
  return static_cast<Baseline*>(s->baseline)->follow(*s, *exit);
}

extern "C" const u8* penumbra_find_code(cpu::CpuState* s) {
  return static_cast<Baseline*>(s->baseline)->next(*s);
}

Baseline::Baseline(cpu::CpuContext& context, mmu::AddressSpace& space, mmu::Mmu& mmu,
                   SlowPath& slow, CodeSource& source, Boundary& boundary,
                   const Variation& variation)
    : context_(context),
      mmu_(mmu),
      store_filter_(space.store_filter()),
      slow_(slow),
      source_(source),
      boundary_(boundary),
      variation_(variation),
      stencils_(stencil_tables(variation.level)),
      generator_(stencils_, thunks_, constants_, variation_) {
  place_thunks(memory_, stencils_.tables(), thunks_, constants_);
}

Baseline::~Baseline() = default;

Stop Baseline::run(CodeMode mode) {
  CpuState& s = context_.state;
  set_mode(mode);
  s.execute_key = 0;
  s.baseline = this;
  const u8* code = next(s);
  while (code != nullptr) {
    Leave leave = enter_native(&s, code);
    take_back_unit(s);
    code = resume(s, leave);
  }
  return stop_;
}

void Baseline::set_mode(CodeMode mode) {
  mode_ = mode.word;
  slow_.set_mode(mode);
  context_.state.linear_mask = slow_.linear_mask();
  set_segment_base(mode.is_long() ? 0 : context_.state.seg(Segment::Cs).base);
}

/// Remembered returns do not tell bases apart.
void Baseline::set_segment_base(u64 base) {
  context_.state.code_segment_base = base;
  if (base == segment_base_) return;
  segment_base_ = base;
  forget_jumps(context_.state);
}

/// What follows generated code that left: code, or nullptr with stop_ set.
const u8* Baseline::resume(CpuState& s, const Leave& leave) {
  switch (leave.reason) {
    case Leave::Reason::Slice: {
      auto* refused = static_cast<NativeBlock*>(leave.record);
      ++counters_.ends_of_slice;
      s.instructions_left += static_cast<i64>(refused->count());
      s.rip = slow_.rip_at(refused->offset);
      stop_ = Stop::Slice;
      return nullptr;
    }
    case Leave::Reason::Stale:
      ++counters_.invalid;
      s.rip = slow_.rip_at(static_cast<NativeBlock*>(leave.record)->offset);
      jump_at(s) = {};
      break;
    case Leave::Reason::Stopped:
      if (stop_ != Stop::Lookup) return nullptr;
      break;
  }
  return next(s);
}

/// The first byte of the code at state.rip, with the key current, or nullptr with stop_ set.
const u8* Baseline::next(CpuState& s) {
  ++counters_.jumps_asked;
  u64 every = variation_.jumps_between_flushes;
  if (every != 0 && counters_.jumps_asked % every == 0) forget_jumps(s);
  // At the slice's end traps and interrupts come first, before a fetch that may fault.
  stop_ = Stop::Slice;
  if (s.instructions_left <= 0) return nullptr;
  if (const u8* code = remembered_jump(s)) return code;
  NativeBlock* block = known_block(s);
  if (block == nullptr) block = find_or_translate(s);
  if (block != nullptr) remember_jump(s, *block);
  return code_of(block);
}

const u8* Baseline::code_of(const NativeBlock* block) {
  return block == nullptr ? nullptr : block->code;
}

// -- finding and making blocks
// -----------------------------------------------------------------------

NativeBlock* Baseline::find_or_translate(CpuState& s) {
  take_back_unit(s);
  ++counters_.lookups;
  auto location = source_.locate(mode_);
  if (!location) {
    slow_.set_fault(location.error());
    stop_ = Stop::Fault;
    return nullptr;
  }
  return find(*location);
}

NativeBlock* Baseline::find(const CodeSource::Location& at) {
  if (NativeBlock* known = cache_.find(at.key)) return known;
  if (NativeBlock* known = revive(at.key)) return known;
  return translate(at);
}

NativeBlock* Baseline::translate(const CodeSource::Location& at) {
  auto start = std::chrono::steady_clock::now();
  NativeBlock* block = make_block(at);
  counters_.translation_ns += static_cast<u64>((std::chrono::steady_clock::now() - start).count());
  return block;
}

NativeBlock* Baseline::make_block(const CodeSource::Location& at) {
  auto translated = source_.translate(at, variation_.most_instructions, variation_.behind_jump);
  if (!translated) {
    slow_.set_fault(translated.error());
    stop_ = Stop::Fault;
    return nullptr;
  }
  if (!variation_.cold_flags) {
    for (MicroOp& op : translated->ir.ops) op.cold_flags = false;
  }
  make_room(Generator::most_bytes(translated->ir));
  auto block = generator_.generate(std::move(*translated), memory_);
  if (may_return(block->place)) block->keep_original();
  counters_.code_bytes += block->size;
  for (HostCodeObserver* observer : observers_) {
    observer->generated({block->code, block->size, at.physical, block->mode});
  }
  generated_[memory_.region_of(block->code)].push_back(block.get());
  return cache_.insert(std::move(block));
}

void Baseline::drop(NativeBlock& block) {
  if (block.original == nullptr) return cache_.invalidate(block);
  auto& blocks = versions_[block.place.key].blocks;
  if (blocks.size() == kMostVersions) {
    cache_.bury(std::move(blocks.front()));
    blocks.erase(blocks.begin());
  }
  blocks.push_back(cache_.remove(block));
}

NativeBlock* Baseline::revive(const BlockKey& key) {
  auto found = versions_.find(key);
  if (found == versions_.end()) return nullptr;
  auto& [blocks, strangers] = found->second;
  auto fits = std::ranges::find_if(blocks, [](const auto& block) { return block->is_original(); });
  if (fits != blocks.end()) {
    strangers = 0;
    auto block = std::move(*fits);
    blocks.erase(fits);
    block->revive();
    source_.mark(block->place);
    return cache_.insert(std::move(block));
  }
  if (++strangers == kMostStrangers) {
    for (auto& block : blocks) cache_.bury(std::move(block));
    blocks.clear();
  }
  return nullptr;
}

/// Whether it is worth keeping the block for when its code is changed.
bool Baseline::may_return(const BlockPlace& place) const {
  if (!source_.patched().any(place)) return false;
  auto found = versions_.find(place.key);
  return found == versions_.end() || found->second.strangers < kMostStrangers;
}

/// The target of an exit that is not linked, or whose cache does not fit; nullptr with stop_ set.
const u8* Baseline::follow(CpuState& s, NativeExit& exit) {
  ++counters_.links_asked;
  if (renew(s, exit)) return exit.target->start.code;
  take_back_unit(s);
  u64 evictions = counters_.code_evictions, from_base = s.code_base;
  s.rip = slow_.rip_at(exit.offset);
  stop_ = Stop::Slice;
  if (s.instructions_left <= 0) return nullptr;
  bool far = exit.leaves_page();
  NativeBlock* target =
      far ? find_or_translate(s) : find(source_.in_page(exit.owner->place, exit.offset, mode_));
  refresh_key(s);
  // An eviction may have taken the exit with it.
  bool alive = target != nullptr && evictions == counters_.code_evictions;
  if (alive && exit.owner->valid && target->valid) {
    exit.owner->link(exit, *target);
    if (far) *exit.far = cache_of(s, *target, from_base);
    ++counters_.links;
  }
  return target == nullptr ? nullptr : target->start.code;
}

FarLinkCache Baseline::cache_of(const CpuState& s, const NativeBlock& target, u64 from_base) {
  return {.key = s.execute_key,
          .from_base = from_base,
          .to_base = s.code_base,
          .place = target.place.key.code};
}

/// Whether an exit to another page leads where it led before, in the address space in force now.
bool Baseline::renew(CpuState& s, NativeExit& exit) {
  if (!exit.leaves_page() || exit.target == nullptr) return false;
  u64 from_base = s.code_base;
  u64 rip = slow_.rip_at(exit.offset);
  u64 linear = linear_of(s, rip);
  if (mmu_.table()->for_execute(linear) != exit.far->place) return false;
  s.code_base = rip - (linear & kPageMask);
  refresh_key(s);
  *exit.far = cache_of(s, *exit.target, from_base);
  return true;
}

/// The key is current.
CpuState::JumpEntry& Baseline::jump_at(const CpuState& s) {
  return s.jumps[CpuState::jump_offset(s.rip) / sizeof *s.jumps];
}

u64 Baseline::linear_of(const CpuState& s, u64 rip) {
  return (rip + s.code_segment_base) & s.linear_mask;
}

void Baseline::remember_jump(CpuState& s, const NativeBlock& block) {
  refresh_key(s);
  jump_at(s) = {s.rip, s.execute_key, block.code};
}

/// As generated code looks up a jump.
const u8* Baseline::remembered_jump(CpuState& s) {
  refresh_key(s);
  const CpuState::JumpEntry& entry = jump_at(s);
  bool fits = entry.rip == s.rip && entry.key == s.execute_key;
  return fits ? static_cast<const u8*>(entry.code) : nullptr;
}

/// Where the table in force has RIP's code, and it was translated, in whatever address space.
NativeBlock* Baseline::known_block(CpuState& s) {
  u64 linear = linear_of(s, s.rip);
  const u8* place = mmu_.table()->for_execute(linear);
  if (place == nullptr || !slow_.valid_target(s.rip)) return nullptr;
  s.code_base = s.rip - (linear & kPageMask);
  return cache_.find({place, mode_});
}

/// The mode and the code mappings in force; the epoch is unique over address spaces.
void Baseline::refresh_key(CpuState& s) {
  mmu::ShadowTable* table = mmu_.table();
  s.table = table;
  u64 key = table->execute_epoch << 24 | (mode_ & 0xffffff);
  if (key == s.execute_key) return;
  s.execute_key = key;
  u64 spread = KeyHash::mixed(key);
  s.jumps = &jumps_[spread >> 32 & (CpuState::kJumps - 1)];
  Returns& returns = returns_[spread >> 48 & (kReturnTables - 1)];
  if (returns.key != key) {
    returns.key = key;
    returns.entries.fill({.rip = 0, .code = thunks_.lookup});  // 0 is an address like any other
  }
  s.returns = returns.entries.data();
}

// -- code memory
// -------------------------------------------------------------------------------------

/// Before a block is emitted: nothing runs, so the oldest region may go.
void Baseline::make_room(u32 bytes) {
  if (memory_.writable(bytes) != nullptr) return;
  u32 region = memory_.oldest_region();
  auto in_region = [&](const NativeBlock& block) {
    return memory_.region_of(block.code) == region;
  };
  for (NativeBlock* block : generated_[region]) cache_.invalidate(*block);
  generated_[region].clear();
  for (auto& [key, versions] : versions_) {
    std::erase_if(versions.blocks, [&](const auto& block) { return in_region(*block); });
  }
  std::erase_if(versions_, [](const auto& entry) { return entry.second.blocks.empty(); });
  forget_jumps(context_.state);
  cache_.collect_if(in_region);
  for (HostCodeObserver* observer : observers_) {
    auto code = memory_.region(region);
    observer->dropped(code.data(), code.size());
  }
  memory_.next_region();
  ++counters_.code_evictions;
}

void Baseline::forget_jumps(CpuState& s) {
  std::ranges::fill(jumps_, CpuState::JumpEntry{});
  std::ranges::fill(returns_, Returns{});
  s.execute_key = 0;
}

std::string Baseline::describe(GuestPhys address, CodeMode mode) const {
  std::string text;
  cache_.visit_at(address, [&](const NativeBlock& block) {
    if (block.mode != mode) return;
    text += fmt::format("block of {} instructions at physical {:x}\n", block.count(),
                        block.place.physical.value);
    text += print(list_code(block, thunks_, constants_));
  });
  return text;
}

EngineCounters Baseline::counters() const {
  using Kind = Site::Kind;
  auto taken = [&](std::initializer_list<Kind> kinds) {
    u64 number = 0;
    for (Kind kind : kinds) number += slow_paths_[static_cast<size_t>(kind)];
    return number;
  };
  EngineCounters all = counters_;
  all.slow = {.loads = taken({Kind::Load, Kind::LoadForWrite, Kind::LoadVector}),
              .stores = taken({Kind::Store, Kind::StoreVector}),
              .calls = taken({Kind::Call}),
              .micro_ops = taken({Kind::Execute}),
              .flags = taken({Kind::ExplicitFlags}),
              .floating_point = taken({Kind::CheckFpu, Kind::BeginSse, Kind::EndSse}),
              .segments = taken({Kind::Linear}),
              .second_pages = taken({Kind::NextPage}),
              .faults = taken({Kind::Raise, Kind::Misaligned, Kind::BadTarget, Kind::Divide})};
  return all;
}

void Baseline::flush() {
  cache_.clear();
  for (auto& blocks : generated_) blocks.clear();
  versions_.clear();
  forget_jumps(context_.state);
  cache_.collect();
}

}  // namespace penumbra::jit
