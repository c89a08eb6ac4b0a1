#include "jit/stencil/baseline.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "common/log.h"
#include "cpu/semantics/divide.h"
#include "cpu/semantics/vector_checked.h"
#include "cpu/x87/host_unit_x86.h"
#include "jit/interp/handler_support.h"
#include "jit/stencil/host_level.h"
#include "jit/stencil/host_listing.h"
#include "jit/stencil/thunks.h"

namespace penumbra::jit {

using translator::kNoSlot;

namespace {

u8* at_slot(cpu::CpuState& s, translator::Slot slot) { return reinterpret_cast<u8*>(&s) + slot; }

void copy_vector(void* to, const void* from, bool is_wide) {
  if (is_wide) {
    std::memcpy(to, from, 32);
  } else {
    std::memcpy(to, from, 16);
  }
}

/// The slots become current, from the registers.
void save_vectors(cpu::CpuState& s, const Site& site, const cpu::VectorRegister* registers) {
  for (u32 i = 0; i < site.newer; ++i) {
    const HeldVector& held = site.vectors[i];
    copy_vector(at_slot(s, held.slot), &registers[held.host], held.is_wide);
  }
}

void restore_vectors(cpu::CpuState& s, const Site& site, cpu::VectorRegister* registers) {
  for (u32 i = site.newer; i < site.newer + site.wanted; ++i) {
    const HeldVector& held = site.vectors[i];
    registers[held.host] = {};
    copy_vector(&registers[held.host], at_slot(s, held.slot), held.is_wide);
  }
}

}  // namespace

extern "C" const u8* penumbra_slow_path(cpu::CpuState* s, const Site* site,
                                        cpu::VectorRegister* vectors) {
  if (site->kind == Site::Kind::ExplicitFlags) {  // has nothing to do with vectors
    s->set_flag_state(site->flags_before);
    s->set_arithmetic_flags(s->arithmetic_flags());
    return kBehindSite;
  }
  save_vectors(*s, *site, vectors);
  const u8* next = static_cast<Baseline*>(s->baseline)->slow_path(*s, *site);
  if (next == kBehindSite) restore_vectors(*s, *site, vectors);
  return next;
}

extern "C" __attribute__((preserve_most)) u8* penumbra_harmless_store(cpu::CpuState* s,
                                                                      const Site* site,
                                                                      u64 linear) {
  const auto& view = *static_cast<const mmu::ShadowTable*>(s->table);
  return static_cast<Baseline*>(s->baseline)
      ->store_filter()
      .harmless(view, linear, bytes(site->width));
}

extern "C" const u8* penumbra_follow_exit(cpu::CpuState* s, NativeExit* exit) {
  return static_cast<Baseline*>(s->baseline)->follow(*s, *exit);
}

extern "C" const u8* penumbra_find_code(cpu::CpuState* s) {
  return static_cast<Baseline*>(s->baseline)->next(*s);
}

Baseline::Baseline(cpu::CpuContext& context, mmu::AddressSpace& space, mmu::Mmu& mmu,
                   SlowPath& slow, CodeSource& source, Boundary& boundary)
    : context_(context),
      mmu_(mmu),
      store_filter_(space.store_filter()),
      slow_(slow),
      source_(source),
      boundary_(boundary),
      stencils_(stencil_tables(host_level())),
      generator_(stencils_, thunks_, constants_) {
  place_thunks(memory_, stencils_.tables(), thunks_, constants_);
}

Baseline::~Baseline() = default;

Stop Baseline::run(CodeMode mode) {
  CpuState& s = context_.state;
  set_mode(mode);
  s.jumps = jumps_.data();
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
  context_.state.code_mode = mode_;
  context_.state.linear_mask = slow_.linear_mask();
  set_segment_base(mode.is_long() ? 0 : context_.state.seg(Segment::Cs).base);
}

/// The stack of returns does not tell bases apart.
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
      s.rip = slow_.rip_at(refused->ir.start);
      stop_ = Stop::Slice;
      return nullptr;
    }
    case Leave::Reason::Stale:
      ++counters_.invalid;
      s.rip = slow_.rip_at(static_cast<NativeBlock*>(leave.record)->ir.start);
      jump_at(s) = {};
      break;
    case Leave::Reason::Stopped:
      if (stop_ != Stop::Lookup) return nullptr;
      break;
  }
  return next(s);
}

/// Code at state.rip with the key current, or nullptr with stop_ set.
const u8* Baseline::next(CpuState& s) {
  ++counters_.jumps_asked;
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
  auto translated = source_.translate(at, kMostInstructions, translator::BehindJump::GoOn);
  if (!translated) {
    slow_.set_fault(translated.error());
    stop_ = Stop::Fault;
    return nullptr;
  }
  make_room(Generator::most_bytes(translated->ir));
  auto block = generator_.generate(std::move(*translated), memory_);
  if (may_return(block->place)) block->keep_original();
  counters_.code_bytes += block->size;
  for (HostCodeObserver* observer : observers_) {
    observer->generated({block->code, block->size, at.physical, block->ir.mode});
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
  if (renew(s, exit)) return exit.target->code;
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
    if (far) exit.far = cache_of(s, *target, from_base, exit.offset);
    ++counters_.links;
  }
  return code_of(target);
}

FarLinkCache Baseline::cache_of(const CpuState& s, const NativeBlock& target, u64 from_base,
                                u64 offset) {
  return {.key = s.execute_key,
          .from_base = from_base,
          .to_base = s.code_base,
          .offset = offset,
          .place = target.place.key.code};
}

/// Whether an exit to another page leads where it led before, in the address space in force now.
bool Baseline::renew(CpuState& s, NativeExit& exit) {
  if (!exit.leaves_page() || exit.target == nullptr) return false;
  u64 from_base = s.code_base;
  u64 rip = slow_.rip_at(exit.offset);
  u64 linear = (rip + s.code_segment_base) & s.linear_mask;
  if (mmu_.table()->for_execute(linear) != exit.far.place) return false;
  s.code_base = rip - (linear & kPageMask);
  refresh_key(s);
  exit.far = cache_of(s, *exit.target, from_base, exit.offset);
  return true;
}

CpuState::JumpEntry& Baseline::jump_at(const CpuState& s) {
  return jumps_[CpuState::jump_index(s.rip, s.jump_seed)];
}

u64 Baseline::linear_rip(const CpuState& s) const {
  return (s.rip + s.code_segment_base) & s.linear_mask;
}

/// With code_base that of RIP.
void Baseline::remember_jump(CpuState& s, const NativeBlock& block) {
  refresh_key(s);
  jump_at(s) = {s.rip, s.execute_key, block.code, s.code_base};
}

/// As generated code looks up a jump.
const u8* Baseline::remembered_jump(CpuState& s) {
  refresh_key(s);
  const CpuState::JumpEntry& entry = jump_at(s);
  if (entry.rip != s.rip || entry.key != s.execute_key) return nullptr;
  s.code_base = entry.code_base;
  return static_cast<const u8*>(entry.code);
}

/// Where the table in force has RIP's code, and it was translated, in whatever address space.
NativeBlock* Baseline::known_block(CpuState& s) {
  u64 linear = linear_rip(s);
  const u8* place = mmu_.table()->for_execute(linear);
  if (place == nullptr || !slow_.valid_target(s.rip)) return nullptr;
  s.code_base = s.rip - (linear & kPageMask);
  return cache_.find({place, mode_});
}

/// The mode and the code mappings in force; the epoch is unique over address spaces.
void Baseline::refresh_key(CpuState& s) {
  mmu::ShadowTable* table = mmu_.table();
  s.table = table;
  s.execute_key = table->execute_epoch << 24 | (mode_ & 0xffffff);
  s.jump_seed = table->execute_epoch * kSpread;
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
  std::ranges::fill(s.returns, CpuState::ReturnEntry{});
}

std::string Baseline::describe(GuestPhys address, CodeMode mode) const {
  std::string text;
  cache_.visit_at(address, [&](const NativeBlock& block) {
    if (block.ir.mode != mode) return;
    text += fmt::format("block of {} instructions at physical {:x}\n", block.count(),
                        block.place.physical.value);
    text += print(list_code(block, thunks_, constants_));
  });
  return text;
}

void Baseline::add_counters(EngineCounters& sum) const {
  using Kind = Site::Kind;
  auto taken = [&](std::initializer_list<Kind> kinds) {
    u64 number = 0;
    for (Kind kind : kinds) number += slow_paths_[static_cast<size_t>(kind)];
    return number;
  };
  sum.lookups += counters_.lookups;
  sum.links += counters_.links;
  sum.code_bytes = counters_.code_bytes;
  sum.code_evictions = counters_.code_evictions;
  sum.translation_ns = counters_.translation_ns;
  sum.jumps_asked = counters_.jumps_asked;
  sum.links_asked = counters_.links_asked;
  sum.ends_of_slice = counters_.ends_of_slice;
  sum.invalid = counters_.invalid;
  sum.slow = {.loads = taken({Kind::Load, Kind::LoadForWrite, Kind::LoadVector}),
              .stores = taken({Kind::Store, Kind::StoreVector}),
              .calls = taken({Kind::Call}),
              .micro_ops = taken({Kind::Execute}),
              .flags = taken({Kind::ExplicitFlags}),
              .floating_point = taken({Kind::CheckFpu, Kind::BeginSse, Kind::EndSse}),
              .segments = taken({Kind::Linear}),
              .second_pages = taken({Kind::NextPage}),
              .faults = taken({Kind::Raise, Kind::Misaligned, Kind::BadTarget, Kind::Divide})};
}

void Baseline::flush() {
  cache_.clear();
  for (auto& blocks : generated_) blocks.clear();
  versions_.clear();
  forget_jumps(context_.state);
  cache_.collect();
}

// -- slow paths
// --------------------------------------------------------------------------------------

bool Baseline::stop_before(CpuState& s, const Site& site, Stop stop) {
  s.set_flag_state(site.flags_before);
  s.rip = slow_.rip_at(site.owner->ir.instructions[site.instruction].offset);
  s.instructions_left += static_cast<i64>(site.owner->count()) - site.instruction;
  stop_ = stop;
  return false;
}

namespace {

/// What is quick and computes nothing in floating point.
bool leaves_unit_alone(Site::Kind kind) {
  return kind == Site::Kind::Linear || kind == Site::Kind::ExplicitFlags ||
         kind == Site::Kind::Divide;
}

}  // namespace

/// C++ finds the x87 state in its place and the host's unit as its ABI says.
void Baseline::take_back_unit(CpuState& s) {
  if (!s.x87_on_host) return;
  cpu::x87::save_host(s.x87);
  s.x87_on_host = false;
}

void Baseline::set_unit_pointers(CpuState& s, const Site& site) {
  const UnitMark& mark = site.owner->unit_marks[site.unit_mark];
  s.x87.ip = slow_.rip_at(mark.offset);
  s.x87.cs = s.seg(Segment::Cs).selector;
  s.x87.opcode = mark.opcode;
  if (mark.data != Segment::None) s.x87.ds = s.seg(mark.data).selector;
}

const u8* Baseline::slow_path(CpuState& s, const Site& site) {
  ++slow_paths_[static_cast<size_t>(site.kind)];
  if (site.unit_mark != Site::kNoMark) set_unit_pointers(s, site);
  if (!leaves_unit_alone(site.kind)) take_back_unit(s);
  if (goes_on(s, site)) return kBehindSite;
  take_back_unit(s);
  return stop_ == Stop::Retired || stop_ == Stop::Fault ? settle(s) : nullptr;
}

/// Straight on to what follows an event, without leaving generated code.
const u8* Baseline::settle(CpuState& s) {
  CodeMode mode{mode_};
  stop_ = boundary_.settle(stop_, mode);
  if (stop_ != Stop::Lookup) return nullptr;
  set_mode(mode);
  return next(s);
}

bool Baseline::goes_on(CpuState& s, const Site& site) {
  switch (site.kind) {
    case Site::Kind::Load:
    case Site::Kind::LoadForWrite:
    case Site::Kind::LoadVector:
      return load(s, site);
    case Site::Kind::Store:
    case Site::Kind::StoreVector:
      return store(s, site);
    case Site::Kind::Linear: {
      auto* bytes = reinterpret_cast<u8*>(&s);
      u64 linear = 0;
      if (!slow_.linear_address(site.segment, site.immediate, load_from<u64>(bytes + site.address),
                                linear)) {
        return stop_before(s, site, Stop::Fault);
      }
      store_to<u64>(bytes + site.slot, linear);
      return true;
    }
    case Site::Kind::Divide:
      if (divides(s, site)) return true;
      slow_.set_fault(Fault::of(Vector::De));
      return stop_before(s, site, Stop::Fault);
    case Site::Kind::CheckFpu:
      if (!slow_.check_fpu()) return stop_before(s, site, Stop::Fault);
      return true;
    case Site::Kind::BeginSse:
      s.mxcsr = cpu::begin_checked(s.mxcsr);
      return true;
    case Site::Kind::EndSse:
      if (!slow_.end_checked_sse(site.immediate, site.slot, site.address, site.third)) {
        return stop_before(s, site, Stop::Fault);
      }
      return true;
    case Site::Kind::Call:
      return call(s, site);
    case Site::Kind::Raise:
      slow_.set_fault(Fault::of(static_cast<Vector>(site.immediate)));
      return stop_before(s, site, Stop::Fault);
    case Site::Kind::Execute: {
      const Uop* program = site.detail.program;
      program->handler(&s, program, static_cast<const mmu::ShadowTable*>(s.table), 0);
      return true;
    }
    case Site::Kind::NextPage:
      return next_page(s, site);
    case Site::Kind::ExplicitFlags:  // done
      return true;
    case Site::Kind::Misaligned:
    case Site::Kind::BadTarget:
      slow_.set_fault(Fault::gp());
      return stop_before(s, site, Stop::Fault);
  }
  return false;
}

bool Baseline::load(CpuState& s, const Site& site) {
  u64 value[4] = {};
  bool for_write = site.kind == Site::Kind::LoadForWrite;
  bool done = for_write
                  ? slow_.read_for_write(site.segment, s.slow_linear, value, bytes(site.width))
                  : slow_.read(site.segment, s.slow_linear, value, bytes(site.width));
  refresh_key(s);
  if (!done) return stop_before(s, site, Stop::Fault);
  u8* to = reinterpret_cast<u8*>(&s) + site.slot;
  if (site.kind != Site::Kind::LoadVector) {
    store_to<u64>(to, value[0]);
  } else {
    std::memcpy(to, value, site.width == Width::W256 ? 32 : 16);
  }
  return true;
}

/// Whether a store within a page goes into the block's code. What the view in force does not hold
/// is walked for.
bool Baseline::changes(const NativeBlock& block, u64 linear, u32 size) {
  if (const u8* host = mmu_.table()->for_tracked_write(linear, size)) {
    return block.place.made_from(host, size);
  }
  GuestPhys at;
  return mmu_.peek(linear, at) && block.place.overlaps(at.value, at.value + size);
}

bool Baseline::store(CpuState& s, const Site& site) {
  u32 size = bytes(site.width);
  const void* value = site.slot == kNoSlot ? static_cast<const void*>(&site.immediate)
                                           : reinterpret_cast<const u8*>(&s) + site.slot;
  // A store into the running block: tier 0 finishes the instruction.
  u32 first = std::min(size, static_cast<u32>(kPageSize - (s.slow_linear & kPageMask)));
  bool own = changes(*site.owner, s.slow_linear, first) ||
             (first != size && changes(*site.owner, s.slow_linear + first, size - first));
  if (own) return stop_before(s, site, Stop::Single);
  bool done = slow_.write(site.segment, s.slow_linear, value, size);
  refresh_key(s);
  return done || stop_before(s, site, Stop::Fault);
}

bool Baseline::divides(const CpuState& s, const Site& site) const {
  bool divides = false;
  for_width(site.width, [&]<class T>(T) {
    auto value = [&](Slot slot) { return load_from<T>(reinterpret_cast<const u8*>(&s) + slot); };
    T low = value(site.slot), high = value(site.third), divisor = value(site.address);
    divides = site.immediate != 0 ? cpu::divides<T, true>(low, high, divisor)
                                  : cpu::divides<T, false>(low, high, divisor);
  });
  return divides;
}

bool Baseline::next_page(CpuState& s, const Site& site) {
  NativeBlock& block = *site.owner;
  auto same = source_.same_code(source_.next_page(), block.place.next_page_code);
  refresh_key(s);
  if (same && *same) return true;
  if (!same) {
    slow_.set_fault(same.error());
    return stop_before(s, site, Stop::Fault);
  }
  cache_.invalidate(block);
  return stop_before(s, site, Stop::Lookup);
}

bool Baseline::call(CpuState& s, const Site& site) {
  i64 left = s.instructions_left;
  stop_before(s, site, Stop::Fault);
  i64 rest = s.instructions_left - left;
  const auto& instruction = site.owner->ir.instructions[site.instruction];
  auto stop = slow_.call(*site.detail.call, instruction, rest, site.owner->valid);
  if (stop) {
    stop_ = *stop;
    return false;
  }
  refresh_key(s);
  bool unit = site.detail.call->call.effects & translator::RunsOnUnit;
  if (unit && cpu::x87::may_be_on_host(s.x87)) {
    cpu::x87::load_host(s.x87);
    s.x87_on_host = true;
  }
  return true;
}

}  // namespace penumbra::jit
