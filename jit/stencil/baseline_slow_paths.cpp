// What generated code leaves to C++, site by site (Baseline::slow_path).
#include <algorithm>
#include <cstring>

#include "cpu/semantics/divide.h"
#include "cpu/semantics/vector_checked.h"
#include "cpu/x87/host_unit_x86.h"
#include "jit/interp/handler_support.h"
#include "jit/stencil/baseline.h"

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
    const HeldVector& held = site.owner->held_vectors[site.first_vector + i];
    copy_vector(at_slot(s, held.slot), &registers[held.host], held.is_wide);
  }
}

void restore_vectors(cpu::CpuState& s, const Site& site, cpu::VectorRegister* registers) {
  for (u32 i = site.newer; i < site.newer + site.wanted; ++i) {
    const HeldVector& held = site.owner->held_vectors[site.first_vector + i];
    registers[held.host] = {};
    copy_vector(&registers[held.host], at_slot(s, held.slot), held.is_wide);
  }
}

}  // namespace

extern "C" const u8* penumbra_slow_path(cpu::CpuState* s, const Site* site,
                                        cpu::VectorRegister* vectors) {
  auto& baseline = *static_cast<Baseline*>(s->baseline);
  if (baseline.crosses(*s, *site)) return kBehindSite;  // with the registers as they were
  save_vectors(*s, *site, vectors);
  const u8* next = baseline.slow_path(*s, *site);
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

namespace {

/// Two pages' parts of an access of at most eight bytes.
struct Parts {
  u8 *low, *high;
  u32 in_low;  ///< bytes
};

u64 load_parts(const Parts& parts) {
  const u8* end = parts.low + parts.in_low;
  u64 low = load_from<u64>(end - 8) >> (64 - 8 * parts.in_low);
  return low | load_from<u64>(parts.high) << 8 * parts.in_low;
}

void store_parts(const Parts& parts, u64 value, u32 size) {
  for (u32 i = 0; i < size; ++i, value >>= 8) {
    u8* to = i < parts.in_low ? parts.low + i : parts.high + (i - parts.in_low);
    *to = static_cast<u8>(value);
  }
}

}  // namespace

/// In 64-bit mode, where nothing else is to be checked.
bool Baseline::crosses(CpuState& s, const Site& site) {
  bool is_load = site.kind == Site::Kind::Load, is_store = site.kind == Site::Kind::Store;
  u32 size = bytes(site.width), first = kPageSize - static_cast<u32>(s.slow_linear & kPageMask);
  if (!(is_load || is_store) || first >= size || !CodeMode{mode_}.is_long()) return false;
  const auto& view = *static_cast<const mmu::ShadowTable*>(s.table);
  u64 second = s.slow_linear + first;
  Parts parts{
      .low = is_load ? view.for_read(s.slow_linear, first) : view.for_write(s.slow_linear, first),
      .high = is_load ? view.for_read(second, 1) : view.for_write(second, 1),
      .in_low = first};
  if (parts.low == nullptr || parts.high == nullptr) return false;
  ++slow_paths_[static_cast<size_t>(site.kind)];
  if (is_load) {
    store_to<u64>(at_slot(s, site.slot), load_parts(parts) & mask(site.width));
  } else {
    store_parts(
        parts, site.slot == kNoSlot ? site.immediate : load_from<u64>(at_slot(s, site.slot)), size);
  }
  return true;
}

extern "C" __attribute__((preserve_most)) void penumbra_make_flags(cpu::CpuState* s,
                                                                   const Site* site) {
  static_cast<Baseline*>(s->baseline)->make_flags(*s, *site);
}

void Baseline::make_flags(CpuState& s, const Site& site) {
  ++slow_paths_[static_cast<size_t>(site.kind)];
  s.set_flag_state(site.flags_before);
  s.set_arithmetic_flags(s.arithmetic_flags());
}

bool Baseline::stop_before(CpuState& s, const Site& site, Stop stop) {
  s.set_flag_state(site.flags_before);
  s.rip = slow_.rip_at(site.owner->instructions[site.instruction].offset);
  s.instructions_left += static_cast<i64>(site.owner->count()) - site.instruction;
  stop_ = stop;
  return false;
}

namespace {

/// What is quick and computes nothing in floating point.
bool leaves_unit_alone(const Site& site) {
  bool moves =
      site.kind == Site::Kind::Call && (site.call->call.effects & translator::kStraight) != 0;
  return moves || site.kind == Site::Kind::Linear || site.kind == Site::Kind::Divide;
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
  if (!leaves_unit_alone(site)) take_back_unit(s);
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

namespace {

/// Whether what the site leaves to C++ may change shadow tables.
bool may_change_mappings(Site::Kind kind) {
  return kind <= Site::Kind::StoreVector || kind == Site::Kind::Call ||
         kind == Site::Kind::NextPage;
}

}  // namespace

bool Baseline::goes_on(CpuState& s, const Site& site) {
  if (may_change_mappings(site.kind)) std::ranges::fill(s.anchor, 0);
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
      const Uop* program = site.program;
      program->handler(&s, program, static_cast<const mmu::ShadowTable*>(s.table), 0);
      return true;
    }
    case Site::Kind::NextPage:
      return next_page(s, site);
    case Site::Kind::ExplicitFlags:  // by make_flags()
    case Site::Kind::BadTarget:
      if (site.immediate != 0) return stop_before(s, site, Stop::Single);
      [[fallthrough]];
    case Site::Kind::Misaligned:
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
  const mmu::ShadowTable& table = *mmu_.table();
  if (table.for_write(linear, size) != nullptr) return false;  // no page with code
  if (const u8* host = table.for_tracked_write(linear, size)) {
    auto in_page_of = [&](const u8* code) {
      return page_of(reinterpret_cast<u64>(code)) == page_of(reinterpret_cast<u64>(host));
    };
    bool near = in_page_of(block.place.key.code) || in_page_of(block.place.next_page_code);
    return near && block.place.made_from(host, size);
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
  if (same && *same) {
    block.second_page = {.key = s.execute_key, .from_base = s.code_base, .to_base = s.code_base};
    return true;
  }
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
  const auto& instruction = site.owner->instructions[site.instruction];
  auto stop = slow_.call(*site.call, instruction, rest, site.owner->valid);
  if (stop) {
    stop_ = *stop;
    return false;
  }
  refresh_key(s);
  bool unit = site.call->call.effects & translator::RunsOnUnit;
  if (unit && cpu::x87::may_be_on_host(s.x87)) {
    cpu::x87::load_host(s.x87);
    s.x87_on_host = true;
  }
  return true;
}

}  // namespace penumbra::jit
