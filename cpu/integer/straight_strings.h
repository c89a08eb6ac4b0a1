// REP string instructions as they mostly are, at once: in 64-bit mode, upwards, within what is left
// of the slice and on pages of plain RAM.
//
// The named operations try this first, and so may an engine from within its own code. A Host has
//   u8* direct(u64 linear, u32 size, Access)   as GuestMemory::direct()
//   u64 iterations_allowed()                   before something may have to happen
//   void charge(u64 bytes)                     as Environment::charge_repeat()
// A copy or a fill that comes upon something else has done whole elements and says so by RCX; a
// search has done nothing.
#pragma once

#include <algorithm>

#include "common/guest_memory.h"
#include "common/short_bytes.h"
#include "cpu/integer/bulk_memory.h"
#include "cpu/operand_access.h"

namespace penumbra::cpu {

/// A REP instruction has started `bytes` bytes: counts one instruction a 64.
inline void charge_repeated(CpuState& state, u64 bytes) {
  state.repeat_bytes += bytes;
  state.instructions_left -= static_cast<i64>(state.repeat_bytes / 64);
  state.repeat_bytes %= 64;
}

namespace detail {

/// Elements from `linear` to the end of its page; 0: the first one lies in two.
inline u64 elements_in_page(u64 linear, Width width) {
  return (kPageSize - (linear & kPageMask)) >> static_cast<unsigned>(width);
}

/// An element of two pages in the host's memory.
struct SplitElement {
  u8* low = nullptr;  ///< null: not at hand
  u8* high = nullptr;
  u32 first = 0;  ///< bytes at `low`

  template <class Host>
  static SplitElement of(const Host& host, u64 linear, u32 size, Access access) {
    u32 first = static_cast<u32>(std::min<u64>(size, kPageSize - (linear & kPageMask)));
    u8* low = host.direct(linear, first, access);
    u8* high = first < size ? host.direct(linear + first, size - first, access) : low;
    return {high == nullptr ? nullptr : low, high, first};
  }
  u64 load(u32 size) const {
    u64 value = 0;
    for (u32 i = size; i-- > 0;) value = value << 8 | *at(i);
    return value;
  }
  void store(u64 value, u32 size) const {
    for (u32 i = 0; i < size; ++i) *at(i) = static_cast<u8>(value >> 8 * i);
  }
  u8* at(u32 i) const { return i < first ? low + i : high + (i - first); }
};

/// A repeated pattern of 64 bits, of an element.
inline u64 pattern_of(u64 value, Width width) {
  constexpr u64 kOnes[] = {0x0101010101010101, 0x0001000100010001, 0x0000000100000001, 1};
  return (value & mask(width)) * kOnes[static_cast<unsigned>(width)];
}

inline bool is_simple(const CpuState& state, const Operands& ops) {
  return ops.address_width == Width::W64 && ops.repeat != Repeat::None && in_long_mode(state) &&
         !state.flag(Flag::kDf);
}

}  // namespace detail

constexpr u64 kShortString = 256;  ///< bytes

struct StraightMovs {
  /// At most `most` elements, within a page at each pointer or one that is not; 0: not at hand.
  template <class Host>
  static u64 chunk(CpuState& state, const Host& host, const Operands& ops, u64 most) {
    u64 source = state.reg(Reg::Rsi) + segment_base(state, ops.memory.segment);
    u64 target = state.reg(Reg::Rdi);
    u64 elements = std::min({most, detail::elements_in_page(source, ops.width),
                             detail::elements_in_page(target, ops.width)});
    u64 size = elements << static_cast<unsigned>(ops.width);
    if (elements != 0) {
      const u8* from = host.direct(source, static_cast<u32>(size), Access::Read);
      u8* to =
          from == nullptr ? nullptr : host.direct(target, static_cast<u32>(size), Access::Write);
      if (to == nullptr) return 0;
      copy(to, from, elements, ops.width);
    } else {
      elements = 1, size = bytes(ops.width);
      if (!split(host, source, target, bytes(ops.width))) return 0;
    }
    state.reg(Reg::Rsi) += size;
    state.reg(Reg::Rdi) += size;
    return elements;
  }

 private:
  static void copy(u8* to, const u8* from, u64 elements, Width width) {
    u64 size = elements << static_cast<unsigned>(width);
    bool apart = static_cast<u64>(to - from) >= size;
    if (size <= kShortString && apart) return copy_short(to, from, size);
    copy_elements(to, from, elements, width, false);
  }
  template <class Host>
  [[gnu::noinline]] static bool split(const Host& host, u64 source, u64 target, u32 size) {
    auto from = detail::SplitElement::of(host, source, size, Access::Read);
    auto to = detail::SplitElement::of(host, target, size, Access::Write);
    if (from.low == nullptr || to.low == nullptr) return false;
    to.store(from.load(size), size);
    return true;
  }
};

struct StraightStos {
  template <class Host>
  static u64 chunk(CpuState& state, const Host& host, const Operands& ops, u64 most) {
    u64 target = state.reg(Reg::Rdi), value = state.reg(Reg::Rax) & mask(ops.width);
    u64 elements = std::min(most, detail::elements_in_page(target, ops.width));
    u64 size = elements << static_cast<unsigned>(ops.width);
    if (elements != 0) {
      u8* to = host.direct(target, static_cast<u32>(size), Access::Write);
      if (to == nullptr) return 0;
      fill(to, value, elements, ops.width);
    } else {
      elements = 1, size = bytes(ops.width);
      auto to = detail::SplitElement::of(host, target, bytes(ops.width), Access::Write);
      if (to.low == nullptr) return 0;
      to.store(value, bytes(ops.width));
    }
    state.reg(Reg::Rdi) += size;
    return elements;
  }

 private:
  static void fill(u8* to, u64 value, u64 elements, Width width) {
    u64 size = elements << static_cast<unsigned>(width);
    if (size <= kShortString) return fill_short(to, detail::pattern_of(value, width), size);
    fill_elements(to, value, elements, width);
  }
};

/// False: from here on it is not that simple, or the slice does not hold it.
template <class Operation, class Host>
bool run_straight(CpuState& state, const Host& host, const Operands& ops) {
  if (!detail::is_simple(state, ops)) return false;
  u64& count = state.reg(Reg::Rcx);
  while (count != 0) {
    u64 most = std::min(count, host.iterations_allowed());
    u64 elements = most == 0 ? 0 : Operation::chunk(state, host, ops, most);
    if (elements == 0) return false;
    count -= elements;
    host.charge(elements << static_cast<unsigned>(ops.width));
  }
  return true;
}

/// What a search looked at.
struct SearchStep {
  u64 elements = 0;         ///< 0: not at hand
  u64 left = 0, right = 0;  ///< the last pair
};

struct StraightScas {
  static constexpr bool kMovesRsi = false;

  template <class Host>
  static SearchStep chunk(const CpuState& state, const Host& host, const Operands& ops, u64 done,
                          u64 most) {
    u64 at = state.reg(Reg::Rdi) + (done << static_cast<unsigned>(ops.width));
    u64 elements = std::min(most, detail::elements_in_page(at, ops.width));
    if (elements == 0) return {};
    u32 size = static_cast<u32>(elements << static_cast<unsigned>(ops.width));
    const u8* in = host.direct(at, size, Access::Read);
    if (in == nullptr) return {};
    u64 value = state.reg(Reg::Rax) & mask(ops.width);
    u64 last = scan_elements({in, bytes(ops.width), ops.width}, elements, value,
                             ops.repeat == Repeat::Repne);
    return {last + 1, value, load_element(in + last * bytes(ops.width), ops.width)};
  }
};

struct StraightCmps {
  static constexpr bool kMovesRsi = true;

  template <class Host>
  static SearchStep chunk(const CpuState& state, const Host& host, const Operands& ops, u64 done,
                          u64 most) {
    u64 offset = done << static_cast<unsigned>(ops.width);
    u64 first = state.reg(Reg::Rsi) + segment_base(state, ops.memory.segment) + offset;
    u64 second = state.reg(Reg::Rdi) + offset;
    u64 elements = std::min({most, detail::elements_in_page(first, ops.width),
                             detail::elements_in_page(second, ops.width)});
    if (elements == 0) return {};
    u32 size = static_cast<u32>(elements << static_cast<unsigned>(ops.width));
    const u8* left = host.direct(first, size, Access::Read);
    const u8* right = left == nullptr ? nullptr : host.direct(second, size, Access::Read);
    if (right == nullptr) return {};
    u64 last =
        compare_elements({left, bytes(ops.width), ops.width}, {right, bytes(ops.width), ops.width},
                         elements, ops.repeat == Repeat::Repne);
    u64 place = last * bytes(ops.width);
    return {last + 1, load_element(left + place, ops.width),
            load_element(right + place, ops.width)};
  }
};

/// The flags of the last comparison are in the state behind it. False: nothing is done.
template <class Operation, class Host>
bool search_straight(CpuState& state, const Host& host, const Operands& ops) {
  if (!detail::is_simple(state, ops)) return false;
  u64 count = state.reg(Reg::Rcx), most = std::min(count, host.iterations_allowed());
  if (count == 0) return true;
  for (u64 done = 0; done < most;) {
    SearchStep step = Operation::chunk(state, host, ops, done, most - done);
    if (step.elements == 0) return false;
    done += step.elements;
    bool ended = (step.left == step.right) == (ops.repeat == Repeat::Repne);
    if (!ended && done != count) continue;
    u64 size = done << static_cast<unsigned>(ops.width);
    if (Operation::kMovesRsi) state.reg(Reg::Rsi) += size;
    state.reg(Reg::Rdi) += size;
    state.reg(Reg::Rcx) -= done;
    state.set_lazy_flags(flag_kind(FlagFamily::Sub, ops.width),
                         (step.left - step.right) & mask(ops.width), step.right);
    host.charge(size);
    return true;
  }
  return false;
}

}  // namespace penumbra::cpu
