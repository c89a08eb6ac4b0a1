// Stencils of REP MOVS and REP STOS of at most 64 bytes, in 64-bit mode: no loop, few branches.
//
// Slow, with nothing done, where they are longer, go down, do not fit what is left of the slice or
// a page each, or overlap so that elements repeat. What they leave to the generator: RSI, RDI and
// RCX.
#include "cpu/flags.h"
#include "jit/stencil/sources/operands.h"
#include "jit/stencil/sources/probe.h"

namespace penumbra::jit {
namespace {

constexpr u64 kMost = 64;

/// One to four T as four that overlap as they must: at 0, `second`, `third` - T and size - T. In
/// registers that are nobody's.
template <class T>
struct Quarters {
  u64 second, third;
  [[gnu::always_inline]] explicit Quarters(u64 size) {
    second = (size - 1) >> 1 & sizeof(T);
    third = size - second;
    asm("" : "+r"(second), "+b"(third));
  }
};

/// T through a vector register, of which there are more.
template <class T>
struct Carried {
  __m128i value;
  [[gnu::always_inline]] explicit Carried(const u8* from) {
    if constexpr (sizeof(T) == 4) value = _mm_loadu_si32(from);
    if constexpr (sizeof(T) == 16) value = load_from<__m128i>(from);
    asm("" : "+x"(value));
  }
  [[gnu::always_inline]] void store(u8* to) const {
    if constexpr (sizeof(T) == 4) _mm_storeu_si32(to, value);
    if constexpr (sizeof(T) == 16) store_to<__m128i>(to, value);
  }
};
template <class T>
[[gnu::always_inline]] inline void copy_quarters(u8* to, const u8* from, u64 size) {
  Quarters<T> at(size);
  Carried<T> a(from), b(from + at.second), c(from + at.third - sizeof(T)),
      d(from + size - sizeof(T));
  a.store(to);
  b.store(to + at.second);
  c.store(to + at.third - sizeof(T));
  d.store(to + size - sizeof(T));
}
template <class T>
[[gnu::always_inline]] inline void fill_quarters(u8* to, T value, u64 size) {
  Quarters<T> at(size);
  store_to<T>(to, value);
  store_to<T>(to + at.second, value);
  store_to<T>(to + at.third - sizeof(T), value);
  store_to<T>(to + size - sizeof(T), value);
}

[[gnu::always_inline]] inline void copy_bytes(u8* to, const u8* from, u64 size) {
  if (size >= 16) return copy_quarters<__m128i>(to, from, size);
  if (size >= 4) return copy_quarters<u32>(to, from, size);
  u8 a = *from, b = from[size >> 1], c = from[size - 1];
  *to = a, to[size >> 1] = b, to[size - 1] = c;
}
/// `pattern` is that of elements T, of which there are whole ones everywhere.
template <class T>
[[gnu::always_inline]] inline void fill_bytes(u8* to, u64 pattern, u64 size) {
  if (size >= 16) {
    return fill_quarters<__m128i>(to, _mm_set1_epi64x(static_cast<long long>(pattern)), size);
  }
  if constexpr (sizeof(T) == 8) return store_to<u64>(to, pattern);
  if (size >= 4) return fill_quarters<u32>(to, static_cast<u32>(pattern), size);
  if constexpr (sizeof(T) == 2) return store_to<u16>(to, static_cast<u16>(pattern));
  u8 byte = static_cast<u8>(pattern);
  *to = to[size >> 1] = to[size - 1] = byte;
}

/// Whether `size` bytes are at hand; if so, `host` is their address.
template <bool kWrites>
[[gnu::always_inline]] inline bool finds(const CpuState* s, u64 linear, u64 size, u8*& host) {
  const mmu::ShadowEntry& entry = entry_of(s, linear);
  u64 last = linear + size - 1;
  asm("" : "+r"(last));
  if (page_of(last) != (kWrites ? entry.write_tag : entry.read_tag)) return false;
  host = reinterpret_cast<u8*>(linear + entry.addend);
  asm("" : "+r"(host));
  return true;
}

template <class T>
[[gnu::always_inline]] inline bool is_short(const CpuState* s, i64 left, u64 count) {
  constexpr i64 kSure = 8;  // of the slice: 64 elements charge no more
  return count <= kMost / sizeof(T) && left >= kSure && (s->rflags & cpu::Flag::kDf) == 0;
}
/// cpu::charge_repeated().
[[gnu::always_inline]] inline void charge(CpuState* s, i64& left, u64 size) {
  u64 bytes = s->repeat_bytes + size;
  left -= static_cast<i64>(bytes / 64);
  s->repeat_bytes = bytes % 64;
}

/// RCX = a, RDI = b, RSI = c.
template <class T>
PENUMBRA_STENCIL movs(PENUMBRA_STENCIL_ARGUMENTS) {
  if (!is_short<T>(s, left, a)) [[unlikely]]
    PENUMBRA_CONTINUE(to_slow);
  if (a != 0) {
    u64 size = a * sizeof(T);
    u8 *from, *to;
    if (!finds<false>(s, c, size, from)) [[unlikely]]
      PENUMBRA_CONTINUE(to_slow);
    if (!finds<true>(s, b, size, to)) [[unlikely]]
      PENUMBRA_CONTINUE(to_slow);
    if (static_cast<u64>(to - from) < size) [[unlikely]]
      PENUMBRA_CONTINUE(to_slow);
    copy_bytes(to, from, size);
    charge(s, left, size);
  }
  PENUMBRA_CONTINUE(to_next);
}

/// The element's bits, as often as they fit a word.
template <class T>
[[gnu::always_inline]] inline u64 pattern_of(u64 value) {
  constexpr u64 kOnes = ~0ull / static_cast<T>(~T{0});
  return static_cast<T>(value) * kOnes;
}

/// RCX = a, RDI = b, RAX = c.
template <class T>
PENUMBRA_STENCIL stos(PENUMBRA_STENCIL_ARGUMENTS) {
  if (!is_short<T>(s, left, a)) [[unlikely]]
    PENUMBRA_CONTINUE(to_slow);
  if (a != 0) {
    u64 size = a * sizeof(T);
    u8* to;
    if (!finds<true>(s, b, size, to)) [[unlikely]]
      PENUMBRA_CONTINUE(to_slow);
    fill_bytes<T>(to, pattern_of<T>(c), size);
    charge(s, left, size);
  }
  PENUMBRA_CONTINUE(to_next);
}

constexpr auto make() {
  Listing<StencilFunction, 8> list;
  each_width([&]<class T>(T) {
    StencilKey key{.width = kWidthOf<T>, .a = kRegister, .b = kRegister, .c = kRegister};
    key.writes_left = true;
    key.op = code_of(Special::ShortMovs);
    list.add(key, movs<T>);
    key.op = code_of(Special::ShortStos);
    list.add(key, stos<T>);
  });
  return list;
}

PENUMBRA_LIST kStrings = listed<make>();

}  // namespace
}  // namespace penumbra::jit
