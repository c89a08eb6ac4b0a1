// Vectors around a loop to the block's own start.
//
// In front of the body its vectors are loaded into registers; behind it they are brought back into
// the same ones, so that the body may run again as it is. What the body writes counts as newer than
// its slot all along.
#include <algorithm>

#include "jit/stencil/generator.h"

namespace penumbra::jit {

using translator::kNoSlot;
using translator::Op;
using translator::Shape;

namespace {

constexpr StencilKey move_key(bool is_wide, Form d, Form a) {
  Width width = is_wide ? Width::W256 : Width::W128;
  return {.op = code_of(Op::VectorMove), .width = width, .d = d, .a = a};
}

}  // namespace

/// The vectors that the block uses whole; none where it does not loop, or leaves for C++ anyway.
void Generator::choose_loop_vectors() {
  loop_vectors_.clear();
  bool repeats = false;
  u64 in_part = 0;
  for (const MicroOp& op : ir_->ops) {
    if (op.op == Op::Call) return loop_vectors_.clear();
    repeats = repeats || goes_to_start(op);
    bool wide = op.width == Width::W256 || op.from == Width::W256 || op.op == Op::ClearUpper;
    for (Slot slot : {op.d, op.a, op.b_is_immediate ? kNoSlot : op.b, op.c}) {
      auto unit = slot == kNoSlot ? std::nullopt : vector_unit(slot);
      if (unit && !translator::is_temporary(*unit)) use_in_loop(op, *unit, slot, wide, in_part);
    }
  }
  if (!repeats) return loop_vectors_.clear();
  std::erase_if(loop_vectors_, [&](const LoopVector& each) {
    return (in_part >> each.number & 1) != 0 || (each.is_wide && !has_avx_);
  });
  constexpr size_t kMost = 12;  // temporaries need some
  if (loop_vectors_.size() > kMost) loop_vectors_.resize(kMost);
}

void Generator::use_in_loop(const MicroOp& op, Slot unit, Slot slot, bool wide, u64& in_part) {
  u8 number = static_cast<u8>((unit - translator::vector_slot(0)) / sizeof(cpu::VectorRegister));
  bool whole = slot == unit && translator::shape_of(op.op) >= Shape::VectorUnary;
  bool loads = op.op == Op::LoadVector || op.op == Op::StoreVector;
  if (slot != unit || (!whole && !loads)) in_part |= bit(number);
  auto at = std::ranges::find(loop_vectors_, number, &LoopVector::number);
  if (at == loop_vectors_.end()) at = loop_vectors_.insert(at, {.slot = unit, .number = number});
  at->is_wide = at->is_wide || wide;
  at->is_written = at->is_written || op.d == slot;
}

/// In registers from the highest down: what stencils overwrite are low ones.
void Generator::take_loop_vectors() {
  u8 host = 15;
  for (LoopVector& each : loop_vectors_) each.host = host--;
  load_loop_vectors();
  for (const LoopVector& each : loop_vectors_) record_loop_vector(each);
}

void Generator::record_loop_vector(const LoopVector& each) {
  vectors_[each.host] = {.slot = each.slot,
                         .is_wide = each.is_wide,
                         .is_newer = each.is_written,
                         .used = ++vector_clock_};
}

void Generator::load_loop_vectors() {
  for (const LoopVector& each : loop_vectors_) load_loop_vector(each);
}

void Generator::load_loop_vector(const LoopVector& each) {
  Place place{Form::Register, static_cast<Host>(each.host), each.slot, true};
  copy_stencil(*stencils_.find(move_key(each.is_wide, Form::Register, Form::Slot).encode()),
               {.d = place, .a = in_memory(each.slot)});
}

/// Where the loop is left in front of its body.
void Generator::store_loop_vectors() {
  for (const LoopVector& each : loop_vectors_) {
    if (each.is_written) store_vector({each.slot, each.host, each.is_wide});
  }
}

/// In front of the jump back: each in its register again, all others in their slots.
void Generator::settle_loop_vectors() {
  forget_vector_temporaries();
  auto is_loops = [&](Slot slot) {
    return std::ranges::find(loop_vectors_, slot, &LoopVector::slot) != loop_vectors_.end();
  };
  for (u32 i = 0; i < vectors_.size(); ++i) {
    if (!is_loops(vectors_[i].slot)) evict_vector(i);
  }
  std::vector<LoopVector> rest = loop_vectors_;
  auto settles = [&](const LoopVector& each) { return settle_loop_vector(each); };
  while (!rest.empty()) {
    if (std::erase_if(rest, settles) != 0) continue;
    evict_vector(rest.back().host);  // they stand in each other's places: one goes by its slot
  }
}

/// False where another one is still in its register.
bool Generator::settle_loop_vector(const LoopVector& each) {
  auto at = vector_at(each.slot);
  bool is_there = at && vectors_[*at].is_wide == each.is_wide;
  if (at && !is_there) evict_vector(*at);
  bool is_in_place = is_there && *at == each.host;
  if (!is_in_place && vectors_[each.host].slot != kNoSlot) return false;
  if (!is_there) {
    load_loop_vector(each);
  } else if (!is_in_place) {
    Place to{Form::Register, static_cast<Host>(each.host), each.slot, true};
    copy_stencil(*stencils_.find(move_key(each.is_wide, Form::Register, Form::Register).encode()),
                 {.d = to, .a = in_vector(*at)});
    vectors_[*at] = {};
  }
  record_loop_vector(each);
  return true;
}

}  // namespace penumbra::jit
