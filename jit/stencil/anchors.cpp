#include "jit/stencil/anchors.h"

#include <algorithm>

namespace penumbra::jit {

using cpu::CpuState;
using translator::kNoSlot;
using translator::kZeroSlot;
using translator::Op;
using translator::Shape;

namespace {

/// The farther apart, the more often a group is not in one page.
constexpr i64 kMostSize = 256;
/// Two accesses gain nothing, and a group has more code.
constexpr u32 kFewest = 3;
constexpr u16 kNoGroup = 0xffff;
constexpr u32 kZeroRoot = 0;
/// Roots of slots that are neither registers nor temporaries start here.
constexpr u32 kSlotRoots = 1u << 31;

constexpr translator::Slot kFirstGpr = translator::gpr_slot(0),
                           kFirstTemporary = translator::temporary_slot(0);

bool stores(Op op) { return op == Op::Store || op == Op::StoreVector || op == Op::LoadForWrite; }

/// Slow paths in straight code, behind which nothing is known.
bool is_barrier(const translator::MicroOp& op) { return op.op == Op::Call || op.op == Op::Linear; }

}  // namespace

/// nullptr: not tracked.
AnchorPlan::Value* AnchorPlan::known(Slot slot) {
  if (slot >= kFirstGpr && slot < kFirstGpr + 8 * 16) return &registers_[(slot - kFirstGpr) / 8];
  if (slot >= kFirstTemporary && slot < kFirstTemporary + 8 * CpuState::kTemporaries) {
    return &temporaries_[(slot - kFirstTemporary) / 8];
  }
  return nullptr;
}

AnchorPlan::Value AnchorPlan::value_of(Slot slot) {
  if (slot == kZeroSlot) return {kZeroRoot, 0};
  if (const Value* value = known(slot)) return *value;
  return {kSlotRoots + epoch_ * 0x10000 + slot, 0};
}

void AnchorPlan::forget_all() {
  for (Value& value : registers_) value = {++roots_, 0};
  for (Value& value : temporaries_) value = {++roots_, 0};
  ++epoch_;
}

void AnchorPlan::written(const MicroOp& op) {
  Value* d = op.d == kNoSlot ? nullptr : known(op.d);
  if (d == nullptr) return;
  bool whole = op.width == Width::W64 && op.d % 8 == kFirstGpr % 8;
  u64 immediate = op.immediate;
  if (whole && op.op == Op::Move && op.a != kNoSlot) {
    *d = value_of(op.a);
  } else if (whole && op.op == Op::Lea && op.b == kZeroSlot) {
    *d = value_of(op.a);
    d->offset += static_cast<u64>(i64{op.displacement});
  } else if (whole && op.op == Op::Add && op.b_is_immediate) {
    *d = value_of(op.a);
    d->offset += immediate;
  } else if (whole && op.op == Op::Sub && op.b_is_immediate) {
    *d = value_of(op.a);
    d->offset -= immediate;
  } else if (whole && (op.op == Op::Inc || op.op == Op::Dec)) {
    *d = value_of(op.a);
    d->offset += op.op == Op::Inc ? 1 : ~0ull;
  } else {
    *d = {++roots_, 0};
  }
}

AnchorPlan::Address AnchorPlan::address_of(const MicroOp& op) {
  Value base = value_of(op.a), index = value_of(op.b);
  u64 offset = base.offset + (index.offset << op.scale) + static_cast<u64>(i64{op.displacement});
  u8 scale = index.root == kZeroRoot ? u8{0} : op.scale;
  return {base.root, index.root, scale, static_cast<i64>(offset)};
}

void AnchorPlan::access(u32 number, const MicroOp& op) {
  Address address = address_of(op);
  i64 low = address.offset, high = low + bytes(op.width);
  for (size_t i = groups_.size(); i-- > 0;) {
    Group& group = groups_[i];
    if (!group.is_open || !group.first.same_roots(address)) continue;
    i64 both_low = std::min(group.low, low), both_high = std::max(group.high, high);
    if (both_high - both_low > kMostSize) {
      group.is_open = false;
      continue;
    }
    group.low = both_low;
    group.high = both_high;
    group.last = number;
    group.writes = group.writes || stores(op.op);
    ++group.count;
    group_of_[number] = static_cast<u16>(i);
    return;
  }
  group_of_[number] = static_cast<u16>(groups_.size());
  groups_.push_back({address, low, high, number, number, 1, stores(op.op)});
}

/// Hands out the anchors; a group that gets none looks up access by access.
void AnchorPlan::assign(const translator::Block& block) {
  std::array<u32, CpuState::kAnchors> free_behind{};
  std::vector<u8> anchors(groups_.size(), AnchorUse::kNone);
  for (size_t i = 0; i < groups_.size(); ++i) {
    const Group& group = groups_[i];
    i64 displacement = block.ops[group.leader].displacement + group.low - group.first.offset;
    if (group.count < kFewest || displacement != static_cast<i32>(displacement)) continue;
    for (u32 anchor = 0; anchor < free_behind.size(); ++anchor) {
      if (free_behind[anchor] > group.leader) continue;
      free_behind[anchor] = group.last + 1;
      anchors[i] = static_cast<u8>(anchor);
      uses_[group.leader] = {anchors[i], true, group.writes, static_cast<i32>(displacement),
                             static_cast<u32>(group.high - group.low)};
      break;
    }
  }
  for (u32 number = 0; number < uses_.size(); ++number) {
    if (group_of_[number] != kNoGroup) uses_[number].anchor = anchors[group_of_[number]];
  }
}

const std::vector<AnchorUse>& AnchorPlan::make(const translator::Block& block) {
  uses_.assign(block.ops.size(), {});
  group_of_.assign(block.ops.size(), kNoGroup);
  groups_.clear();
  roots_ = kZeroRoot;
  epoch_ = 0;
  forget_all();
  for (u32 number = 0; number < block.ops.size(); ++number) {
    const MicroOp& op = block.ops[number];
    bool accesses = translator::shape_of(op.op) == Shape::Memory && !told_by_store(&op, &op + 1);
    if (accesses) access(number, op);
    if (is_barrier(op)) {
      forget_all();
    } else {
      written(op);
    }
  }
  assign(block);
  return uses_;
}

}  // namespace penumbra::jit
