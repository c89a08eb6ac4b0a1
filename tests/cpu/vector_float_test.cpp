// Floating-point micro-ops against the compiler's intrinsics of the same instructions: results and
// sticky flags, under every rounding mode, DAZ and FTZ, on grids of special values.
#include <immintrin.h>

#include <catch2/catch.hpp>

#include "cpu/semantics/fp_environment.h"
#include "tests/cpu/vector_values.h"

namespace penumbra::cpu {
namespace {

constexpr int kRounds = 400;

struct Outcome {
  std::string result;
  u32 mxcsr;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
  return out << outcome.result << fmt::format(" mxcsr {:04x}", outcome.mxcsr);
}

/// Runs `compute` under a guest's MXCSR. The operands are tied to the time between enter() and
/// leave(), so that an intrinsic computes there too.
template <class Compute>
Outcome run(u32 mxcsr, V128 a, V128 b, Compute compute) {
  fp_environment::enter(mxcsr);
  asm volatile("" : "+x"(a), "+x"(b));
  auto result = compute(a, b);
  if constexpr (sizeof result == 16) {
    asm volatile("" : "+x"(result));
    u32 after = fp_environment::leave(mxcsr);
    return {hex(__builtin_bit_cast(V128, result)), after};
  } else {
    asm volatile("" : "+r"(result));
    u32 after = fp_environment::leave(mxcsr);
    return {fmt::format("{:x}", static_cast<u64>(result)), after};
  }
}

/// Every rounding mode with and without DAZ and FTZ.
constexpr u32 kEnvironments = 16;
constexpr u32 environment(u32 n) {
  return Mxcsr::kDefault | (n & 3) << 13 | (n & 4 ? Mxcsr::kDaz : 0) | (n & 8 ? Mxcsr::kFtz : 0);
}

template <class Lane, class Actual, class Expected>
void check(Actual actual, Expected expected) {
  VectorValues values(sizeof(Lane));
  for (u32 n = 0; n < kEnvironments; ++n) {
    for (int i = 0; i < kRounds; ++i) {
      V128 a = values.floats<Lane>(), b = values.floats<Lane>();
      INFO(hex(a) << " " << hex(b) << " under " << environment(n));
      REQUIRE(run(environment(n), a, b, actual) == run(environment(n), a, b, expected));
    }
  }
}

/// One instruction: its micro-op, the type of its lanes, its intrinsic.
template <class Op, class Lane, class Result, class Operand>
void binary(Result (*intrinsic)(Operand, Operand)) {
  check<Lane>(eval<Op>, [=](V128 a, V128 b) {
    return intrinsic(__builtin_bit_cast(Operand, a), __builtin_bit_cast(Operand, b));
  });
}
template <class Op, class Lane, class Result, class Operand>
void unary(Result (*intrinsic)(Operand)) {
  check<Lane>([](V128 a, V128) { return Op::eval(a); },
              [=](V128 a, V128) { return intrinsic(__builtin_bit_cast(Operand, a)); });
}

__m128 ps(V128 value) { return _mm_castsi128_ps(value); }
__m128d pd(V128 value) { return _mm_castsi128_pd(value); }

}  // namespace

TEST_CASE("packed and scalar arithmetic is the instruction's") {
  binary<Addps, u32>(_mm_add_ps);
  binary<Addpd, u64>(_mm_add_pd);
  binary<Addss, u32>(_mm_add_ss);
  binary<Addsd, u64>(_mm_add_sd);
  binary<Subps, u32>(_mm_sub_ps);
  binary<Subpd, u64>(_mm_sub_pd);
  binary<Subss, u32>(_mm_sub_ss);
  binary<Subsd, u64>(_mm_sub_sd);
  binary<Mulps, u32>(_mm_mul_ps);
  binary<Mulpd, u64>(_mm_mul_pd);
  binary<Mulss, u32>(_mm_mul_ss);
  binary<Mulsd, u64>(_mm_mul_sd);
  binary<Divps, u32>(_mm_div_ps);
  binary<Divpd, u64>(_mm_div_pd);
  binary<Divss, u32>(_mm_div_ss);
  binary<Divsd, u64>(_mm_div_sd);
}

TEST_CASE("minimum and maximum give the second operand for NaN and equal zeros") {
  binary<Minps, u32>(_mm_min_ps);
  binary<Minpd, u64>(_mm_min_pd);
  binary<Minss, u32>(_mm_min_ss);
  binary<Minsd, u64>(_mm_min_sd);
  binary<Maxps, u32>(_mm_max_ps);
  binary<Maxpd, u64>(_mm_max_pd);
  binary<Maxss, u32>(_mm_max_ss);
  binary<Maxsd, u64>(_mm_max_sd);
  V128 nan = vector_of(Lanes<u64>{0x7ff8000000000001, 0}), one = vector_of(Lanes<u64>{1, 0});
  CHECK(hex(Minsd::eval(nan, one)) == hex(one));
  CHECK(hex(Minsd::eval(one, nan)) == hex(nan));
}

TEST_CASE("roots and estimates") {
  unary<Sqrtps, u32>(_mm_sqrt_ps);
  unary<Sqrtpd, u64>(_mm_sqrt_pd);
  unary<Rcpps, u32>(_mm_rcp_ps);
  unary<Rsqrtps, u32>(_mm_rsqrt_ps);
  check<u32>(eval<Sqrtss>, [](V128 a, V128 b) { return _mm_move_ss(ps(a), _mm_sqrt_ss(ps(b))); });
  check<u64>(eval<Sqrtsd>, [](V128 a, V128 b) { return _mm_sqrt_sd(pd(a), pd(b)); });
  check<u32>(eval<Rcpss>, [](V128 a, V128 b) { return _mm_move_ss(ps(a), _mm_rcp_ss(ps(b))); });
  check<u32>(eval<Rsqrtss>, [](V128 a, V128 b) { return _mm_move_ss(ps(a), _mm_rsqrt_ss(ps(b))); });
}

TEST_CASE("comparisons by predicate") {
  binary<Cmpeqps, u32>(_mm_cmpeq_ps);
  binary<Cmpltps, u32>(_mm_cmplt_ps);
  binary<Cmpleps, u32>(_mm_cmple_ps);
  binary<Cmpunordps, u32>(_mm_cmpunord_ps);
  binary<Cmpneqps, u32>(_mm_cmpneq_ps);
  binary<Cmpnltps, u32>(_mm_cmpnlt_ps);
  binary<Cmpnleps, u32>(_mm_cmpnle_ps);
  binary<Cmpordps, u32>(_mm_cmpord_ps);
  binary<Cmpeqpd, u64>(_mm_cmpeq_pd);
  binary<Cmpltpd, u64>(_mm_cmplt_pd);
  binary<Cmplepd, u64>(_mm_cmple_pd);
  binary<Cmpunordpd, u64>(_mm_cmpunord_pd);
  binary<Cmpneqpd, u64>(_mm_cmpneq_pd);
  binary<Cmpnltpd, u64>(_mm_cmpnlt_pd);
  binary<Cmpnlepd, u64>(_mm_cmpnle_pd);
  binary<Cmpordpd, u64>(_mm_cmpord_pd);
  binary<Cmpeqss, u32>(_mm_cmpeq_ss);
  binary<Cmpltss, u32>(_mm_cmplt_ss);
  binary<Cmpless, u32>(_mm_cmple_ss);
  binary<Cmpunordss, u32>(_mm_cmpunord_ss);
  binary<Cmpneqss, u32>(_mm_cmpneq_ss);
  binary<Cmpnltss, u32>(_mm_cmpnlt_ss);
  binary<Cmpnless, u32>(_mm_cmpnle_ss);
  binary<Cmpordss, u32>(_mm_cmpord_ss);
  binary<Cmpeqsd, u64>(_mm_cmpeq_sd);
  binary<Cmpltsd, u64>(_mm_cmplt_sd);
  binary<Cmplesd, u64>(_mm_cmple_sd);
  binary<Cmpunordsd, u64>(_mm_cmpunord_sd);
  binary<Cmpneqsd, u64>(_mm_cmpneq_sd);
  binary<Cmpnltsd, u64>(_mm_cmpnlt_sd);
  binary<Cmpnlesd, u64>(_mm_cmpnle_sd);
  binary<Cmpordsd, u64>(_mm_cmpord_sd);
}

TEST_CASE("packed conversions") {
  unary<Cvtps2dq, u32>(_mm_cvtps_epi32);
  unary<Cvttps2dq, u32>(_mm_cvttps_epi32);
  unary<Cvtpd2dq, u64>(_mm_cvtpd_epi32);
  unary<Cvttpd2dq, u64>(_mm_cvttpd_epi32);
  unary<Cvtps2pd, u32>(_mm_cvtps_pd);
  unary<Cvtpd2ps, u64>(_mm_cvtpd_ps);
  unary<Cvtdq2ps, u32>(_mm_cvtepi32_ps);
  unary<Cvtdq2pd, u32>(_mm_cvtepi32_pd);
}

TEST_CASE("scalar conversions merge or write an integer") {
  check<u32>(eval<Cvtss2sd>, [](V128 a, V128 b) { return _mm_cvtss_sd(pd(a), ps(b)); });
  check<u64>(eval<Cvtsd2ss>, [](V128 a, V128 b) { return _mm_cvtsd_ss(ps(a), pd(b)); });
  check<u32>([](V128 a, V128) { return static_cast<u32>(Cvtss2si::eval<Width::W32>(a, 0)); },
             [](V128 a, V128) { return static_cast<u32>(_mm_cvtss_si32(ps(a))); });
  check<u32>([](V128 a, V128) { return Cvtss2si::eval<Width::W64>(a, 0); },
             [](V128 a, V128) { return static_cast<u64>(_mm_cvtss_si64(ps(a))); });
  check<u32>([](V128 a, V128) { return static_cast<u32>(Cvttss2si::eval<Width::W32>(a, 0)); },
             [](V128 a, V128) { return static_cast<u32>(_mm_cvttss_si32(ps(a))); });
  check<u32>([](V128 a, V128) { return Cvttss2si::eval<Width::W64>(a, 0); },
             [](V128 a, V128) { return static_cast<u64>(_mm_cvttss_si64(ps(a))); });
  check<u64>([](V128 a, V128) { return static_cast<u32>(Cvtsd2si::eval<Width::W32>(a, 0)); },
             [](V128 a, V128) { return static_cast<u32>(_mm_cvtsd_si32(pd(a))); });
  check<u64>([](V128 a, V128) { return Cvtsd2si::eval<Width::W64>(a, 0); },
             [](V128 a, V128) { return static_cast<u64>(_mm_cvtsd_si64(pd(a))); });
  check<u64>([](V128 a, V128) { return static_cast<u32>(Cvttsd2si::eval<Width::W32>(a, 0)); },
             [](V128 a, V128) { return static_cast<u32>(_mm_cvttsd_si32(pd(a))); });
  check<u64>([](V128 a, V128) { return Cvttsd2si::eval<Width::W64>(a, 0); },
             [](V128 a, V128) { return static_cast<u64>(_mm_cvttsd_si64(pd(a))); });
}

TEST_CASE("integers convert to the low lane") {
  // Opaque, or the compiler converts whole vectors, whose other lanes raise exceptions too.
  auto low64 = [](V128 b) {
    i64 value = static_cast<i64>(low_half(b));
    asm volatile("" : "+r"(value));
    return value;
  };
  auto low32 = [&](V128 b) { return static_cast<i32>(low64(b)); };
  check<u64>([](V128 a, V128 b) { return Cvtsi2ss::eval<Width::W32>(a, low_half(b), 0); },
             [&](V128 a, V128 b) { return _mm_cvtsi32_ss(ps(a), low32(b)); });
  check<u64>([](V128 a, V128 b) { return Cvtsi2ss::eval<Width::W64>(a, low_half(b), 0); },
             [&](V128 a, V128 b) { return _mm_cvtsi64_ss(ps(a), low64(b)); });
  check<u64>([](V128 a, V128 b) { return Cvtsi2sd::eval<Width::W32>(a, low_half(b), 0); },
             [&](V128 a, V128 b) { return _mm_cvtsi32_sd(pd(a), low32(b)); });
  check<u64>([](V128 a, V128 b) { return Cvtsi2sd::eval<Width::W64>(a, low_half(b), 0); },
             [&](V128 a, V128 b) { return _mm_cvtsi64_sd(pd(a), low64(b)); });
}

TEST_CASE("conversions with MMX registers look at two lanes only") {
  check<u32>(eval<Cvtpi2ps>, [](V128 a, V128 b) {
    return _mm_movelh_ps(_mm_cvtepi32_ps(_mm_move_epi64(b)), _mm_movehl_ps(ps(a), ps(a)));
  });
  check<u32>(eval<Cvtpi2pd>, [](V128, V128 b) { return _mm_cvtepi32_pd(b); });
  check<u32>([](V128 a, V128) { return Cvtps2pi::eval<Width::W64>(a, 0); },
             [](V128 a, V128) {
               return static_cast<u64>(_mm_cvtsi128_si64(_mm_cvtps_epi32(ps(_mm_move_epi64(a)))));
             });
  check<u32>([](V128 a, V128) { return Cvttps2pi::eval<Width::W64>(a, 0); },
             [](V128 a, V128) {
               return static_cast<u64>(_mm_cvtsi128_si64(_mm_cvttps_epi32(ps(_mm_move_epi64(a)))));
             });
  check<u64>(
      [](V128 a, V128) { return Cvtpd2pi::eval<Width::W64>(a, 0); },
      [](V128 a, V128) { return static_cast<u64>(_mm_cvtsi128_si64(_mm_cvtpd_epi32(pd(a)))); });
  check<u64>(
      [](V128 a, V128) { return Cvttpd2pi::eval<Width::W64>(a, 0); },
      [](V128 a, V128) { return static_cast<u64>(_mm_cvtsi128_si64(_mm_cvttpd_epi32(pd(a)))); });
}

namespace {

/// SDM 2, COMISD: ZF, PF, CF by relation; IE for a signalling NaN, for COMIS also for a quiet one.
template <class Bits, class Float, class Op>
void check_flags(bool quiet) {
  VectorValues values(sizeof(Bits));
  constexpr Bits kQuiet = Bits{1} << (sizeof(Bits) == 4 ? 22 : 51);
  for (int i = 0; i < 4 * kRounds; ++i) {
    Bits x = values.float_bits<Bits>(), y = values.below(4) ? values.float_bits<Bits>() : x;
    Float a = __builtin_bit_cast(Float, x), b = __builtin_bit_cast(Float, y);
    bool unordered = a != a || b != b;
    bool signals = (a != a && !(x & kQuiet)) || (b != b && !(y & kQuiet));
    u32 expected = unordered ? Flag::kZf | Flag::kPf | Flag::kCf
                             : (a == b ? Flag::kZf : 0) | (a < b ? Flag::kCf : 0);
    INFO(hex(vector_of(Lanes<u64>{x, y})));
    fp_environment::enter(Mxcsr::kDefault);
    u32 flags = Op::eval(vector_of(Lanes<u64>{x, 0}), vector_of(Lanes<u64>{y, 0}));
    u32 mxcsr = fp_environment::leave(Mxcsr::kDefault);
    REQUIRE(flags == expected);
    REQUIRE((mxcsr & Mxcsr::kIe) == (unordered && (signals || !quiet) ? Mxcsr::kIe : 0));
  }
}

}  // namespace

TEST_CASE("ordered and unordered comparisons set ZF, PF and CF") {
  check_flags<u32, float, Comiss>(false);
  check_flags<u32, float, Ucomiss>(true);
  check_flags<u64, double, Comisd>(false);
  check_flags<u64, double, Ucomisd>(true);
}

TEST_CASE("of two NaNs the first operand's payload wins, quieted") {
  V128 a = vector_of(Lanes<u64>{0x7ff0000000000123, 0});
  V128 b = vector_of(Lanes<u64>{0xfff8000000000456, 0});
  CHECK(low_half(Addsd::eval(a, b)) == 0x7ff8000000000123);
  CHECK(low_half(Addsd::eval(b, a)) == 0xfff8000000000456);
  CHECK(low_half(Mulsd::eval(a, b)) == 0x7ff8000000000123);
  CHECK(low_half(Divsd::eval(b, a)) == 0xfff8000000000456);
}

TEST_CASE("the environment keeps sticky bits until it is left and gives the host its own back") {
  V128 one = vector_of(Lanes<u64>{0x3ff0000000000000, 0});
  V128 three = vector_of(Lanes<u64>{0x4008000000000000, 0});
  u32 guest = Mxcsr::kDefault | Mxcsr::kDe;
  fp_environment::enter(guest);
  Divsd::eval(one, three);
  CHECK(fp_environment::leave(guest) == (guest | Mxcsr::kPe));
  CHECK(_mm_getcsr() == Mxcsr::kDefault);
  // Unmasked by the guest, masked on the host.
  fp_environment::enter(0);
  Divsd::eval(one, _mm_setzero_si128());
  CHECK(fp_environment::leave(0) == Mxcsr::kZe);
}

}  // namespace penumbra::cpu
