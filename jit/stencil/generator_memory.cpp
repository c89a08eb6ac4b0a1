// Accesses to memory: by their own look-up of the shadow table, or by an anchor (anchors.h).
#include "common/log.h"
#include "jit/stencil/generator.h"

namespace penumbra::jit {

using translator::kNoSlot;
using translator::Op;

namespace {

Site::Kind site_kind(Op op) {
  switch (op) {
    case Op::Load:
      return Site::Kind::Load;
    case Op::LoadForWrite:
      return Site::Kind::LoadForWrite;
    case Op::LoadVector:
      return Site::Kind::LoadVector;
    case Op::Store:
      return Site::Kind::Store;
    default:
      return Site::Kind::StoreVector;
  }
}

/// Special::LoadAnchored and so on.
Special anchored(Op op) {
  switch (op) {
    case Op::Load:
    case Op::LoadForWrite:
      return Special::LoadAnchored;
    case Op::LoadVector:
      return Special::LoadVectorAnchored;
    case Op::Store:
      return Special::StoreAnchored;
    default:
      return Special::StoreVectorAnchored;
  }
}

Slot anchor_slot(u8 anchor) {
  return static_cast<Slot>(offsetof(cpu::CpuState, anchor) + 8 * anchor);
}

/// What stencils of memory accesses overwrite without more ado.
constexpr u32 kScratch = 0b111;  // rax, rcx, rdx

}  // namespace

void Generator::memory(const MicroOp& op) {
  skipped_check_ = told_by_store(&op, next_);
  if (skipped_check_) return;
  bool stores = op.op == Op::Store || op.op == Op::StoreVector;
  StencilKey key{.op = code_of(op.op), .width = op.width};
  Operands operands;
  address_operands(op, key, operands);
  Site::Kind kind = site_kind(op.op);
  u32 site = new_site(op, kind);
  if (!stores) {
    bool held = op.op == Op::LoadVector && can_hold(op.d, op.width);
    operands.d = held ? loaded_vector(op) : destination(op.d, Width::W64);
    key.d = operands.d.form;
  } else if (op.c == kNoSlot) {
    operands.c = {.form = Form::Immediate};
    operands.immediate = narrowed(op.immediate, op.width);
    if (op.width == Width::W64 && !fits_signed_32(operands.immediate)) {
      operands.c = {Form::Register, constant_register(operands.immediate), kNoSlot};
    }
    key.c = operands.c.form;
  } else {
    bool held = op.op == Op::StoreVector && can_hold(op.c, op.width);
    u32 avoid = 0;
    operands.c = held ? vector_source(op.c, op.width == Width::W256, avoid) : place_of(op.c);
    key.c = operands.c.form;
  }
  Slot value = stores ? op.c : op.d;
  const Place& place = stores ? operands.c : operands.d;
  sites_[site].slot = value == kNoSlot ? value : slow_slot(place);
  if (!by_anchor(op, key, operands, site)) {
    bool emitted = emit_address(key, operands);
    PENUMBRA_ASSERT(emitted);
    cold_call(site, out_);
    if (stores) cold_calls_.back().store = operands;
  }
  if (operands.d.is_vector) finish_load(site, op, operands.d);
}

/// Looks up for the group that the access leads. False where no stencil fits.
bool Generator::lead_anchor(const AnchorUse& use, const StencilKey& access,
                            const Operands& operands) {
  Special special = use.writes ? Special::AnchorWrite : Special::AnchorRead;
  StencilKey key{.op = code_of(special), .d = Form::Slot, .a = access.a, .b = access.b};
  key.scale = access.scale;
  return emit(key, {.d = in_memory(anchor_slot(use.anchor)),
                    .a = operands.a,
                    .b = operands.b,
                    .immediate = use.size - 1,
                    .displacement = use.displacement});
}

/// The access by its group's anchor; where that is 0, the access by its own look-up, behind the
/// straight code. False where it is in no group or the stencils do not fit.
bool Generator::by_anchor(const MicroOp& op, const StencilKey& key, const Operands& operands,
                          u32 site) {
  const AnchorUse& use = anchors_[&op - ir_->ops.data()];
  if (use.anchor == AnchorUse::kNone || !variation_.shares_look_ups) return false;
  auto fits_as_it_is = [&](const Stencil* stencil, const Operands& given) {
    return stencil != nullptr && fits(*stencil, given) && (stencil->clobbers & ~kScratch) == 0 &&
           stencil->vector_clobbers == 0;
  };
  const Stencil* own = stencils_.find(key.encode());
  StencilKey by = key;
  by.op = code_of(anchored(op.op));
  Operands with = operands;
  bool stores = op.op == Op::Store || op.op == Op::StoreVector;
  (stores ? with.d : with.c) = in_memory(anchor_slot(use.anchor));
  (stores ? by.d : by.c) = Form::Slot;
  bool movable = fits_as_it_is(own, operands) && fits_as_it_is(stencils_.find(by.encode()), with);
  u32 bit = 1u << use.anchor;
  if (use.leads) {
    open_anchors_ &= ~bit;
    if (lead_anchor(use, key, operands)) open_anchors_ |= bit;
  }
  if (!movable || (open_anchors_ & bit) == 0) return false;
  must_emit(by, with);
  list_vectors(sites_[site]);
  cold_lookups_.push_back(
      {continuations(HoleKind::Slow), out_, site, own, operands, stores, cold_flags_, tenants_});
  return true;
}

void Generator::emit_cold_lookups() {
  for (const ColdLookup& cold : cold_lookups_) {
    for (u8* field : cold.from) connect(field, out_);
    tenants_ = cold.tenants;
    copy_stencil(*cold.stencil, cold.operands);
    cold_calls_.push_back({continuations(HoleKind::Slow), cold.resume, cold.site, cold.flags});
    cold_calls_.back().tenants = cold.tenants;
    if (cold.stores) cold_calls_.back().store = cold.operands;
    connect(open_jump(kJump), cold.resume);
  }
}

}  // namespace penumbra::jit
