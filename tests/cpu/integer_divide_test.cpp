// Divisions against the host CPU; where that would raise #DE, against the manual's range.
#include <catch2/catch.hpp>
#include <random>

#include "cpu/semantics/divide.h"

namespace penumbra::cpu::test {
namespace {

struct Division {
  u64 rax, rdx, divisor;
};

/// The host's DIV or IDIV of one width.
template <class T, bool Signed>
Division host_divide(Division d) {
  T divisor = static_cast<T>(d.divisor);
  asm volatile(".if %c[is_signed]\n\tidiv %[divisor]\n\t.else\n\tdiv %[divisor]\n\t.endif"
               : "+a"(d.rax), "+d"(d.rdx)
               : [divisor] "r"(divisor), [is_signed] "i"(Signed ? 1 : 0)
               : "cc");
  return d;
}

/// Whether the quotient fits (SDM 2, DIV and IDIV), by 128-bit long division in the test.
bool quotient_fits(Division d, unsigned bits, bool is_signed) {
  u64 mask = bits == 64 ? ~0ull : (1ull << bits) - 1;
  u128 value = bits == 8 ? d.rax & 0xffff : u128{d.rdx & mask} << bits | (d.rax & mask);
  u64 divisor = d.divisor & mask;
  if (divisor == 0) return false;
  if (!is_signed) return value / divisor <= mask;
  bool value_negative = value >> (2 * bits - 1) & 1, divisor_negative = divisor >> (bits - 1) & 1;
  if (value_negative) value = (0 - value) & (bits == 64 ? ~u128{0} : (u128{1} << 2 * bits) - 1);
  if (divisor_negative) divisor = (0 - divisor) & mask;
  u128 magnitude = value / divisor;
  u128 half = u128{1} << (bits - 1);
  return value_negative != divisor_negative ? magnitude <= half : magnitude < half;
}

class Values {
 public:
  u64 value() {
    static constexpr u64 kEdges[] = {
        0,      1,          2,          7,          0x7f,       0x80,  0xff,       0x7fff, 0x8000,
        0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 1ull << 63, ~0ull, ~0ull >> 1, ~1ull};
    u64 pick = random_();
    if (pick % 3 == 0) return kEdges[random_() % std::size(kEdges)];
    return pick % 3 == 1 ? random_() : random_() >> (random_() % 64);
  }

 private:
  std::mt19937_64 random_{286};
};

template <class T, bool Signed>
void check_divisions() {
  Values values;
  unsigned divided = 0, refused = 0, wrong = 0;
  for (unsigned i = 0; i < 40000; ++i) {
    Division d{values.value(), values.value(), values.value()};
    if (i % 2) d.rdx = Signed && d.rax >> (8 * sizeof(T) - 1) & 1 ? ~0ull : 0;
    T low = static_cast<T>(d.rax), by = static_cast<T>(d.divisor);
    T high = static_cast<T>(sizeof(T) == 1 ? d.rax >> 8 : d.rdx);
    bool fits = quotient_fits(d, 8 * sizeof(T), Signed);
    wrong += divides<T, Signed>(low, high, by) != fits;
    fits ? ++divided : ++refused;
    if (fits) {
      T found = quotient<T, Signed>(low, high, by);
      wrong += found != static_cast<T>(host_divide<T, Signed>(d).rax);
    }
  }
  INFO(sizeof(T) << " bytes, signed " << Signed);
  CHECK(wrong == 0);
  CHECK(divided > 1000);
  CHECK(refused > 1000);
}

TEST_CASE("DIV agrees with the host CPU", "[integer]") {
  check_divisions<u8, false>();
  check_divisions<u16, false>();
  check_divisions<u32, false>();
  check_divisions<u64, false>();
}

TEST_CASE("IDIV agrees with the host CPU", "[integer]") {
  check_divisions<u8, true>();
  check_divisions<u16, true>();
  check_divisions<u32, true>();
  check_divisions<u64, true>();
}

}  // namespace
}  // namespace penumbra::cpu::test
