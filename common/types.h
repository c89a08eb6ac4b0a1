// Fixed-width integers, operand widths, bit fields and strong guest addresses.
//
// The vocabulary that every folder shares. Nothing here has policy: no file knows a device, an
// instruction or an engine. GuestPhys is an address on the guest's bus; linear (virtual) guest
// addresses are GuestVirt at interfaces and plain u64 inside arithmetic of the hot paths.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace penumbra {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using u128 = unsigned __int128;
using i8 = std::int8_t;
using i16 = std::int16_t;
using i32 = std::int32_t;
using i64 = std::int64_t;
using i128 = __int128;

/// Operand width; the value is log2 of the number of bytes.
enum class Width : u8 { W8, W16, W32, W64, W128, W256 };

constexpr u32 bytes(Width width) { return 1u << static_cast<u32>(width); }
constexpr u32 bits(Width width) { return 8u * bytes(width); }
constexpr u64 mask(Width width) { return width >= Width::W64 ? ~0ull : (1ull << bits(width)) - 1; }

/// Bits Hi..Lo of a register, both inclusive, as the manuals write them.
template <unsigned Hi, unsigned Lo = Hi>
struct Bits {
  static_assert(Hi >= Lo && Hi < 64);
  static constexpr u64 kMask = (Hi - Lo == 63 ? ~0ull : ((1ull << (Hi - Lo + 1)) - 1)) << Lo;
  static constexpr u64 get(u64 value) { return (value & kMask) >> Lo; }
  static constexpr u64 set(u64 value, u64 field) {
    return (value & ~kMask) | ((field << Lo) & kMask);
  }
};

constexpr u64 bit(unsigned position) { return 1ull << position; }
constexpr u64 sign_extend(u64 value, Width width) {
  unsigned shift = width >= Width::W64 ? 0 : 64 - bits(width);
  return static_cast<u64>(static_cast<i64>(value << shift) >> shift);
}

constexpr u64 kPageSize = 4096;
constexpr u64 kPageMask = kPageSize - 1;
constexpr u64 page_of(u64 address) { return address & ~kPageMask; }

/// A linear address of the guest.
struct GuestVirt {
  u64 value = 0;
  friend constexpr auto operator<=>(GuestVirt, GuestVirt) = default;
};

/// A physical address of the guest.
struct GuestPhys {
  u64 value = 0;
  friend constexpr auto operator<=>(GuestPhys, GuestPhys) = default;
};

/// Unaligned load and store of a host object, without aliasing rules in the way.
template <class T>
  requires std::is_trivially_copyable_v<T>
inline T load_from(const void* address) {
  T value;
  std::memcpy(&value, address, sizeof value);
  return value;
}
template <class T>
  requires std::is_trivially_copyable_v<T>
inline void store_to(void* address, T value) {
  std::memcpy(address, &value, sizeof value);
}

}  // namespace penumbra
