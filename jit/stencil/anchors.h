// Which accesses of a block share one look-up of the shadow table.
//
// Accesses whose addresses differ by constants, as pushes, fields of a structure and neighbours in
// an unrolled loop do, mostly lie in one page. The first of such a group, its leader, looks up the
// page of all bytes that the group touches and keeps the addend in a word of the state (an anchor),
// or 0 where they are not in one page that may be accessed so. The group's accesses take the
// addend, or where it is 0 look up for themselves. Slow paths that may change the shadow table make
// every anchor 0, so none is ever stale.
#pragma once

#include <vector>

#include "translator/ir/block.h"

namespace penumbra::jit {

/// What a memory micro-op has to do with anchors.
struct AnchorUse {
  static constexpr u8 kNone = 0xff;
  u8 anchor = kNone;     ///< index into CpuState::anchor
  bool leads = false;    ///< the members below are the leader's
  bool writes = false;   ///< some access of the group does
  i32 displacement = 0;  ///< of the group's first byte, with the leader's base and index
  u32 size = 0;          ///< from the group's first byte to its last
};

/// Whether `op` is a call's check that it may push. The store itself tells as well, and where the
/// target, which is checked next, is wrong, tier 0 says which of the two faults is first.
inline bool told_by_store(const translator::MicroOp* op, const translator::MicroOp* next) {
  return op->op == translator::Op::LoadForWrite && next->op == translator::Op::CheckTarget &&
         next->a != op->d;
}

/// Finds the groups of a block.
class AnchorPlan {
 public:
  /// By the number of the micro-op; valid until the next call.
  const std::vector<AnchorUse>& make(const translator::Block& block);

 private:
  using Slot = translator::Slot;
  using MicroOp = translator::MicroOp;
  /// A register as a value that is not known, by number, plus a constant.
  struct Value {
    u32 root = 0;
    u64 offset = 0;
    friend bool operator==(const Value&, const Value&) = default;
  };
  /// An address: two values that are not known and a constant.
  struct Address {
    u32 base = 0, index = 0;
    u8 scale = 0;
    i64 offset = 0;
    bool same_roots(const Address& other) const {
      return base == other.base && index == other.index && scale == other.scale;
    }
  };
  struct Group {
    Address first;          ///< of the leader
    i64 low = 0, high = 0;  ///< bytes [low, high), as offsets
    u32 leader = 0, last = 0, count = 0;
    bool writes = false;
    bool is_open = true;
  };

  Value* known(Slot slot);
  Value value_of(Slot slot);
  void forget_all();
  void written(const MicroOp& op);
  Address address_of(const MicroOp& op);
  void access(u32 number, const MicroOp& op);
  void assign(const translator::Block& block);

  std::vector<AnchorUse> uses_;
  std::vector<Group> groups_;
  std::vector<u16> group_of_;  ///< by the number of the micro-op
  std::array<Value, 16> registers_{};
  std::array<Value, cpu::CpuState::kTemporaries> temporaries_{};
  u32 roots_ = 0;
  u32 epoch_ = 0;  ///< of what is neither a register nor a temporary
};

}  // namespace penumbra::jit
