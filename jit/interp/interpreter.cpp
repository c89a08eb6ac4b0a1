#include "jit/interp/interpreter.h"

#include "jit/interp/handlers.h"

namespace penumbra::jit {
namespace {

/// Longest block: bounds what a slice's end has to step through one by one.
constexpr u32 kMostInstructions = 64;

/// The only way from C++ into handlers; without locals, so that it needs no frame of its own.
__attribute__((noinline)) void enter(CpuState* s, const Uop* u, const mmu::ShadowTable* t,
                                     i64 left) {
  u->handler(s, u, t, left);
}

}  // namespace

Stop Interpreter::run(CodeMode mode, bool single) {
  CpuState& s = context_.state;
  mode_ = mode.word | (single ? BlockKey::kSingle : 0);
  slow_.set_mode(mode);
  s.engine = this;
  s.code_segment_base = mode.is_long() ? 0 : s.seg(Segment::Cs).base;
  cache_.collect();
  do {
    const BlockCode* block = find_or_translate(s);
    if (block == nullptr) {
      stop_ = Stop::Fault;
      break;
    }
    i64 left = s.instructions_left - block->count;
    if (left < __atomic_load_n(&s.stop_below, __ATOMIC_RELAXED)) {
      stop_ = Stop::Slice;
      break;
    }
    enter(&s, block->uops, static_cast<const mmu::ShadowTable*>(s.table), left);
    // At the slice's end traps and interrupts come first, before a fetch that may fault.
  } while (stop_ == Stop::Lookup && s.instructions_left > 0);
  if (stop_ == Stop::Lookup) stop_ = Stop::Slice;
  return stop_;
}

// -- finding and making blocks
// -----------------------------------------------------------------------

const BlockCode* Interpreter::find_or_translate(CpuState& s) {
  auto* table = static_cast<const mmu::ShadowTable*>(s.table);
  if (const BlockCode* known = probe(s, table, s.rip)) return known;
  ++counters_.lookups;
  auto location = source_.locate(mode_);
  if (!location) {
    slow_.set_fault(location.error());
    return nullptr;
  }
  CompiledBlock* block = cache_.find(location->key);
  if (block == nullptr) block = translate(*location);
  return block == nullptr ? nullptr : block->code();
}

CompiledBlock* Interpreter::translate(const CodeSource::Location& at) {
  auto translated = source_.translate(at, kMostInstructions, translator::BehindJump::End);
  if (!translated) {
    slow_.set_fault(translated.error());
    return nullptr;
  }
  auto compiled = compile(translated->ir, at.key.code - translated->ir.start);
  compiled->place = translated->place;
  if (cache_.size() >= most_blocks_) cache_.clear();
  return cache_.insert(std::move(compiled));
}

const BlockCode* Interpreter::link(const Uop* u) {
  CompiledBlock& source = *BlockCode::of(u)->owner;
  auto location = source_.in_page(source.place, static_cast<u64>(u->displacement), mode_);
  CompiledBlock* target = cache_.find(location.key);
  if (target == nullptr) target = translate(location);
  if (target == nullptr) return nullptr;
  ++counters_.links;
  if (source.valid && target->valid) source.link(const_cast<Uop&>(*u), *target);
  return target->code();
}

bool Interpreter::check_next_page(CpuState& s, const Uop* u, i64 left) {
  CompiledBlock& block = *BlockCode::of(u)->owner;
  auto same = source_.same_code(source_.next_page(), block.place.next_page_code);
  if (same && *same) return true;
  if (!same) {
    slow_.set_fault(same.error());
    stop_before(s, u, left, Stop::Fault);
    return false;
  }
  cache_.invalidate(block);
  stop_before(s, u, left, Stop::Lookup);
  return false;
}

// -- leaving
// -----------------------------------------------------------------------------------------

const UopSite& Interpreter::site(const Uop* u) const {
  return BlockCode::of(u)->owner->sites[u->index];
}

void Interpreter::stop_before(CpuState& s, const Uop* u, i64 left, Stop stop) {
  const BlockCode* code = BlockCode::of(u);
  const UopSite& where = code->owner->sites[u->index];
  s.set_flag_state(where.flags_before);
  s.rip = slow_.rip_at(code->owner->ir.instructions[where.instruction].offset);
  s.instructions_left = left + code->count - where.instruction;
  stop_ = stop;
}

/// A store changed the running block: it ends behind this instruction.
void Interpreter::leave_if_invalid(const Uop* u) {
  const CompiledBlock& block = *BlockCode::of(u)->owner;
  if (block.valid) return;
  u16 instruction = site(u).instruction;
  for (size_t i = u->index + 1u; i < block.sites.size(); ++i) {
    if (block.sites[i].instruction == instruction) continue;
    const_cast<Uop*>(u)[i - u->index].handler = leave_handler();
    return;
  }
}

// -- memory
// ------------------------------------------------------------------------------------------

bool Interpreter::read(const Uop* u, u64 linear, void* out, u32 size) {
  return slow_.read(site(u).segment, linear, out, size);
}

bool Interpreter::read_for_write(const Uop* u, u64 linear, void* out, u32 size) {
  return slow_.read_for_write(site(u).segment, linear, out, size);
}

bool Interpreter::write(const Uop* u, u64 linear, const void* in, u32 size) {
  if (!slow_.write(site(u).segment, linear, in, size)) return false;
  leave_if_invalid(u);
  return true;
}

bool Interpreter::linear_address(const Uop* u, u64 offset, u64& linear) {
  return slow_.linear_address(site(u).segment, u->immediate, offset, linear);
}

// -- named operations
// --------------------------------------------------------------------------------

bool Interpreter::call(CpuState& s, const Uop* u) {
  const auto& where = *reinterpret_cast<const translator::CallSite*>(u->immediate);
  i64 left = s.instructions_left;
  stop_before(s, u, left, Stop::Fault);
  i64 rest = s.instructions_left - left;
  const CompiledBlock& block = *BlockCode::of(u)->owner;
  auto stop = slow_.call(where, block.ir.instructions[site(u).instruction], rest, block.valid);
  if (stop) stop_ = *stop;
  return !stop;
}

}  // namespace penumbra::jit
