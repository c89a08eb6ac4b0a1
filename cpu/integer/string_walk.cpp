#include "cpu/integer/string_walk.h"

namespace penumbra::cpu {

Expected<u64> StringWalk::load(Segment segment, Reg reg) const {
  TRY_ASSIGN(u64 linear, linear_address(ctx_, segment, pointer(reg), size_, Access::Read));
  return load_value(ctx_.memory, linear, ops_.width);
}

Expected<> StringWalk::store(Segment segment, Reg reg, u64 value) const {
  TRY_ASSIGN(u64 linear, linear_address(ctx_, segment, pointer(reg), size_, Access::Write));
  return store_value(ctx_.memory, linear, ops_.width, value);
}

Expected<> StringWalk::probe_store(Segment segment, Reg reg) const {
  TRY_ASSIGN(u64 linear, linear_address(ctx_, segment, pointer(reg), size_, Access::Write));
  return ctx_.memory.probe(linear, size_, Access::Write, Privilege::Current);
}

/// Elements that start in the page of `linear` before the pointer register wraps.
u64 StringWalk::elements_in_page(u64 linear, u64 offset) const {
  u64 in_page = linear & kPageMask;
  if (backward_) return std::min(in_page, offset) / size_ + 1;
  return std::min((kPageSize - in_page) / size_, (mask(ops_.address_width) - offset) / size_ + 1);
}

bool StringWalk::alignment_checked() const {
  return (ctx_.state.cr0 & Cr0::kAm) && ctx_.state.cpl == 3 && ctx_.state.flag(Flag::kAc);
}

/// Whether the segment allows all elements from `offset` on; a page has no canonical boundary.
bool StringWalk::in_limit(Segment segment, u64 offset, u64 elements, Access access) const {
  if (in_long_mode(ctx_.state)) return true;
  u64 lowest = backward_ ? offset - (elements - 1) * size_ : offset;
  u32 chunk = static_cast<u32>(elements) * size_;
  return linear_address(ctx_, segment, lowest, chunk, access).has_value();
}

Expected<StringWindow> StringWalk::window(Segment segment, Reg reg, Access access, u64 most) const {
  u64 offset = pointer(reg);
  TRY_ASSIGN(u64 linear, linear_address(ctx_, segment, offset, size_, access));
  if ((linear & kPageMask) + size_ > kPageSize || alignment_checked())
    return StringWindow{nullptr, 0, true};
  u64 elements = std::min(most, elements_in_page(linear, offset));
  if (!in_limit(segment, offset, elements, access)) elements = 1;
  return span_window(linear, access, elements);
}

/// RAM that may not be written in place (code, page tables) can still be read in place, a device
/// can not.
Expected<StringWindow> StringWalk::span_window(u64 linear, Access access, u64 elements) const {
  u32 length = 0;
  TRY_ASSIGN(u8 * host, ctx_.memory.span(linear, access, Privilege::Current, length));
  if (host == nullptr) {
    if (access == Access::Read) return StringWindow{nullptr, 0, true};
    TRY_ASSIGN(u8 * readable, ctx_.memory.span(linear, Access::Read, Privilege::Current, length));
    return StringWindow{nullptr, 0, readable == nullptr};
  }
  if (length < size_) return StringWindow{nullptr, 0, true};
  if (!backward_) elements = std::min<u64>(elements, length / size_);
  return StringWindow{host, elements, false};
}

}  // namespace penumbra::cpu
