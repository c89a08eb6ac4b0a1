#include "cpu/integer/bulk_memory.h"

#include <algorithm>

namespace penumbra::cpu {
namespace {

/// Calls `body` with a zero of the unsigned type of `width`.
template <class Body>
auto by_width(Width width, Body body) {
  switch (width) {
    case Width::W8:
      return body(u8{});
    case Width::W16:
      return body(u16{});
    case Width::W32:
      return body(u32{});
    default:
      return body(u64{});
  }
}

template <class T>
void copy_one_by_one(u8* to, const u8* from, u64 count, i64 stride) {
  for (u64 i = 0; i < count; ++i, to += stride, from += stride) store_to<T>(to, load_from<T>(from));
}

/// Ascending copy onto later bytes of the source, at least one element apart: the bytes between
/// them repeat, so each pass may copy all that is there already.
void replicate(u8* to, const u8* from, u64 size) {
  u64 period = static_cast<u64>(to - from);
  for (u64 copied = 0; copied < size;) {
    u64 piece = std::min(size - copied, period + copied);
    std::memcpy(to + copied, from, piece);
    copied += piece;
  }
}

template <class T>
void scan_step(u64& i, HostElements in, u64 count, T value, bool until_equal) {
  const u8* host = in.host;
  for (; i + 1 < count; ++i, host += in.stride)
    if ((load_from<T>(host) == value) == until_equal) return;
}

/// Leading elements that are equal for sure, looked at eight bytes at a time; less than `count`.
u64 equal_prefix(HostElements left, HostElements right, u64 count) {
  u64 last = (count - 1) * bytes(left.width), i = 0;
  while (i + 8 <= last && load_from<u64>(left.host + i) == load_from<u64>(right.host + i)) i += 8;
  return i / bytes(left.width);
}

}  // namespace

u64 load_element(const u8* host, Width width) {
  return by_width(width, [&]<class T>(T) -> u64 { return load_from<T>(host); });
}

void store_element(u8* host, u64 value, Width width) {
  by_width(width, [&]<class T>(T) { store_to<T>(host, static_cast<T>(value)); });
}

void copy_elements(u8* to, const u8* from, u64 count, Width width, bool backward) {
  u64 size = count * bytes(width);
  u64 below = backward ? size - bytes(width) : 0;
  u64 distance = static_cast<u64>(backward ? from - to : to - from);
  if (distance >= size) {  // apart, or (as a huge unsigned number) overlapping harmlessly
    std::memmove(to - below, from - below, size);
  } else if (!backward && distance >= bytes(width)) {
    replicate(to, from, size);
  } else {
    i64 stride = backward ? -i64{bytes(width)} : i64{bytes(width)};
    by_width(width, [&]<class T>(T) { copy_one_by_one<T>(to, from, count, stride); });
  }
}

void fill_elements(u8* to, u64 value, u64 count, Width width) {
  if (width == Width::W8) {
    std::memset(to, static_cast<u8>(value), count);
    return;
  }
  by_width(width, [&]<class T>(T) {
    for (u64 i = 0; i < count; ++i) store_to<T>(to + i * sizeof(T), static_cast<T>(value));
  });
}

u64 scan_elements(HostElements in, u64 count, u64 value, bool until_equal) {
  if (in.width == Width::W8 && in.stride == 1 && until_equal) {
    const void* found = std::memchr(in.host, static_cast<u8>(value), count);
    return found ? static_cast<u64>(static_cast<const u8*>(found) - in.host) : count - 1;
  }
  u64 i = 0;
  by_width(in.width,
           [&]<class T>(T) { scan_step<T>(i, in, count, static_cast<T>(value), until_equal); });
  return i;
}

u64 compare_elements(HostElements left, HostElements right, u64 count, bool until_equal) {
  u64 i = until_equal || left.stride < 0 ? 0 : equal_prefix(left, right, count);
  by_width(left.width, [&]<class T>(T) {
    const u8* a = left.host + static_cast<i64>(i) * left.stride;
    const u8* b = right.host + static_cast<i64>(i) * right.stride;
    for (; i + 1 < count; ++i, a += left.stride, b += right.stride)
      if ((load_from<T>(a) == load_from<T>(b)) == until_equal) return;
  });
  return i;
}

}  // namespace penumbra::cpu
