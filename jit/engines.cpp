#include "jit/engines.h"

#include <algorithm>

#include "cpu/semantics/fp_environment.h"

namespace penumbra::jit {

Engines::Engines(cpu::CpuContext& context, mmu::AddressSpace& space, mmu::Mmu& mmu,
                 Boundary& boundary, Tier tier, const Variation& variation)
    : context_(context),
      space_(space),
      boundary_(boundary),
      slow_(context, mmu),
      source_(context, space, mmu, slow_),
      interpreter_(context, slow_, source_) {
  if (tier == Tier::Baseline) {
    interpreter_.set_most_blocks(kMostSingles);
    baseline_ =
        std::make_unique<Baseline>(context, space, mmu, slow_, source_, boundary, variation);
  }
  space_.set_code_observer(this);
}

Stop Engines::run(CodeMode mode, bool single) {
  cpu::CpuState& s = context_.state;
  cpu::fp_environment::enter(s.mxcsr);
  Stop stop = single ? run_single(mode) : run_blocks(mode);
  s.mxcsr = cpu::fp_environment::leave(s.mxcsr);
  return stop;
}

Stop Engines::run_blocks(CodeMode mode) {
  for (;;) {
    Stop stop = baseline_ ? run_baseline(mode) : interpreter_.run(mode, false);
    if (stop == Stop::Retired || stop == Stop::Fault) stop = boundary_.settle(stop, mode);
    if (stop != Stop::Lookup) return stop;
  }
}

Stop Engines::run_baseline(CodeMode mode) {
  for (;;) {
    Stop stop = baseline_->run(mode);
    if (stop != Stop::Single) return stop;
    mode = baseline_->mode();
    stop = run_single(mode);
    if (stop != Stop::Slice || context_.state.instructions_left <= 0) return stop;
  }
}

/// One instruction in tier 0, within what is left of the slice.
Stop Engines::run_single(CodeMode mode) {
  i64& left = context_.state.instructions_left;
  i64 before = left;
  left = 1;
  Stop stop = interpreter_.run(mode, true);
  stepped_ += static_cast<u64>(1 - left);
  left = before - (1 - left);
  return stop;
}

void Engines::flush() {
  interpreter_.cache().clear();
  if (baseline_) baseline_->flush();
}

Engines::~Engines() { space_.set_code_observer(nullptr); }

EngineCounters Engines::counters() const {
  EngineCounters counters = baseline_ ? baseline_->counters() : EngineCounters();
  counters.stepped = stepped_;
  counters.blocks = source_.counters().blocks;
  counters.instructions = source_.counters().instructions;
  counters.lookups += interpreter_.counters().lookups;
  counters.links += interpreter_.counters().links;
  counters.invalidations = invalidations_;
  return counters;
}

void Engines::observe_host_code(HostCodeObserver* observer) {
  if (baseline_) baseline_->add_observer(observer);
}

std::string Engines::describe_blocks(GuestPhys address, CodeMode mode) const {
  return baseline_ ? baseline_->describe(address, mode) : std::string();
}

void Engines::code_written(GuestPhys address, u64 size) {
  for (u64 at = address.value, end = at + size; at < end; at = page_of(at) + kPageSize) {
    invalidate(at, std::min(end, page_of(at) + kPageSize));
  }
}

/// Blocks go, and so do the marks of their bytes in this page where no other block has them.
void Engines::invalidate(u64 begin, u64 end) {
  u64 page = page_of(begin), first = begin, last = end, before = invalidations_;
  auto each = [&](auto& cache, auto drop) {
    for (auto* block : cache.overlapping(begin, end)) {
      bool starts_here = page_of(block->place.physical.value) == page;
      if (starts_here) {
        first = std::min(first, block->place.physical.value);
        last = std::max(last, block->place.physical.value + block->place.size);
      }
      drop(*block);
      ++invalidations_;
    }
  };
  each(interpreter_.cache(), [&](CompiledBlock& block) { interpreter_.cache().invalidate(block); });
  if (baseline_) each(baseline_->cache(), [&](NativeBlock& block) { baseline_->drop(block); });
  if (invalidations_ != before) source_.patched().note({begin}, end - begin);
  space_.clear_code({first}, last - first);
  auto mark = [&](const auto& block) {
    if (block.place.overlaps(first, last)) source_.mark(block.place);
  };
  interpreter_.cache().visit_page({page}, mark);
  if (baseline_) baseline_->cache().visit_page({page}, mark);
}

}  // namespace penumbra::jit
