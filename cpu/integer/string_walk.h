// Walking the elements of a string instruction: pointers, direction, counts and page windows.
//
// A StringWalk knows one instruction's element size, address size and direction. window() tells how
// many elements from a pointer on may be worked on at once in host memory; run_string() is the loop
// of every string instruction around an operation that can do one element or a chunk.
#pragma once

#include <algorithm>

#include "cpu/operand_access.h"

namespace penumbra::cpu {

/// Plain RAM behind a pointer register. Without a host address the element is done by itself;
/// `external` tells that it may touch a device.
struct StringWindow {
  u8* host = nullptr;
  u64 elements = 0;
  bool external = false;
};

class StringWalk {
 public:
  StringWalk(CpuContext& ctx, const Operands& ops)
      : ctx_(ctx), ops_(ops), size_(bytes(ops.width)), backward_(ctx.state.flag(Flag::kDf)) {}

  CpuContext& context() const { return ctx_; }
  CpuState& state() const { return ctx_.state; }
  const Operands& operands() const { return ops_; }
  u32 size() const { return size_; }
  Width width() const { return ops_.width; }
  bool backward() const { return backward_; }
  /// Host bytes from one element to the next.
  i64 stride() const { return backward_ ? -i64{size_} : i64{size_}; }

  u64 pointer(Reg reg) const { return state().reg(reg) & mask(ops_.address_width); }
  void advance(Reg reg, u64 elements) const {
    set(reg, state().reg(reg) + elements * static_cast<u64>(stride()));
  }
  u64 count() const { return pointer(Reg::Rcx); }
  void set_count(u64 count) const { set(Reg::Rcx, count); }

  Expected<u64> load(Segment segment, Reg reg) const;
  Expected<> store(Segment segment, Reg reg, u64 value) const;
  /// Checks that store() would succeed.
  Expected<> probe_store(Segment segment, Reg reg) const;

  /// Faults as the access of the first element would; at most `most` elements.
  Expected<StringWindow> window(Segment segment, Reg reg, Access access, u64 most) const;

 private:
  void set(Reg reg, u64 value) const {
    write_gpr(state(), static_cast<u8>(reg), ops_.address_width, value);
  }
  u64 elements_in_page(u64 linear, u64 offset) const;
  bool alignment_checked() const;
  bool in_limit(Segment segment, u64 offset, u64 elements, Access access) const;
  Expected<StringWindow> span_window(u64 linear, Access access, u64 elements) const;

  CpuContext& ctx_;
  const Operands& ops_;
  u32 size_;
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
