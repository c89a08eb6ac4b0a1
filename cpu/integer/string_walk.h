// Walking the elements of a string instruction: pointers, direction, counts and page windows.
//
// A StringWalk knows one instruction's element size, address size and direction. window() tells how
// many elements from a pointer on may be worked on at once in host memory; run_string() is the loop
// of every string instruction around an operation that can do one element or a chunk.
#pragma once

#include <algorithm>

#include "cpu/operand_access.h"

namespace penumbra::cpu {

/// RAM behind a pointer register. Without a host address the element is done by itself; `external`
/// tells that it may touch a device.
struct StringWindow {
  u8* host = nullptr;  ///< of the first element; going backward the others lie below it
  u64 elements = 0;
  bool external = false;
  bool in_place = true;  ///< else stores have consequences: only through StringWalk::write()
  u64 linear = 0;        ///< of the first element
};

class StringWalk {
 public:
  StringWalk(CpuContext& ctx, const Operands& ops)
      : ctx_(ctx),
        ops_(ops),
        size_(bytes(ops.width)),
        pointer_mask_(mask(ops.address_width)),
        long_mode_(in_long_mode(ctx.state)),
        backward_(ctx.state.flag(Flag::kDf)) {}

  CpuContext& context() const { return ctx_; }
  CpuState& state() const { return ctx_.state; }
  const Operands& operands() const { return ops_; }
  u32 size() const { return size_; }
  Width width() const { return ops_.width; }
  bool backward() const { return backward_; }
  /// Host bytes from one element to the next.
  i64 stride() const { return backward_ ? -i64{size_} : i64{size_}; }

  u64 pointer(Reg reg) const { return state().reg(reg) & pointer_mask_; }
  void advance(Reg reg, u64 elements) const {
    u64 distance = elements << shift();
    set(reg, state().reg(reg) + (backward_ ? 0 - distance : distance));
  }
  u64 count() const { return pointer(Reg::Rcx); }
  void set_count(u64 count) const { set(Reg::Rcx, count); }

  Expected<u64> load(Segment segment, Reg reg) const;
  Expected<> store(Segment segment, Reg reg, u64 value) const;
  /// Checks that store() would succeed.
  Expected<> probe_store(Segment segment, Reg reg) const;

  /// Faults as the access of the first element would; at most `most` elements.
  Expected<StringWindow> window(Segment segment, Reg reg, Access access, u64 most) const {
    u64 offset = pointer(reg);
    if (long_mode_) [[likely]] {
      u64 linear = segment_base(state(), segment) + offset;
      u64 elements = std::min(most, elements_in_page(linear, offset));
      u32 size = static_cast<u32>(elements << shift());
      // No elements: the first one lies in two pages.
      u8* host = elements ? ctx_.memory.direct(linear - below(elements), size, access) : nullptr;
      if (host != nullptr) [[likely]]
        return StringWindow{.host = host + below(elements), .elements = elements, .linear = linear};
    }
    return checked_window(segment, offset, access, most);
  }
  /// The lowest byte of the first `elements` of a window.
  u8* lowest(const StringWindow& window, u64 elements) const {
    return window.host - below(elements);
  }
  /// Stores the first `elements` of a window that is not in place, from their lowest byte on.
  Expected<> write(const StringWindow& window, const u8* from, u64 elements) const;

 private:
  void set(Reg reg, u64 value) const {
    write_gpr(state(), static_cast<u8>(reg), ops_.address_width, value);
  }
  unsigned shift() const { return static_cast<unsigned>(ops_.width); }
  /// Bytes of `elements` that lie below the first.
  u64 below(u64 elements) const { return backward_ ? (elements - 1) << shift() : 0; }
  /// Elements that lie in the page of `linear` before the pointer register wraps.
  u64 elements_in_page(u64 linear, u64 offset) const {
    u64 in_page = linear & kPageMask;
    if (backward_) return (std::min(in_page, offset) >> shift()) + 1;
    return std::min((kPageSize - in_page) >> shift(), ((pointer_mask_ - offset) >> shift()) + 1);
  }
  Expected<StringWindow> checked_window(Segment segment, u64 offset, Access access, u64 most) const;
  bool alignment_checked() const;
  bool in_limit(Segment segment, u64 offset, u64 elements, Access access) const;
  Expected<bool> may_be_device(u64 linear, Access access) const;
  Expected<StringWindow> crossing_window(u64 linear, Access access) const;
  Expected<StringWindow> span_window(u64 linear, Access access, u64 elements) const;
  Expected<StringWindow> indirect_window(u64 linear, Access access, u64 elements) const;

  CpuContext& ctx_;
  const Operands& ops_;
  u32 size_;
  u64 pointer_mask_;
  bool long_mode_;
  bool backward_;
};

/// What one step of a string operation did. No elements: element() has to do the next one.
struct StringStep {
  u64 elements = 0;
  bool external = false;  ///< the next element may touch a device
  bool stop = false;      ///< the condition of REPE or REPNE ended the loop
};

namespace detail {

struct RepeatEnd {
  Expected<> result;
  bool finished = false;
};

/// Iterations until the count, the budget or the condition ends them; `done` counts them.
/// Operation: Expected<StringStep> chunk(walk, most) and Expected<bool> element(walk) -> stop.
template <class Operation>
RepeatEnd repeat_string(const StringWalk& walk, u64 count, u64 budget, u64& done) {
  while (done < budget) {
    Expected<StringStep> step = Operation::chunk(walk, budget - done);
    if (!step) return {std::unexpected(step.error())};
    bool alone = step->elements == 0 && step->external;
    if (alone && done != 0) return {};
    if (step->elements == 0) {
      Expected<bool> stop = Operation::element(walk);
      if (!stop) return {std::unexpected(stop.error())};
      step = StringStep{1, step->external, *stop};
    }
    done += step->elements;
    walk.set_count(count - done);
    if (step->stop) return {{}, true};
    if (alone) break;
  }
  return {{}, done == count};
}

}  // namespace detail

/// Iterations until something may have to happen: with EFLAGS.TF a trap after each (SDM 3B 17.3.2).
inline u64 iterations_allowed(CpuContext& ctx) {
  if (ctx.state.flag(Flag::kTf)) return 1;
  return std::max<u64>(ctx.environment.repeat_budget(), 1);
}

/// A whole instruction, repeated or not. `after` is how a finished one goes on.
template <class Operation>
Outcome run_string(CpuContext& ctx, const Operands& ops, Next after = Next::Continue) {
  StringWalk walk(ctx, ops);
  if (ops.repeat == Repeat::None) {
    TRY(Operation::element(walk));
    return after;
  }
  u64 count = walk.count();
  if (count == 0) return after;
  u64 done = 0;
  u64 budget = std::min(count, iterations_allowed(ctx));
  detail::RepeatEnd end = detail::repeat_string<Operation>(walk, count, budget, done);
  if (done != 0) ctx.environment.charge_repeat(done * walk.size());
  if (!end.result) return std::unexpected(end.result.error());
  return end.finished ? after : Next::Repeat;
}

}  // namespace penumbra::cpu
