// Packed integer micro-ops against scalar arithmetic lane by lane, written from the manual's
// operation sections alone.
#include <algorithm>
#include <cstdlib>
#include <functional>

#include <catch2/catch.hpp>

#include "tests/cpu/vector_values.h"

namespace penumbra::cpu {
namespace {

constexpr int kRounds = 2000;

/// d[i] = f(a[i], b[i]) on lanes of type Lane, computed in 64 bits and truncated.
template <class Lane>
V128 each(V128 a, V128 b, const std::function<i64(i64, i64)>& f) {
  Lane x[16 / sizeof(Lane)], y[16 / sizeof(Lane)];
  std::memcpy(x, &a, 16);
  std::memcpy(y, &b, 16);
  for (size_t i = 0; i < std::size(x); ++i)
    x[i] = static_cast<Lane>(f(static_cast<i64>(x[i]), static_cast<i64>(y[i])));
  std::memcpy(&a, x, 16);
  return a;
}

template <class Lane>
i64 saturate(i64 value) {
  return std::clamp<i64>(value, std::numeric_limits<Lane>::min(), std::numeric_limits<Lane>::max());
}

template <class Op, class Lane>
void check_lanes(const char* name, const std::function<i64(i64, i64)>& expected) {
  VectorValues values(sizeof(Lane));
  for (int i = 0; i < kRounds; ++i) {
    using Unsigned = std::make_unsigned_t<Lane>;
    V128 a = values.integers<Unsigned>(), b = values.integers<Unsigned>();
    INFO(name << " " << hex(a) << " " << hex(b));
    REQUIRE(hex(Op::eval(a, b)) == hex(each<Lane>(a, b, expected)));
  }
}

i64 add(i64 a, i64 b) { return static_cast<i64>(static_cast<u64>(a) + static_cast<u64>(b)); }
i64 subtract(i64 a, i64 b) { return static_cast<i64>(static_cast<u64>(a) - static_cast<u64>(b)); }

template <class Lane>
i64 add_saturating(i64 a, i64 b) {
  return saturate<Lane>(a + b);
}
template <class Lane>
i64 subtract_saturating(i64 a, i64 b) {
  return saturate<Lane>(a - b);
}
i64 smaller(i64 a, i64 b) { return a < b ? a : b; }
i64 greater(i64 a, i64 b) { return a > b ? a : b; }
i64 average(i64 a, i64 b) { return (a + b + 1) >> 1; }
i64 equal(i64 a, i64 b) { return a == b ? -1 : 0; }
i64 above(i64 a, i64 b) { return a > b ? -1 : 0; }

enum class Direction { Left, Right };

template <class Op, class Lane>
void check_shift(Direction direction) {
  constexpr bool kSigned = std::is_signed_v<Lane>;
  constexpr u64 kBits = sizeof(Lane) * 8;
  VectorValues values(kBits + kSigned);
  for (int i = 0; i < kRounds; ++i) {
    V128 a = values.integers<u16>();
    u64 count = values.below(2) ? values.below(kBits + 3) : values.bits() >> values.below(64);
    V128 by = vector_of(Lanes<u64>{count, values.bits()});
    INFO(hex(a) << " by " << count);
    V128 expected = each<Lane>(a, a, [&](i64 x, i64) -> i64 {
      if (kSigned) return x >> std::min(count, kBits - 1);
      if (count >= kBits) return 0;
      u64 lane = static_cast<u64>(x);
      return static_cast<i64>(direction == Direction::Left ? lane << count : lane >> count);
    });
    REQUIRE(hex(Op::eval(a, by)) == hex(expected));
    if (count > 255) continue;
    REQUIRE(hex(ByImmediate<Op>::eval(a, static_cast<u8>(count))) == hex(expected));
  }
}

}  // namespace

TEST_CASE("packed addition and subtraction wrap in each lane") {
  check_lanes<Paddb, u8>("paddb", add);
  check_lanes<Paddw, u16>("paddw", add);
  check_lanes<Paddd, u32>("paddd", add);
  check_lanes<Paddq, u64>("paddq", add);
  check_lanes<Psubb, u8>("psubb", subtract);
  check_lanes<Psubw, u16>("psubw", subtract);
  check_lanes<Psubd, u32>("psubd", subtract);
  check_lanes<Psubq, u64>("psubq", subtract);
}

TEST_CASE("saturating arithmetic stops at the limits of the lane type") {
  check_lanes<Paddsb, i8>("paddsb", add_saturating<i8>);
  check_lanes<Paddsw, i16>("paddsw", add_saturating<i16>);
  check_lanes<Paddusb, u8>("paddusb", add_saturating<u8>);
  check_lanes<Paddusw, u16>("paddusw", add_saturating<u16>);
  check_lanes<Psubsb, i8>("psubsb", subtract_saturating<i8>);
  check_lanes<Psubsw, i16>("psubsw", subtract_saturating<i16>);
  check_lanes<Psubusb, u8>("psubusb", subtract_saturating<u8>);
  check_lanes<Psubusw, u16>("psubusw", subtract_saturating<u16>);
}

TEST_CASE("minimum, maximum, average and comparison by lane type") {
  check_lanes<Pminub, u8>("pminub", smaller);
  check_lanes<Pminsw, i16>("pminsw", smaller);
  check_lanes<Pmaxub, u8>("pmaxub", greater);
  check_lanes<Pmaxsw, i16>("pmaxsw", greater);
  check_lanes<Pavgb, u8>("pavgb", average);
  check_lanes<Pavgw, u16>("pavgw", average);
  check_lanes<Pcmpeqb, u8>("pcmpeqb", equal);
  check_lanes<Pcmpeqw, u16>("pcmpeqw", equal);
  check_lanes<Pcmpeqd, u32>("pcmpeqd", equal);
  check_lanes<Pcmpgtb, i8>("pcmpgtb", above);
  check_lanes<Pcmpgtw, i16>("pcmpgtw", above);
  check_lanes<Pcmpgtd, i32>("pcmpgtd", above);
}

TEST_CASE("bitwise operations, PANDN inverts the first operand") {
  check_lanes<Pand, u64>("pand", [](i64 a, i64 b) { return a & b; });
  check_lanes<Por, u64>("por", [](i64 a, i64 b) { return a | b; });
  check_lanes<Pxor, u64>("pxor", [](i64 a, i64 b) { return a ^ b; });
  check_lanes<Pandn, u64>("pandn", [](i64 a, i64 b) { return ~a & b; });
}

TEST_CASE("multiplications keep the half that the manual names") {
  check_lanes<Pmullw, i16>("pmullw", [](i64 a, i64 b) { return a * b; });
  check_lanes<Pmulhw, i16>("pmulhw", [](i64 a, i64 b) { return (a * b) >> 16; });
  check_lanes<Pmulhuw, u16>("pmulhuw", [](i64 a, i64 b) { return (a * b) >> 16; });
  check_lanes<Pmuludq, u64>("pmuludq", [](i64 a, i64 b) {
    return static_cast<i64>((static_cast<u64>(a) & ~0u) * (static_cast<u64>(b) & ~0u));
  });
  check_lanes<Pmaddwd, u32>("pmaddwd", [](i64 a, i64 b) {
    auto low = [](i64 x) { return i64{static_cast<i16>(x)}; };
    return low(a) * low(b) + low(a >> 16) * low(b >> 16);
  });
  check_lanes<Psadbw, u64>("psadbw", [](i64 a, i64 b) {
    i64 sum = 0;
    for (int i = 0; i < 64; i += 8) sum += std::abs((a >> i & 255) - (b >> i & 255));
    return sum;
  });
}

TEST_CASE("shift counts are whole quadwords and may exceed the lane") {
  check_shift<Psllw, u16>(Direction::Left);
  check_shift<Pslld, u32>(Direction::Left);
  check_shift<Psllq, u64>(Direction::Left);
  check_shift<Psrlw, u16>(Direction::Right);
  check_shift<Psrld, u32>(Direction::Right);
  check_shift<Psrlq, u64>(Direction::Right);
  check_shift<Psraw, i16>(Direction::Right);
  check_shift<Psrad, i32>(Direction::Right);
}

TEST_CASE("whole-register shifts move bytes, all of them from 16 on") {
  VectorValues values(1);
  V128 a = values.integers<u8>();
  for (int count = 0; count < 256; ++count) {
    Lanes<u8> left{}, right{};
    for (int i = 0; i < 16; ++i) {
      if (i - count >= 0) left[i] = lanes<u8>(a)[i - count];
      if (i + count < 16) right[i] = lanes<u8>(a)[i + count];
    }
    CHECK(hex(Pslldq::eval(a, static_cast<u8>(count))) == hex(vector_of(left)));
    CHECK(hex(Psrldq::eval(a, static_cast<u8>(count))) == hex(vector_of(right)));
  }
}

}  // namespace penumbra::cpu
