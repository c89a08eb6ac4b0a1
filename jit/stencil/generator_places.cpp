// Where operands are, and the emission of one stencil.
#include <algorithm>
#include <cstring>

#include "common/log.h"
#include "jit/stencil/generator.h"

namespace penumbra::jit {

using cpu::CpuState;
using translator::is_temporary;
using translator::kNoSlot;
using translator::Op;

namespace {

constexpr Slot kFirstGpr = translator::gpr_slot(0);
/// A constant without a slot of its own, in a temporary's register.
constexpr Slot kConstant = 0xfffe;

std::optional<u32> gpr_number(Slot slot) {
  if (slot < kFirstGpr || slot >= kFirstGpr + 8 * 16) return std::nullopt;
  return (slot - kFirstGpr) / 8;
}
bool is_whole(Slot slot) { return (slot - kFirstGpr) % 8 == 0; }
constexpr u32 number_of(Host host) { return static_cast<u32>(host); }

/// Where a jump or branch goes that is not to a register's value.
std::optional<u64> target_of(const translator::MicroOp& op) {
  if (op.op == Op::BranchSub || op.op == Op::BranchAnd) {
    return static_cast<u64>(i64{op.displacement});
  }
  if (op.op == Op::Jump || translator::is_branch(op.op)) return op.immediate;
  return std::nullopt;
}

constexpr StencilKey move_key(Form d, Form a) {
  return {.op = code_of(Op::Move), .width = Width::W64, .d = d, .a = a};
}

}  // namespace

// -- guest registers
// -----------------------------------------------------------------------------------

/// Which of kPinned holds the guest register of `slot`.
std::optional<u32> Generator::pinned_index(Slot slot) const {
  auto number = gpr_number(slot);
  if (!number) return std::nullopt;
  for (u32 i = 0; i < tenants_.size(); ++i) {
    if (tenants_[i] == *number) return i;
  }
  return std::nullopt;
}

/// Host registers of guest registers that the block uses least, for those of R8 to R15 that it
/// uses most.
void Generator::choose_lodgers() {
  constexpr u32 kGain = 6, kGainInLoop = 2;  // uses; taking and giving back are four moves
  std::array<u32, 16> uses{};
  u32 gain = kGain;
  lodgers_ = kResidents;
  if (!variation_.lodgers) return;
  for (const MicroOp& op : ir_->ops) {
    if (op.op == Op::Call) return;  // its operands are not counted
    if (goes_to_start(op)) gain = kGainInLoop;
    for (Slot slot : {op.d, op.a, op.b_is_immediate ? kNoSlot : op.b, op.c}) {
      if (auto number = gpr_number(slot)) ++uses[*number];
    }
  }
  uses[4] = ~0u - gain;  // RSP's rbp fits fewer stencils
  auto others = uses.begin() + kPinned.size();
  for (;;) {
    auto least = std::min_element(uses.begin(), others),
         most = std::max_element(others, uses.end());
    if (*most < *least + gain) return;
    lodgers_[least - uses.begin()] = static_cast<u8>(most - uses.begin());
    *least = ~0u - gain;
    *most = 0;
  }
}

/// Stores the guest register that is in each host register, or loads it.
void Generator::move_tenants(const Tenants& those, bool store) {
  for (u32 i = 0; i < those.size(); ++i) {
    if (lodgers_[i] == i) continue;
    Place host{Form::Register, kPinned[i], translator::gpr_slot(those[i])};
    Place slot{Form::Slot, Host::Rax, host.slot};
    copy_move(store ? Operands{.d = slot, .a = host} : Operands{.d = host, .a = slot});
  }
}

void Generator::take_lodgers() {
  if (lodgers_ == kResidents) return;
  move_tenants(kResidents, true);
  move_tenants(lodgers_, false);
  tenants_ = lodgers_;
}

/// Every guest register is where registers.h says.
void Generator::give_back() {
  if (tenants_ == kResidents) return;
  comparison_.reset();
  move_tenants(lodgers_, true);
  move_tenants(kResidents, false);
  tenants_ = kResidents;
}

bool Generator::is_start(u64 target) const { return target == ir_->start && !ir_->crosses_page; }
/// Whether a jump or branch repeats the block.
bool Generator::goes_to_start(const MicroOp& op) const {
  auto target = target_of(op);
  return target && is_start(*target);
}

/// Whether a jump there is one to the block's own start that keeps registers as they are assigned.
bool Generator::loops_to(u64 target) const {
  bool keeps = lodgers_ == kResidents ? !loop_vectors_.empty() : tenants_ == lodgers_;
  return keeps && is_start(target);
}
/// The same of a micro-op at the block's end.
bool Generator::loops(const MicroOp& last) const {
  auto target = target_of(last);
  return target && loops_to(*target);
}

std::optional<u32> Generator::temporary_at(Slot slot) const {
  for (u32 i = 0; i < held_.size(); ++i) {
    if (held_[i] == slot) return i;
  }
  return std::nullopt;
}

Generator::Place Generator::place_of(Slot slot) const {
  if (slot == kNoSlot) return {};
  if (auto index = pinned_index(slot); index && is_whole(slot)) {
    return {Form::Register, kPinned[*index], slot};
  }
  if (auto index = temporary_at(slot)) return {Form::Register, kTemporaryHosts[*index], slot};
  return {Form::Slot, Host::Rax, slot};
}

Generator::Place Generator::hold(Slot slot, u32 index) {
  held_[index] = slot;
  return {Form::Register, kTemporaryHosts[index], slot};
}

/// Where a stencil writes `slot`: a temporary that is not in memory yet gets a free register.
Generator::Place Generator::destination(Slot slot, Width width) {
  Place place = place_of(slot);
  bool vector = slot >= translator::vector_temporary_slot(0);
  if (place.form != Form::Slot || !is_temporary(slot) || vector || width < Width::W32) return place;
  if (slot % 8 != translator::temporary_slot(0) % 8) return place;
  auto free = temporary_at(kNoSlot);
  return free ? hold(slot, *free) : place;
}

void Generator::spill_temporary(u32 index) {
  Slot slot = held_[index];
  if (slot == kNoSlot) return;
  held_[index] = kNoSlot;
  if (slot == kConstant) return;
  Operands operands{.d = {Form::Slot, Host::Rax, slot},
                    .a = {Form::Register, kTemporaryHosts[index], slot}};
  copy_move(operands);
}

void Generator::spill_temporaries() {
  for (u32 i = 0; i < held_.size(); ++i) spill_temporary(i);
}

Host Generator::constant_register(u64 value) {
  auto free = temporary_at(kNoSlot);
  if (!free) spill_temporary(0);
  Place place = hold(kConstant, free.value_or(0));
  StencilKey key = move_key(Form::Register, Form::Immediate);
  key.wide = true;
  must_emit(key, {.d = place, .immediate = value});
  return place.host;
}

/// A move between a register and its slot, nothing else.
void Generator::copy_move(const Operands& operands) {
  copy_stencil(*stencils_.find(move_key(operands.d.form, operands.a.form).encode()), operands);
}

/// The slot in memory becomes current; a pinned register stays what it is.
void Generator::flush(Slot slot) {
  if (auto temporary = temporary_at(slot)) return spill_temporary(*temporary);
  flush_vector(slot);
  auto index = pinned_index(slot);
  if (!index) return;
  Slot whole = translator::gpr_slot(tenants_[*index]);
  copy_move({.d = {Form::Slot, Host::Rax, whole}, .a = {Form::Register, kPinned[*index], whole}});
}

/// The register of a pinned slot, after its slot was written.
void Generator::reload(Slot slot) {
  auto index = pinned_index(slot);
  if (!index) return;
  Slot whole = translator::gpr_slot(tenants_[*index]);
  copy_move({.d = {Form::Register, kPinned[*index], whole}, .a = {Form::Slot, Host::Rax, whole}});
}

/// Where a slow path finds an operand: a temporary's register is saved in a word of its own.
Slot Generator::slow_slot(const Place& place) {
  for (u32 i = 0; i < kTemporaryHosts.size(); ++i) {
    bool here = !place.is_vector && place.form == Form::Register;
    if (!here || place.host != kTemporaryHosts[i]) continue;
    return static_cast<Slot>(offsetof(CpuState, saved_temporaries) + 8 * i);
  }
  return place.slot;
}

Generator::Place Generator::in_memory(Slot slot) {
  if (slot == kNoSlot) return {};
  return {Form::Slot, Host::Rax, slot};
}

// -- emission
// ------------------------------------------------------------------------------------------

/// Of the operands' general registers, or of their vector registers.
bool Generator::fits(const Stencil& stencil, const Operands& operands, bool vectors) {
  const Place* places[] = {&operands.d, &operands.a, &operands.b, &operands.c};
  u32 first = vectors ? 4 : 0, clobbers = vectors ? stencil.vector_clobbers : stencil.clobbers;
  auto is_here = [&](const Place& place) {
    return place.form == Form::Register && place.is_vector == vectors;
  };
  for (u32 i = 0; i < 4; ++i) {
    auto operand = static_cast<StencilOperand>(first + i);
    bool writes = stencil.writes.has(operand);
    if (!is_here(*places[i])) {
      if (writes || stencil.reads.has(operand)) return false;
      continue;
    }
    if (clobbers >> number_of(places[i]->host) & 1) return false;
    if (stencil.not_rbp.has(operand) && places[i]->host == Host::Rbp) return false;
    if (!writes) continue;
    if (i != 0) return false;  // an input that the compiler used as scratch
    for (u32 j = 1; j < 4; ++j) {
      bool same = is_here(*places[j]) && places[j]->host == places[i]->host;
      auto other = static_cast<StencilOperand>(first + j);
      if (same && !stencil.may_share(operand, other)) return false;
    }
  }
  return true;
}

bool Generator::fits(const Stencil& stencil, const Operands& operands) const {
  return fits(stencil, operands, false) && fits(stencil, operands, true) &&
         values_fit(stencil, operands);
}

bool Generator::values_fit(const Stencil& stencil, const Operands& operands) const {
  for (const Hole& hole : stencils_.tables().value_holes(stencil)) {
    u64 value;
    if (hole.kind == HoleKind::Immediate) {
      value = operands.immediate;
    } else if (hole.kind == HoleKind::Displacement) {
      value = static_cast<u64>(i64{operands.displacement});
    } else {
      continue;
    }
    value += static_cast<u64>(i64{hole.addend});
    i64 number = static_cast<i64>(value);
    if (hole.type == HoleType::Abs32S && number != static_cast<i32>(number)) return false;
    if (hole.type == HoleType::Abs32 && value >> 32 != 0) return false;
  }
  return true;
}

/// The host register or slot `d` and what `clobbers` names hold something new.
void Generator::forget_overwritten(u32 clobbers, const Place& d) {
  if (!comparison_) return;
  for (const Place* place : {&comparison_->a, &comparison_->b}) {
    bool in_register = place->form == Form::Register;
    bool lost =
        in_register && (clobbers >> number_of(place->host) & 1) != 0 && !pinned_index(place->slot);
    bool same_host = in_register && d.form == Form::Register && d.host == place->host;
    bool same_slot = d.slot != kNoSlot && place->slot != kNoSlot && d.slot / 8 == place->slot / 8;
    if (lost || same_host || same_slot) return comparison_.reset();
  }
}

/// False where there is no such stencil or its registers or values do not fit. What the stencil
/// overwrites besides its result is kept.
bool Generator::emit(const StencilKey& key, const Operands& operands) {
  const Stencil* stencil = stencils_.find(key.encode());
  if (stencil == nullptr || !fits(*stencil, operands)) return false;
  u32 clobbers = stencil->clobbers;
  for (u32 i = 0; i < held_.size(); ++i) {
    if (clobbers >> number_of(kTemporaryHosts[i]) & 1) spill_temporary(i);
  }
  for (u32 i = 0; i < kPinned.size(); ++i) {
    // Whatever takes over at another continuation finds the guest's registers in their places.
    bool lost = clobbers >> number_of(kPinned[i]) & 1;
    PENUMBRA_ASSERT(!lost || stencil->continuation_count == 0);
    if (lost) flush(translator::gpr_slot(tenants_[i]));
  }
  for (u32 i = 0; i < vectors_.size(); ++i) {
    if (stencil->vector_clobbers >> i & 1) evict_vector(i);
  }
  for (const Place* place : {&operands.d, &operands.a, &operands.b, &operands.c}) {
    if (place->form == Form::Slot) flush(place->slot);
  }
  if (operands.d.form == Form::Slot) drop_vector(operands.d.slot);
  copy_stencil(*stencil, operands);
  u8* last = last_;
  for (u32 i = 0; i < kPinned.size(); ++i) {
    if (clobbers >> number_of(kPinned[i]) & 1) reload(translator::gpr_slot(tenants_[i]));
  }
  if (operands.d.form == Form::Slot) reload(operands.d.slot);
  last_ = last;
  last_stencil_ = stencil;
  forget_overwritten(clobbers, operands.d);
  return true;
}

/// Sources that fit no register of the stencil are taken from their slots.
void Generator::must_emit(const StencilKey& key, const Operands& operands) {
  if (emit(key, operands)) return;
  StencilKey in_slots = key;
  Operands slots = operands;
  auto move = [](Place& place, Form& form) {
    if (place.form != Form::Register || place.is_vector || place.slot == kNoSlot) return;
    place = in_memory(place.slot);
    form = Form::Slot;
  };
  move(slots.a, in_slots.a);
  move(slots.b, in_slots.b);
  bool emitted = emit(in_slots, slots);
  PENUMBRA_ASSERT(emitted);
}

void Generator::copy_stencil(const Stencil& stencil, const Operands& operands) {
  StencilFill fill;
  const Place* places[] = {&operands.d, &operands.a, &operands.b, &operands.c};
  constexpr HoleKind kSlots[] = {HoleKind::SlotD, HoleKind::SlotA, HoleKind::SlotB,
                                 HoleKind::SlotC};
  for (u32 i = 0; i < 4; ++i) {
    fill.registers[places[i]->is_vector ? 4 + i : i] = static_cast<u8>(places[i]->host);
    fill[kSlots[i]] = places[i]->slot;
  }
  fill[HoleKind::Immediate] = operands.immediate;
  fill[HoleKind::Displacement] = static_cast<u64>(i64{operands.displacement});
  fill[HoleKind::Constants] = constants_;
  flag_writers_ += stencil.flag_writers;
  if (stencil.flag_writers != 0) host_flags_ = 0;
  copy(stencils_.tables(), stencil, fill, out_, reinterpret_cast<u64>(memory_->executable(out_)));
  last_ = out_;
  last_stencil_ = &stencil;
  out_ += stencil.size;
}

Fields Generator::continuations(HoleKind kind) const {
  Fields fields;
  for (const Hole& hole : stencils_.tables().continuations(*last_stencil_)) {
    if (hole.kind == kind) fields.push_back(last_ + hole.offset);
  }
  return fields;
}

/// Where the last stencil has its 64-bit immediate.
u8* Generator::immediate_field() const {
  for (const Hole& hole : stencils_.tables().value_holes(*last_stencil_)) {
    if (hole.kind == HoleKind::Immediate && hole.type == HoleType::Abs64) {
      return last_ + hole.offset;
    }
  }
  PENUMBRA_ASSERT(false);
  return nullptr;
}

}  // namespace penumbra::jit
