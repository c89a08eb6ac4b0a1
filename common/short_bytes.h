// Copies and fills of few bytes, without a call: whole words, the last of which may overlap.
//
// Sizes are at least 1; from some hundred bytes on the host's own functions are faster.
#pragma once

#include "common/types.h"

namespace penumbra {

namespace detail {

using Bytes16 = u64 __attribute__((vector_size(16)));

/// Words of T and a last one that overlaps them; the size is at least that of T. What is read is
/// never written before.
template <class T>
void copy_words(u8* to, const u8* from, u64 size) {
  T last = load_from<T>(from + size - sizeof(T));
  for (u64 i = 0; i + sizeof(T) < size; i += sizeof(T)) store_to<T>(to + i, load_from<T>(from + i));
  store_to<T>(to + size - sizeof(T), last);
}

template <class T>
void fill_words(u8* to, T word, u64 size) {
  for (u64 i = 0; i + sizeof(T) < size; i += sizeof(T)) store_to<T>(to + i, word);
  store_to<T>(to + size - sizeof(T), word);
}

/// Without a loop, whose end is hard to foresee: 33 to 64 bytes.
inline void copy_halves(u8* to, const u8* from, u64 size) {
  auto at = [&](u64 offset) { return load_from<Bytes16>(from + offset); };
  Bytes16 a = at(0), b = at(16), c = at(size - 32), d = at(size - 16);
  store_to(to, a);
  store_to(to + 16, b);
  store_to(to + size - 32, c);
  store_to(to + size - 16, d);
}
inline void fill_halves(u8* to, Bytes16 word, u64 size) {
  for (u64 offset : {u64{0}, u64{16}, size - 32, size - 16}) store_to(to + offset, word);
}

}  // namespace detail

/// `to` lies below `from`, or at least `size` above.
inline void copy_short(void* to, const void* from, u64 size) {
  u8* out = static_cast<u8*>(to);
  const u8* in = static_cast<const u8*>(from);
  if (size - 33 <= 64 - 33) return detail::copy_halves(out, in, size);
  if (size >= 16) return detail::copy_words<detail::Bytes16>(out, in, size);
  if (size >= 8) return detail::copy_words<u64>(out, in, size);
  if (size >= 4) return detail::copy_words<u32>(out, in, size);
  if (size >= 2) return detail::copy_words<u16>(out, in, size);
  *out = *in;
}

/// With `pattern`, which repeats after a power of two that divides `size`.
inline void fill_short(u8* to, u64 pattern, u64 size) {
  if (size - 33 <= 64 - 33) return detail::fill_halves(to, detail::Bytes16{pattern, pattern}, size);
  if (size >= 16) return detail::fill_words(to, detail::Bytes16{pattern, pattern}, size);
  if (size >= 8) return detail::fill_words(to, pattern, size);
  if (size >= 4) return detail::fill_words(to, static_cast<u32>(pattern), size);
  if (size >= 2) return detail::fill_words(to, static_cast<u16>(pattern), size);
  *to = static_cast<u8>(pattern);
}

}  // namespace penumbra
