// DIV and IDIV (SDM 2): high:low by a divisor of half that width.
//
// `divides` says whether there is a quotient, or else #DE; `quotient` is only for where there is.
// The remainder is low - quotient * divisor, in the narrow type.
#pragma once

#include <type_traits>

#include "common/types.h"

namespace penumbra::cpu {

namespace detail {

template <class T>
struct Twice;
template <>
struct Twice<u8> {
  using Unsigned = u16;
  using Signed = i16;
};
template <>
struct Twice<u16> {
  using Unsigned = u32;
  using Signed = i32;
};
template <>
struct Twice<u32> {
  using Unsigned = u64;
  using Signed = i64;
};
template <>
struct Twice<u64> {
  using Unsigned = u128;
  using Signed = i128;
};

template <class T>
constexpr typename Twice<T>::Unsigned joined(T low, T high) {
  using Wide = typename Twice<T>::Unsigned;
  return static_cast<Wide>(static_cast<Wide>(high) << (8 * sizeof(T)) | low);
}

}  // namespace detail

template <class T, bool kSigned>
constexpr T quotient(T low, T high, T divisor) {
  auto value = detail::joined(low, high);
  if constexpr (kSigned) {
    using Wide = typename detail::Twice<T>::Signed;
    return static_cast<T>(static_cast<Wide>(value) / static_cast<std::make_signed_t<T>>(divisor));
  } else {
    return static_cast<T>(value / divisor);
  }
}

template <class T, bool kSigned>
constexpr bool divides(T low, T high, T divisor) {
  if constexpr (!kSigned) {
    return high < divisor;
  } else {
    using Narrow = std::make_signed_t<T>;
    using Wide = typename detail::Twice<T>::Signed;
    auto value = static_cast<Wide>(detail::joined(low, high));
    auto by = static_cast<Narrow>(divisor);
    constexpr Wide kLowest = static_cast<Wide>(Wide{1} << (8 * sizeof(T) - 1)) * -1;
    if (by == 0) return false;
    if (by == -1) return value <= -kLowest && value > kLowest;
    return value / by == static_cast<Narrow>(value / by);
  }
}

}  // namespace penumbra::cpu
