// What stencils of memory accesses share: values of every size, forms of addresses.
#pragma once

#include "jit/stencil/sources/operands.h"

namespace penumbra::jit {

using Vector16 = __m128i;
struct Vector32 {
  u64 lanes[4];
};

/// A scalar as a vector, in one load: of parts that were stored one by one, the next load of the
/// whole would have to wait.
template <class T>
[[gnu::always_inline]] inline Vector16 zero_extended(const u8* from) {
  if constexpr (sizeof(T) == 4) return _mm_loadu_si32(from);
  return _mm_loadl_epi64(reinterpret_cast<const Vector16*>(from));
}

template <class T, class V>
[[gnu::always_inline]] inline V loaded_vector(const u8* from) {
  if constexpr (sizeof(T) < 16) {
    return zero_extended<T>(from);
  } else {
    return load_from<V>(from);
  }
}

/// Loads fill the slot: 64 bits, or 16 bytes (of a vector) zero-extended.
template <class T, Form D, bool kVector>
[[gnu::always_inline]] inline void put_loaded(CpuState* s, u64& d, const u8* from) {
  if constexpr (sizeof(T) > 16) {
    store_to<T>(slot_of<'d'>(s), load_from<T>(from));
  } else if constexpr (kVector) {
    store_to<Vector16>(slot_of<'d'>(s), loaded_vector<T, Vector16>(from));
  } else {
    put<u64, D>(s, d, load_from<T>(from));
  }
}

template <class T, Form C>
[[gnu::always_inline]] inline void put_stored(CpuState* s, u64 c, u8* to) {
  if constexpr (sizeof(T) >= 16) {
    store_to<T>(to, load_from<T>(slot_of<'c'>(s)));
  } else {
    store_to<T>(to, get<T, C, 'c'>(s, c));
  }
}

template <class T, class V>
[[gnu::always_inline]] inline void put_stored_vector(V vector, u8* to) {
  if constexpr (sizeof(T) == 4) {
    _mm_storeu_si32(to, vector);
  } else if constexpr (sizeof(T) == 8) {
    _mm_storel_epi64(reinterpret_cast<Vector16*>(to), vector);
  } else {
    store_to<V>(to, vector);
  }
}

template <class T>
constexpr Width kVectorWidth = sizeof(T) == 32   ? Width::W256
                               : sizeof(T) == 16 ? Width::W128
                                                 : kWidthOf<T>;

/// Calls f<Base, Index, scale>() for every address form whose base is one of kBases.
template <Form... kBases, class F>
constexpr void each_address_from(F f) {
  each<kBases...>([&]<Form A>() {
    f.template operator()<A, kNone, 0u>();
    each<kRegister, kSlot>([&]<Form B>() {
      each<0u, 1u, 2u, 3u>([&]<unsigned kScale>() { f.template operator()<A, B, kScale>(); });
    });
  });
}
template <class F>
constexpr void each_address(F f) {
  each_address_from<kNone, kRegister, kSlot>(f);
}

}  // namespace penumbra::jit
