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

bool StringWalk::alignment_checked() const {
  return (ctx_.state.cr0 & Cr0::kAm) && ctx_.state.cpl == 3 && ctx_.state.flag(Flag::kAc);
}

/// Whether the segment allows all elements from `offset` on; a page has no canonical boundary.
bool StringWalk::in_limit(Segment segment, u64 offset, u64 elements, Access access) const {
  if (long_mode_) return true;
  u32 chunk = static_cast<u32>(elements) * size_;
  return linear_address(ctx_, segment, offset - below(elements), chunk, access).has_value();
}

Expected<StringWindow> StringWalk::checked_window(Segment segment, u64 offset, Access access,
                                                  u64 most) const {
  TRY_ASSIGN(u64 linear, linear_address(ctx_, segment, offset, size_, access));
  if (alignment_checked()) return StringWindow{.external = true};
  if ((linear & kPageMask) + size_ > kPageSize) return crossing_window(linear, access);
  u64 elements = std::min(most, elements_in_page(linear, offset));
  if (!in_limit(segment, offset, elements, access)) elements = 1;
  return span_window(linear, access, elements);
}

/// RAM that may not be written in place (code, page tables) can still be read in place, a device
/// can not.
Expected<bool> StringWalk::may_be_device(u64 linear, Access access) const {
  u32 length = 0;
  TRY_ASSIGN(u8 * host, ctx_.memory.span(linear, access, Privilege::Current, length));
  if (host != nullptr) return false;
  if (access == Access::Read) return true;
  return may_be_device(linear, Access::Read);
}

/// An element in two pages.
Expected<StringWindow> StringWalk::crossing_window(u64 linear, Access access) const {
  TRY(ctx_.memory.probe(linear, size_, access, Privilege::Current));
  TRY_ASSIGN(bool first, may_be_device(linear, access));
  TRY_ASSIGN(bool second, may_be_device(linear + size_ - 1, access));
  return StringWindow{.external = first || second};
}

/// Asks for the lowest element, because a span reaches upwards; a fault is that of the first one.
Expected<StringWindow> StringWalk::span_window(u64 linear, Access access, u64 elements) const {
  u32 length = 0;
  u64 lowest = linear - below(elements);
  auto span = ctx_.memory.span(lowest, access, Privilege::Current, length);
  if (!span) [[unlikely]] {
    TRY(ctx_.memory.probe(linear, size_, access, Privilege::Current));
    return std::unexpected(span.error());
  }
  bool whole = *span != nullptr && length >= elements << shift();
  if (whole) [[likely]]
    return StringWindow{.host = *span + below(elements), .elements = elements, .linear = linear};
  if (*span == nullptr || backward_ || length < size_)
    return indirect_window(linear, access, elements);
  return StringWindow{.host = *span, .elements = length >> shift(), .linear = linear};
}

Expected<StringWindow> StringWalk::indirect_window(u64 linear, Access access, u64 elements) const {
  if (access == Access::Read) return StringWindow{.external = true};
  u32 length = 0;
  TRY_ASSIGN(u8 * host, ctx_.memory.span(linear, Access::Read, Privilege::Current, length));
  if (host == nullptr) return StringWindow{.external = true};
  return StringWindow{.host = host, .elements = elements, .in_place = false, .linear = linear};
}

Expected<> StringWalk::write(const StringWindow& window, const u8* from, u64 elements) const {
  u32 size = static_cast<u32>(elements) * size_;
  return ctx_.memory.write(window.linear - below(elements), from, size, Privilege::Current);
}

}  // namespace penumbra::cpu
