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

/// What ends a scan: a block is looked at from its lowest byte on, an element by its own address.
template <class T, bool kUntilEqual>
struct ScanEnd {
  T value;

  bool operator()(const u8* at) const { return (load_from<T>(at) == value) == kUntilEqual; }
};

template <class T, bool kUntilEqual>
struct CompareEnd {
  i64 distance;  ///< from the left element to the right one

  bool operator()(const u8* at) const {
    return (load_from<T>(at) == load_from<T>(at + distance)) == kUntilEqual;
  }
};

/// Moves `i` over blocks of elements in which none ends the search, while one more is left.
template <class T, u64 kBytes, class End>
void skip_blocks(u64& i, const u8* host, i64 stride, u64 count, End ends) {
  constexpr u64 kBlock = kBytes / sizeof(T);
  for (; i + kBlock < count; i += kBlock) {
    const u8* lowest = host + static_cast<i64>(stride < 0 ? i + kBlock - 1 : i) * stride;
    bool found = false;
    for (u64 j = 0; j < kBlock; ++j) found |= ends(lowest + j * sizeof(T));
    if (found) return;
  }
}

/// Index of the first element that ends the search, else that of the last one.
template <class T, class End>
u64 search(const u8* host, i64 stride, u64 count, End ends) {
  u64 i = 0;
  skip_blocks<T, 64>(i, host, stride, count, ends);
  skip_blocks<T, 16>(i, host, stride, count, ends);
  while (i + 1 < count && !ends(host + static_cast<i64>(i) * stride)) ++i;
  return i;
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
  u8 byte = static_cast<u8>(value);
  if (((value ^ byte * 0x0101010101010101ull) & mask(width)) == 0) {
    std::memset(to, byte, count * bytes(width));
    return;
  }
  by_width(width, [&]<class T>(T) {
    for (u64 i = 0; i < count; ++i) store_to<T>(to + i * sizeof(T), static_cast<T>(value));
  });
}

u64 scan_elements(HostElements in, u64 count, u64 value, bool until_equal) {
  return by_width(in.width, [&]<class T>(T) {
    T element = static_cast<T>(value);
    return until_equal ? search<T>(in.host, in.stride, count, ScanEnd<T, true>{element})
                       : search<T>(in.host, in.stride, count, ScanEnd<T, false>{element});
  });
}

u64 compare_elements(HostElements left, HostElements right, u64 count, bool until_equal) {
  i64 distance = right.host - left.host;
  return by_width(left.width, [&]<class T>(T) {
    return until_equal ? search<T>(left.host, left.stride, count, CompareEnd<T, true>{distance})
                       : search<T>(left.host, left.stride, count, CompareEnd<T, false>{distance});
  });
}

}  // namespace penumbra::cpu
