// Guest vector registers in registers of the host.
//
// A slot that a micro-op reads or writes stays in a host register; what is newer there is stored
// where the block is left, where something else looks at the slot, or when the register is wanted.
// Slow paths store and load by the list of their site. A register that holds 128 bits has zeroes
// above them where the host has AVX, so clearing the upper half mostly costs nothing.
#include "common/log.h"
#include "jit/stencil/generator.h"

namespace penumbra::jit {

using translator::is_temporary;
using translator::kNoSlot;
using translator::Op;
using translator::Shape;

namespace {

constexpr u32 kUnit = sizeof(cpu::VectorRegister);
constexpr Slot kFirst = translator::vector_slot(0);
constexpr Slot kEnd = translator::vector_temporary_slot(cpu::CpuState::kVectorTemporaries);

constexpr Width width_of(bool is_wide) { return is_wide ? Width::W256 : Width::W128; }
constexpr StencilKey move_key(bool is_wide, Form d, Form a) {
  return {.op = code_of(Op::VectorMove), .width = width_of(is_wide), .d = d, .a = a};
}

}  // namespace

Generator::Generator(const Stencils& stencils, const Thunks& thunks, const u64& constants,
                     const Variation& variation)
    : stencils_(stencils),
      thunks_(thunks),
      constants_(constants),
      variation_(variation),
      has_avx_(stencils.find(move_key(true, Form::Register, Form::Slot).encode()) != nullptr) {}

/// The register of the state that a slot is in.
std::optional<Slot> Generator::vector_unit(Slot slot) {
  if (slot < kFirst || slot >= kEnd) return std::nullopt;
  return static_cast<Slot>(slot - (slot - kFirst) % kUnit);
}

bool Generator::can_hold(Slot slot) { return vector_unit(slot) == slot; }
bool Generator::can_hold(Slot slot, Width width) const {
  return can_hold(slot) && (width != Width::W256 || has_avx_);
}

std::optional<u32> Generator::vector_at(Slot slot) const {
  for (u32 i = 0; i < vectors_.size(); ++i) {
    if (vectors_[i].slot == slot) return i;
  }
  return std::nullopt;
}

Generator::Place Generator::in_vector(u32 host) const {
  return {Form::Register, static_cast<Host>(host), vectors_[host].slot, true};
}

void Generator::store_vector(const HeldVector& held) {
  Place place{Form::Register, static_cast<Host>(held.host), held.slot, true};
  copy_stencil(*stencils_.find(move_key(held.is_wide, Form::Slot, Form::Register).encode()),
               {.d = in_memory(held.slot), .a = place});
}

void Generator::write_back_vector(u32 host) {
  Vector& held = vectors_[host];
  if (!held.is_newer) return;
  held.is_newer = false;
  store_vector({held.slot, static_cast<u8>(host), held.is_wide});
}

/// What an exit has to store.
std::vector<HeldVector> Generator::newer_vectors() const {
  std::vector<HeldVector> list;
  for (u32 i = 0; i < vectors_.size(); ++i) {
    const Vector& held = vectors_[i];
    bool kept = held.slot != kNoSlot && held.is_newer && !is_temporary(held.slot);
    if (kept) list.push_back({held.slot, static_cast<u8>(i), held.is_wide});
  }
  return list;
}

void Generator::write_back_vectors() {
  for (u32 i = 0; i < vectors_.size(); ++i) {
    if (vectors_[i].slot != kNoSlot && !is_temporary(vectors_[i].slot)) write_back_vector(i);
  }
}

void Generator::evict_vector(u32 host) {
  if (vectors_[host].slot == kNoSlot) return;
  write_back_vector(host);
  vectors_[host] = {};
}

/// For what looks at slots and overwrites registers.
void Generator::evict_vectors() {
  for (u32 i = 0; i < vectors_.size(); ++i) evict_vector(i);
}

void Generator::forget_vector_temporaries() {
  for (Vector& held : vectors_) {
    if (held.slot != kNoSlot && is_temporary(held.slot)) held = {};
  }
}

/// The slot is going to be read, or written in part, in memory.
void Generator::flush_vector(Slot slot) {
  auto unit = vector_unit(slot);
  if (!unit) return;
  if (auto at = vector_at(*unit)) write_back_vector(*at);
}

void Generator::drop_vector(Slot slot) {
  auto unit = vector_unit(slot);
  if (!unit) return;
  if (auto at = vector_at(*unit)) evict_vector(*at);
}

/// A free register, or that which was not used for the longest time.
u32 Generator::take_vector(u32 avoid) {
  u32 best = 16;
  for (u32 i = 16; i-- > 0;) {
    if ((avoid >> i & 1) != 0) continue;
    if (vectors_[i].slot == kNoSlot) return i;
    if (best == 16 || vectors_[i].used < vectors_[best].used) best = i;
  }
  PENUMBRA_ASSERT(best < 16);
  evict_vector(best);
  return best;
}

/// The slot's value in a register; `avoid` gains it.
Generator::Place Generator::vector_source(Slot slot, bool is_wide, u32& avoid) {
  auto at = vector_at(slot);
  bool fits = at && (avoid >> *at & 1) == 0 && (vectors_[*at].is_wide || !is_wide);
  if (at && !fits) evict_vector(*at);
  u32 host = fits ? *at : take_vector(avoid);
  if (!fits) {
    vectors_[host] = {.slot = slot, .is_wide = is_wide};
    copy_stencil(*stencils_.find(move_key(is_wide, Form::Register, Form::Slot).encode()),
                 {.d = in_vector(host), .a = in_memory(slot)});
  }
  vectors_[host].used = ++vector_clock_;
  avoid |= 1u << host;
  return in_vector(host);
}

/// Whether a write to what the register holds leaves something above 128 bits that the slot wants.
bool Generator::keeps_upper(u32 host, bool is_wide) const {
  const Vector& held = vectors_[host];
  return !is_wide && held.is_wide && !held.is_upper_zero && !clears_next(held.slot);
}

/// Whether the next micro-op clears what is above 128 bits of the slot.
bool Generator::clears_next(Slot slot) const {
  return next_ != nullptr && next_->op == Op::ClearUpper && next_->d == slot;
}

/// A register for a new value of the slot. The old value stays readable in its own where that is
/// another or `stencil` reads it first; above 128 bits written, the slot keeps what it has.
u32 Generator::vector_destination(Slot slot, bool is_wide, const Stencil& stencil,
                                  std::span<const Place> sources, u32 avoid) {
  auto at = vector_at(slot);
  if (!at) return take_vector(avoid);
  if (keeps_upper(*at, is_wide)) write_back_vector(*at);
  bool shares = (stencil.vector_clobbers >> *at & 1) == 0;
  for (u32 i = 0; i < sources.size(); ++i) {
    bool same = sources[i].is_vector && static_cast<u32>(sources[i].host) == *at;
    auto operand = static_cast<StencilOperand>(5 + i);
    if (same && !stencil.may_share(StencilOperand::VectorD, operand)) shares = false;
  }
  return shares ? *at : take_vector(avoid | 1u << *at);
}

/// `host` holds the slot's new value.
void Generator::record_vector(u32 host, Slot slot, bool is_wide) {
  auto old = vector_at(slot);
  bool upper_zero = !is_wide && has_avx_ &&
                    (is_temporary(slot) || clears_next(slot) ||
                     (old && vectors_[*old].is_wide && vectors_[*old].is_upper_zero));
  if (old) vectors_[*old] = {};
  vectors_[host] = {.slot = slot,
                    .is_wide = is_wide || upper_zero,
                    .is_upper_zero = upper_zero,
                    .is_newer = true,
                    .used = ++vector_clock_};
}

// -- micro-ops
// -----------------------------------------------------------------------------------------

/// False where no stencil takes it so.
bool Generator::vector_in_registers(const MicroOp& op) {
  Shape shape = translator::shape_of(op.op);
  if (shape == Shape::VectorClear) return clear_upper(op);
  bool to_integer = shape == Shape::IntegerFromVector;
  bool from_integer = shape == Shape::VectorFromInteger;
  bool is_wide = !from_integer && (to_integer ? op.from : op.width) == Width::W256;
  bool writes = !to_integer && op.d != kNoSlot;
  if ((writes && !can_hold(op.d)) || !can_hold(op.a)) return false;
  if (!from_integer && op.b != kNoSlot && !can_hold(op.b)) return false;
  if (op.c != kNoSlot && !can_hold(op.c)) return false;

  Operands operands;
  operands.immediate = op.immediate & 0xff;
  StencilKey key{.op = code_of(op.op), .width = width_of(is_wide), .a = Form::Register};
  if (to_integer || from_integer) key.width = op.width;
  if (to_integer && is_wide) key.from = Width::W256;
  if (to_integer) {
    operands.d = destination(op.d, op.width);
    key.d = operands.d.form;
  } else if (writes) {
    key.d = Form::Register;
  }
  if (from_integer) {
    operands.b = place_of(op.b);
    key.b = operands.b.form;
  } else if (op.b != kNoSlot) {
    key.b = Form::Register;
  }
  if (op.c != kNoSlot) key.c = Form::Register;
  const Stencil* stencil = stencils_.find(key.encode());
  if (stencil == nullptr) return false;

  u32 avoid = stencil->vector_clobbers;
  vector_operands(op, *stencil, is_wide, operands, avoid);
  if (!writes) return emit(key, operands);
  const Place sources[] = {operands.a, operands.b, operands.c};
  u32 host = vector_destination(op.d, is_wide, *stencil, sources, avoid);
  operands.d = {Form::Register, static_cast<Host>(host), op.d, true};
  if (!emit(key, operands)) return false;
  record_vector(host, op.d, is_wide);
  if (!is_wide && has_avx_ && stencil->is_wide) narrow_vector(host, op.d);
  return true;
}

void Generator::vector_operands(const MicroOp& op, const Stencil& stencil, bool is_wide,
                                Operands& operands, u32& avoid) {
  // Of a register with itself: nothing that has to be loaded first.
  bool zeroes = op.op == Op::Pxor && op.a == op.b && !vector_at(op.a);
  if (zeroes) {
    u32 host = take_vector(avoid);
    avoid |= 1u << host;
    operands.a = operands.b = {Form::Register, static_cast<Host>(host), op.a, true};
    return;
  }
  u32 clobbers = avoid;
  auto place = [&](Slot slot, StencilOperand operand, Place& to) {
    if (!stencil.reads.has(operand)) return;
    u32 others = avoid;
    if (auto at = vector_at(slot); at && (clobbers >> *at & 1) == 0) others &= ~(1u << *at);
    to = vector_source(slot, is_wide, others);
    avoid |= others;
  };
  place(op.a, StencilOperand::VectorA, operands.a);
  if (!operands.b.is_vector && operands.b.form == Form::None) {
    place(op.b, StencilOperand::VectorB, operands.b);
  }
  place(op.c, StencilOperand::VectorC, operands.c);
}

/// Zero above 128 bits in the register itself.
void Generator::narrow_vector(u32 host, Slot slot) {
  Place place{Form::Register, static_cast<Host>(host), slot, true};
  copy_stencil(*stencils_.find(move_key(false, Form::Register, Form::Register).encode()),
               {.d = place, .a = place});
}

/// False where no register clears it.
bool Generator::clear_upper(const MicroOp& op) {
  if (!has_avx_) return false;
  auto at = vector_at(op.d);
  if (!at) {
    clear_upper_in_slot(op);
    return true;
  }
  if (zero_used_ != nullptr && zero_used_ + 1 == &op) zero_used_ = &op;
  Vector& held = vectors_[*at];
  if (held.is_wide && !held.is_upper_zero) narrow_vector(*at, op.d);
  held.is_wide = held.is_upper_zero = held.is_newer = true;
  return true;
}

/// VZEROUPPER is a row of these: one register is zero for all.
void Generator::clear_upper_in_slot(const MicroOp& op) {
  bool has_zero = zero_used_ != nullptr && zero_used_ + 1 == &op;
  if (!has_zero) zero_host_ = take_vector(0);
  zero_used_ = &op;
  Place zero{Form::Register, static_cast<Host>(zero_host_), kNoSlot, true};
  StencilKey clear{.op = code_of(Op::Pxor), .width = Width::W128, .d = Form::Register};
  clear.a = clear.b = Form::Register;
  if (!has_zero) copy_stencil(*stencils_.find(clear.encode()), {.d = zero, .a = zero, .b = zero});
  Slot upper = static_cast<Slot>(op.d + kUnit / 2);
  store_vector({upper, static_cast<u8>(zero_host_), false});
}

/// The register for a vector that is loaded. The old value is needed where the load faults.
Generator::Place Generator::loaded_vector(const MicroOp& op) {
  auto at = vector_at(op.d);
  bool is_wide = op.width == Width::W256;
  if (at && keeps_upper(*at, is_wide)) write_back_vector(*at);
  bool reuses = at && !vectors_[*at].is_newer;
  u32 host = reuses ? *at : take_vector(at ? 1u << *at : 0);
  return {Form::Register, static_cast<Host>(host), op.d, true};
}

/// Behind the load: a slow path has put the value into the slot.
void Generator::finish_load(u32 site, const MicroOp& op, const Place& place) {
  u32 host = static_cast<u32>(place.host);
  bool is_wide = op.width == Width::W256;
  record_vector(host, op.d, is_wide);
  held_vectors_.push_back({op.d, static_cast<u8>(host), is_wide});
  ++sites_[site].wanted;
}

// -- slow paths
// ----------------------------------------------------------------------------------------

/// What a slow path stores and loads, as things are now.
void Generator::list_vectors(Site& site) {
  auto& list = held_vectors_;
  site.first_vector = static_cast<u32>(list.size());
  for (bool newer : {true, false}) {
    for (u32 i = 0; i < vectors_.size(); ++i) {
      const Vector& held = vectors_[i];
      if (held.slot == kNoSlot || (newer && !held.is_newer)) continue;
      list.push_back({held.slot, static_cast<u8>(i), held.is_wide});
      ++(newer ? site.newer : site.wanted);
    }
  }
}

}  // namespace penumbra::jit
