#include "jit/interp/interpreter.h"

#include "common/log.h"
#include "cpu/mode.h"
#include "cpu/operand_access.h"
#include "cpu/semantics/fp_environment.h"
#include "cpu/semantics/vector_checked.h"
#include "jit/interp/handlers.h"
#include "translator/translate.h"

namespace penumbra::jit {
namespace {

/// Longest block: bounds what a slice's end has to step through one by one.
constexpr u32 kMostInstructions = 64;

/// The only way from C++ into handlers; without locals, so that it needs no frame of its own.
__attribute__((noinline)) void enter(CpuState* s, const Uop* u, const mmu::ShadowTable* t,
                                     i64 left) {
  u->handler(s, u, t, left);
}

bool is_canonical(u64 linear) {
  i64 extended = static_cast<i64>(linear << 16) >> 16;
  return static_cast<u64>(extended) == linear;
}

}  // namespace

Interpreter::Interpreter(cpu::CpuContext& context, mmu::AddressSpace& space, mmu::Mmu& mmu)
    : context_(context), space_(space), mmu_(mmu) {
  space_.set_code_observer(this);
}

Interpreter::~Interpreter() { space_.set_code_observer(nullptr); }

Stop Interpreter::run(CodeMode mode, bool single) {
  CpuState& s = context_.state;
  mode_ = mode.word | (single ? BlockKey::kSingle : 0);
  bool is_long = mode.is_long();
  rip_mask_ = is_long ? ~0ull : 0xffffffffull;
  linear_mask_ = rip_mask_;
  s.engine = this;
  s.code_segment_base = is_long ? 0 : s.seg(Segment::Cs).base;
  cache_.collect();
  cpu::fp_environment::enter(s.mxcsr);
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
  s.mxcsr = cpu::fp_environment::leave(s.mxcsr);
  return stop_;
}

// -- finding and making blocks
// -----------------------------------------------------------------------

const BlockCode* Interpreter::find_or_translate(CpuState& s) {
  auto* table = static_cast<const mmu::ShadowTable*>(s.table);
  if (const BlockCode* known = probe(s, table, s.rip)) return known;
  ++counters_.lookups;
  u64 linear = (s.rip + s.code_segment_base) & linear_mask_;
  if (!valid_target(s, s.rip)) {
    fault_ = Fault::gp();
    return nullptr;
  }
  auto physical = mmu_.fetch(linear);
  if (!physical) {
    fault_ = physical.error();
    return nullptr;
  }
  s.table = mmu_.table();
  s.code_base = s.rip - (linear & kPageMask);
  BlockKey key{space_.host(*physical), mode_};
  CompiledBlock* block = cache_.find(key);
  if (block == nullptr) block = translate(key, linear, *physical);
  return block == nullptr ? nullptr : block->code();
}

CompiledBlock* Interpreter::translate(const BlockKey& key, u64 linear, GuestPhys physical) {
  u16 start = static_cast<u16>(linear & kPageMask);
  translator::CodeView view{{key.code - start, kPageSize}, start, {}};
  CodeMode mode{key.mode & ~BlockKey::kSingle};
  u32 most = key.mode & BlockKey::kSingle ? 1 : kMostInstructions;
  auto block = translator::translate(view, mode, context_.model, most);
  GuestPhys next_page{};
  if (!block) {
    auto second = mmu_.fetch((page_of(linear) + kPageSize) & linear_mask_);
    if (!second) {
      fault_ = second.error();
      return nullptr;
    }
    next_page = *second;
    view.next_page = {space_.host(next_page), kPageSize};
    block = translator::translate(view, mode, context_.model, most);
  }
  auto compiled = compile(*block);
  compiled->key = key;
  compiled->physical = physical;
  compiled->size = std::min<u32>(block->end, kPageSize) - start;
  space_.mark_code(physical, compiled->size);
  if (block->crosses_page) {
    compiled->next_page = next_page;
    compiled->next_page_code = view.next_page.data();
    space_.mark_code(next_page, block->end - kPageSize);
  }
  ++counters_.blocks;
  counters_.instructions += block->instructions.size();
  if (cache_.full()) cache_.clear();
  return cache_.insert(std::move(compiled));
}

const BlockCode* Interpreter::link(CpuState& s, const Uop* u) {
  CompiledBlock& source = *BlockCode::of(u)->owner;
  u64 offset = static_cast<u64>(u->displacement);
  BlockKey key{source.key.code - source.ir.start + offset, mode_};
  CompiledBlock* target = cache_.find(key);
  if (target == nullptr) {
    u64 linear = (rip_at(s, offset) + s.code_segment_base) & linear_mask_;
    GuestPhys page{page_of(source.physical.value)};
    target = translate(key, linear, {page.value + offset});
  }
  if (target == nullptr) return nullptr;
  ++counters_.links;
  if (source.valid && target->valid) cache_.link(source, const_cast<Uop&>(*u), *target);
  return target->code();
}

bool Interpreter::check_next_page(CpuState& s, const Uop* u, i64 left) {
  CompiledBlock& block = *BlockCode::of(u)->owner;
  u64 linear = (s.code_base + kPageSize + s.code_segment_base) & linear_mask_;
  auto* table = static_cast<const mmu::ShadowTable*>(s.table);
  if (table->for_execute(linear) == block.next_page_code) return true;
  auto fetched = mmu_.fetch(linear);
  if (!fetched) {
    fault_ = fetched.error();
    stop_before(s, u, left, Stop::Fault);
    return false;
  }
  if (space_.host(*fetched) == block.next_page_code) return true;
  cache_.invalidate(block);
  stop_before(s, u, left, Stop::Lookup);
  return false;
}

void Interpreter::code_written(GuestPhys address, u64 size) {
  counters_.invalidations += cache_.invalidate(address, size);
  for (u64 page = page_of(address.value); page < address.value + size; page += kPageSize) {
    if (!cache_.has_code({page})) space_.clear_code({page});
  }
}

// -- leaving
// -----------------------------------------------------------------------------------------

const UopSite& Interpreter::site(const Uop* u) const {
  return BlockCode::of(u)->owner->sites[u->index];
}

void Interpreter::stop_before(CpuState& s, const Uop* u, i64 left, Stop stop) {
  const BlockCode* code = BlockCode::of(u);
  const UopSite& where = code->owner->sites[u->index];
  if (where.flags_before != cpu::FlagKind::Dynamic) s.flag_kind = where.flags_before;
  s.rip = rip_at(s, code->owner->ir.instructions[where.instruction].offset);
  s.instructions_left = left + code->count - where.instruction;
  stop_ = stop;
}

void Interpreter::stop_after(CpuState& s, const Uop* u, Stop stop) {
  const BlockCode* code = BlockCode::of(u);
  const UopSite& where = code->owner->sites[u->index];
  const auto& instruction = code->owner->ir.instructions[where.instruction];
  s.rip = rip_at(s, instruction.offset + instruction.length);
  s.instructions_left -= 1;
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

bool Interpreter::in_range(const Uop* u, u64 linear, u32 size) {
  u64 last = linear + size - 1;
  Segment segment = site(u).segment;
  // Flat segments of 32 bits end at 4 GiB; others were checked when their address was computed.
  bool flat =
      (mode_ >> CodeMode::kFlatSegments & 1) && segment != Segment::Fs && segment != Segment::Gs;
  bool is_long = rip_mask_ == ~0ull;
  bool inside = is_long ? is_canonical(linear) && is_canonical(last) : !flat || last <= rip_mask_;
  if (!inside) fault_ = segment == Segment::Ss ? Fault::ss() : Fault::gp();
  return inside;
}

bool Interpreter::finish(const Expected<>& result) {
  if (result) return true;
  fault_ = result.error();
  return false;
}

bool Interpreter::read(const Uop* u, u64 linear, void* out, u32 size) {
  return in_range(u, linear, size) && finish(mmu_.read(linear, out, size, Privilege::Current));
}

bool Interpreter::read_for_write(const Uop* u, u64 linear, void* out, u32 size) {
  return in_range(u, linear, size) && finish(mmu_.read_for_write(linear, out, size));
}

bool Interpreter::write(const Uop* u, u64 linear, const void* in, u32 size) {
  if (!in_range(u, linear, size)) return false;
  if (!finish(mmu_.write(linear, in, size, Privilege::Current))) return false;
  leave_if_invalid(u);
  return true;
}

bool Interpreter::linear_address(const Uop* u, u64 offset, u64& linear) {
  u32 size = u->immediate & 0xff;
  Access access = u->immediate & 256 ? Access::Write : Access::Read;
  auto result = cpu::linear_address(context_, site(u).segment, offset, size, access);
  if (result) linear = *result;
  if (!result) fault_ = result.error();
  return result.has_value();
}

bool Interpreter::check_aligned(u64 linear, u64 alignment) {
  if (linear % alignment == 0) return true;
  fault_ = Fault::gp();
  return false;
}

bool Interpreter::end_checked_sse(const Uop* u) {
  CpuState& s = context_.state;
  auto vector_at = [&](Slot slot) {
    return load_from<cpu::V128>(reinterpret_cast<const u8*>(&s) + slot);
  };
  auto form = cpu::CheckedForm::decode(u->immediate);
  cpu::CheckedResult checked = cpu::end_checked(s.mxcsr, form, vector_at(u->a), vector_at(u->b));
  s.mxcsr = checked.mxcsr;
  if (checked.raises) fault_ = Fault::of(s.cr4 & cpu::Cr4::kOsxmmexcpt ? Vector::Xm : Vector::Ud);
  return !checked.raises;
}

// -- named operations
// --------------------------------------------------------------------------------

bool Interpreter::call(CpuState& s, const Uop* u) {
  const auto& where = *reinterpret_cast<const translator::CallSite*>(u->immediate);
  i64 left = s.instructions_left;
  stop_before(s, u, left, Stop::Fault);
  i64 rest = s.instructions_left - left;
  bool uses_fpu = where.call.effects & translator::UsesFpu;
  if (uses_fpu) s.mxcsr = cpu::fp_environment::leave(s.mxcsr);
  cpu::Outcome outcome = where.call.function(context_, where.operands);
  if (uses_fpu) cpu::fp_environment::enter(s.mxcsr);
  if (!outcome) {
    fault_ = outcome.error();
    return false;
  }
  switch (*outcome) {
    case cpu::Next::Continue:
      if (!BlockCode::of(u)->owner->valid) {
        stop_after(s, u, Stop::Lookup);
        return false;
      }
      s.instructions_left -= rest;
      return true;
    case cpu::Next::EndBlock:
      stop_after(s, u, Stop::Retired);
      return false;
    case cpu::Next::Branch:
      s.instructions_left -= 1;
      stop_ = Stop::Retired;
      return false;
    case cpu::Next::Repeat:
      stop_ = Stop::Repeat;
      return false;
    case cpu::Next::Halt:
      stop_after(s, u, Stop::Halt);
      return false;
  }
  return false;
}

}  // namespace penumbra::jit
