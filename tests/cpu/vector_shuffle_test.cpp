// Lane-moving micro-ops against index arithmetic on bytes.
#include <algorithm>
#include <functional>

#include <catch2/catch.hpp>

#include "tests/cpu/vector_values.h"

namespace penumbra::cpu {
namespace {

constexpr int kRounds = 500;

/// Which byte of a (0..15) or b (16..31) becomes byte i of the result.
using ByteSource = std::function<unsigned(unsigned i)>;

V128 gather(V128 a, V128 b, const ByteSource& source) {
  u8 from[32], to[16];
  std::memcpy(from, &a, 16);
  std::memcpy(from + 16, &b, 16);
  for (unsigned i = 0; i < 16; ++i) to[i] = from[source(i)];
  std::memcpy(&a, to, 16);
  return a;
}

void check(const std::function<V128(V128, V128)>& actual, const ByteSource& source) {
  VectorValues values(7);
  for (int i = 0; i < kRounds; ++i) {
    V128 a = values.integers<u8>(), b = values.integers<u8>();
    REQUIRE(hex(actual(a, b)) == hex(gather(a, b, source)));
  }
}

/// Lane 2n of an unpack is lane n of a, lane 2n + 1 is lane n of b.
ByteSource interleave(unsigned lane_size, unsigned first_byte) {
  return [=](unsigned i) {
    unsigned lane = i / lane_size, byte = i % lane_size;
    return first_byte + lane / 2 * lane_size + byte + (lane % 2) * 16;
  };
}

template <class From, class To>
V128 pack(V128 a, V128 b) {
  Lanes<To> packed{};
  constexpr unsigned kHalf = 16 / sizeof(From);
  for (unsigned i = 0; i < 2 * kHalf; ++i) {
    From value = lanes<From>(i < kHalf ? a : b)[i % kHalf];
    packed[i] = static_cast<To>(
        std::clamp<i64>(value, std::numeric_limits<To>::min(), std::numeric_limits<To>::max()));
  }
  return vector_of(packed);
}

}  // namespace

TEST_CASE("unpacks interleave lanes of the low or the high half") {
  check(eval<Punpcklbw>, interleave(1, 0));
  check(eval<Punpcklwd>, interleave(2, 0));
  check(eval<Punpckldq>, interleave(4, 0));
  check(eval<Punpcklqdq>, interleave(8, 0));
  check(eval<Punpckhbw>, interleave(1, 8));
  check(eval<Punpckhwd>, interleave(2, 8));
  check(eval<Punpckhdq>, interleave(4, 8));
  check(eval<Punpckhqdq>, interleave(8, 8));
}

TEST_CASE("packs saturate signed lanes into the narrower type") {
  VectorValues values(3);
  for (int i = 0; i < kRounds; ++i) {
    V128 a = values.integers<u16>(), b = values.integers<u16>();
    CHECK(hex(Packsswb::eval(a, b)) == hex(pack<i16, i8>(a, b)));
    CHECK(hex(Packuswb::eval(a, b)) == hex(pack<i16, u8>(a, b)));
    CHECK(hex(Packssdw::eval(a, b)) == hex(pack<i32, i16>(a, b)));
  }
}

TEST_CASE("shuffles choose lanes by two bits of the immediate") {
  for (unsigned immediate = 0; immediate < 256; ++immediate) {
    auto choice = [=](unsigned lane) { return immediate >> (2 * lane) & 3; };
    u8 imm = static_cast<u8>(immediate);
    VectorValues values(immediate);
    V128 a = values.integers<u8>(), b = values.integers<u8>();
    CHECK(hex(Pshufd::eval(a, imm)) ==
          hex(gather(a, b, [&](unsigned i) { return choice(i / 4) * 4 + i % 4; })));
    CHECK(hex(Shufps::eval(a, b, imm)) == hex(gather(a, b, [&](unsigned i) {
            return choice(i / 4) * 4 + i % 4 + (i >= 8 ? 16 : 0);
          })));
    CHECK(hex(Shufpd::eval(a, b, imm)) == hex(gather(a, b, [&](unsigned i) {
            return i < 8 ? i + (immediate & 1) * 8 : i + 8 + (immediate >> 1 & 1) * 8;
          })));
    CHECK(hex(Pshuflw::eval(a, imm)) ==
          hex(gather(a, b, [&](unsigned i) { return i < 8 ? choice(i / 2) * 2 + i % 2 : i; })));
    CHECK(hex(Pshufhw::eval(a, imm)) == hex(gather(a, b, [&](unsigned i) {
            return i < 8 ? i : 8 + choice((i - 8) / 2) * 2 + i % 2;
          })));
  }
}

TEST_CASE("moves merge the low lane or clear what is above it") {
  check([](V128 a, V128) { return VectorMove::eval(a); }, [](unsigned i) { return i; });
  check(eval<Movss>, [](unsigned i) { return i < 4 ? i + 16 : i; });
  check(eval<Movsd>, [](unsigned i) { return i < 8 ? i + 16 : i; });
  V128 all_ones = vector_of(Lanes<u64>{~u64{0}, ~u64{0}});
  CHECK(hex(Movq::eval(all_ones)) == "0000000000000000ffffffffffffffff");
}

TEST_CASE("words and integers go in and out of vectors") {
  VectorValues values(5);
  V128 a = values.integers<u16>();
  for (unsigned immediate = 0; immediate < 256; ++immediate) {
    u8 imm = static_cast<u8>(immediate);
    unsigned word = immediate % 8;
    Lanes<u16> changed = lanes<u16>(a);
    changed[word] = 0x1234;
    CHECK(hex(Pinsrw::eval<Width::W16>(a, 0x1234, imm)) == hex(vector_of(changed)));
    CHECK(Pextrw::eval<Width::W32>(a, imm) == lanes<u16>(a)[word]);
  }
  V128 integer = MoveFromInteger::eval<Width::W64>(a, 0x8123456789abcdef, 0);
  CHECK(hex(integer) == "00000000000000008123456789abcdef");
  CHECK(MoveToInteger::eval<Width::W32>(integer, 0) == 0x89abcdef);
  CHECK(MoveToInteger::eval<Width::W64>(integer, 0) == 0x8123456789abcdef);
}

TEST_CASE("masks collect the top bit of each lane") {
  VectorValues values(9);
  for (int i = 0; i < kRounds; ++i) {
    V128 a = values.integers<u8>();
    u64 by_byte = 0, by_dword = 0, by_qword = 0;
    for (unsigned n = 0; n < 16; ++n) by_byte |= u64{lanes<u8>(a)[n] >= 0x80} << n;
    for (unsigned n = 0; n < 4; ++n) by_dword |= (by_byte >> (4 * n + 3) & 1) << n;
    for (unsigned n = 0; n < 2; ++n) by_qword |= (by_byte >> (8 * n + 7) & 1) << n;
    CHECK(Pmovmskb::eval<Width::W32>(a, 0) == by_byte);
    CHECK(Movmskps::eval<Width::W32>(a, 0) == by_dword);
    CHECK(Movmskpd::eval<Width::W32>(a, 0) == by_qword);
  }
}

}  // namespace penumbra::cpu
