#include "cpu/semantics/vector_checked.h"

#include <bit>

#include "cpu/semantics/fp_environment.h"
#include "cpu/semantics/soft_float.h"
#include "cpu/semantics/vector_float.h"

namespace penumbra::cpu {
namespace {

using fp_environment::read_host;
using fp_environment::write_host;

constexpr u32 kPreComputation = Mxcsr::kIe | Mxcsr::kDe | Mxcsr::kZe;

/// The scalar instructions and the format of one lane type.
struct Single {
  using Bits = u32;
  using Add = Addss;
  using Subtract = Subss;
  using Multiply = Mulss;
  using Divide = Divss;
  static constexpr int kFraction = 23, kLowest = -126;
};
struct Double {
  using Bits = u64;
  using Add = Addsd;
  using Subtract = Subsd;
  using Multiply = Mulsd;
  using Divide = Divsd;
  static constexpr int kFraction = 52, kLowest = -1022;
};

template <class F>
using BitsOf = typename F::Bits;
template <class F>
constexpr BitsOf<F> kSign = BitsOf<F>{1} << (sizeof(BitsOf<F>) * 8 - 1);
template <class F>
constexpr BitsOf<F> kImplicit = BitsOf<F>{1} << F::kFraction;
template <class F>
constexpr BitsOf<F> kInfinity = kSign<F> - kImplicit<F>;
template <class F>
constexpr int kBias = 1 - F::kLowest;

template <class F>
V128 scalar(BitsOf<F> bits) {
  return vector_of(Lanes<u64>{bits, 0});
}
template <class F>
BitsOf<F> first_lane(V128 value) {
  return lanes<BitsOf<F>>(value)[0];
}
template <class F>
BitsOf<F> lane(const VectorRegister& value, unsigned i) {
  constexpr unsigned kInQuadword = sizeof(u64) / sizeof(BitsOf<F>);
  u64 quadword = value.lanes[i / kInQuadword];
  return static_cast<BitsOf<F>>(quadword >> (i % kInQuadword * sizeof(BitsOf<F>) * 8));
}

/// A number as significand in [1, 2) and exponent, exactly.
template <class F>
struct Scaled {
  BitsOf<F> significand;  ///< as a number of exponent 0, with the sign
  int exponent;
};
template <class F>
Scaled<F> scale(BitsOf<F> bits) {
  BitsOf<F> sign = bits & kSign<F>, magnitude = bits & ~kSign<F>;
  int exponent = static_cast<int>(magnitude >> F::kFraction) - kBias<F>;
  BitsOf<F> fraction = magnitude & (kImplicit<F> - 1);
  if (magnitude < kImplicit<F>) {
    int shift = std::countl_zero(magnitude) - std::countl_zero(kImplicit<F>);
    fraction = (magnitude << shift) & (kImplicit<F> - 1);
    exponent = F::kLowest - shift;
  }
  BitsOf<F> zero_exponent = static_cast<BitsOf<F>>(kBias<F>) << F::kFraction;
  return {static_cast<BitsOf<F>>(sign | zero_exponent | fraction), exponent};
}

template <class F>
bool is_finite_nonzero(BitsOf<F> bits) {
  BitsOf<F> magnitude = bits & ~kSign<F>;
  return magnitude != 0 && magnitude < kInfinity<F>;
}
template <class F>
bool is_denormal(BitsOf<F> bits) {
  BitsOf<F> magnitude = bits & ~kSign<F>;
  return magnitude != 0 && magnitude < kImplicit<F>;
}

/// One lane with its masked outcome.
struct LaneOutcome {
  V128 result;
  u32 flags;
};

/// Runs `compute` alone: its sticky bits and nobody else's.
template <class Compute>
LaneOutcome observe(Compute compute) {
  write_host(read_host() & ~Mxcsr::kSticky);
  V128 result = compute();
  return {result, read_host() & Mxcsr::kSticky};
}

template <class F>
V128 compute(CheckedForm::Kind kind, V128 a, V128 b) {
  switch (kind) {
    case CheckedForm::Kind::Add:
      return F::Add::eval(a, b);
    case CheckedForm::Kind::Subtract:
      return F::Subtract::eval(a, b);
    case CheckedForm::Kind::Multiply:
      return F::Multiply::eval(a, b);
    case CheckedForm::Kind::Divide:
      return F::Divide::eval(a, b);
    default:
      return Cvtsd2ss::eval(_mm_setzero_si128(), a);
  }
}

/// How the result is rounded when the exponent has no bounds.
struct Unbounded {
  int exponent;
  bool inexact;
};

/// Of products, quotients and conversions of finite nonzero operands. F is the operands' format, R
/// the result's.
template <class F, class R>
Unbounded unbounded(CheckedForm::Kind kind, BitsOf<F> a, BitsOf<F> b) {
  Scaled<F> x = scale<F>(a), y = scale<F>(b);
  LaneOutcome outcome =
      observe([&] { return compute<F>(kind, scalar<F>(x.significand), scalar<F>(y.significand)); });
  int exponent = x.exponent + scale<R>(first_lane<R>(outcome.result)).exponent;
  if (kind == CheckedForm::Kind::Multiply) exponent += y.exponent;
  if (kind == CheckedForm::Kind::Divide) exponent -= y.exponent;
  return {exponent, (outcome.flags & Mxcsr::kPe) != 0};
}

/// Whether a sum that overflows is inexact: that of the operands divided by 16. One too small for
/// that is so far below the other that any small number rounds alike.
template <class F>
bool overflowing_sum_inexact(CheckedForm::Kind kind, BitsOf<F> a, BitsOf<F> b) {
  auto divide = [](BitsOf<F> bits) {
    constexpr BitsOf<F> kSixteenth = kImplicit<F> * 4, kSmallest = kImplicit<F>;
    BitsOf<F> sign = bits & kSign<F>, magnitude = bits & ~kSign<F>;
    if (magnitude == 0) return scalar<F>(bits);
    bool representable = magnitude >= kSmallest + kSixteenth;
    return scalar<F>(sign | (representable ? magnitude - kSixteenth : kSmallest));
  };
  return observe([&] { return compute<F>(kind, divide(a), divide(b)); }).flags & Mxcsr::kPe;
}

/// Exceptions of one lane after its computation, as the guest's masks have it.
template <class F, class R>
u32 lane_flags(CheckedForm::Kind kind, BitsOf<F> a, BitsOf<F> b, u32 unmasked) {
  LaneOutcome masked = observe([&] { return compute<F>(kind, scalar<F>(a), scalar<F>(b)); });
  bool is_sum = kind == CheckedForm::Kind::Add || kind == CheckedForm::Kind::Subtract;
  bool overflows = masked.flags & unmasked & Mxcsr::kOe;
  if (is_sum) {
    // A sum below the normal range is exact.
    if (overflows) return Mxcsr::kOe | (overflowing_sum_inexact<F>(kind, a, b) ? Mxcsr::kPe : 0);
    bool tiny = is_denormal<R>(first_lane<R>(masked.result));
    return tiny && (unmasked & Mxcsr::kUe) ? Mxcsr::kUe : masked.flags;
  }
  if (!is_finite_nonzero<F>(a) || !is_finite_nonzero<F>(b)) return masked.flags;
  Unbounded exact = unbounded<F, R>(kind, a, b);
  u32 precision = exact.inexact ? Mxcsr::kPe : 0;
  if (overflows) return Mxcsr::kOe | precision;
  bool tiny = exact.exponent < R::kLowest;
  return tiny && (unmasked & Mxcsr::kUe) ? Mxcsr::kUe | precision : masked.flags;
}

template <class F>
BitsOf<F> with_daz(BitsOf<F> bits, u32 mxcsr) {
  return (mxcsr & Mxcsr::kDaz) && is_denormal<F>(bits) ? bits & kSign<F> : bits;
}

template <class F, class R>
u32 all_lanes(CheckedForm form, const VectorRegister& a, const VectorRegister& b, u32 guest_mxcsr) {
  u32 flags = 0;
  for (unsigned i = 0; i < form.lanes; ++i) {
    flags |=
        lane_flags<F, R>(form.kind, with_daz<F>(lane<F>(a, i), guest_mxcsr),
                         with_daz<F>(lane<F>(b, i), guest_mxcsr), Mxcsr::unmasked(guest_mxcsr));
  }
  return flags & ~kPreComputation;
}

u32 fused_flags(CheckedForm form, const CheckedOperands& in, u32 mxcsr) {
  auto kind = static_cast<FusedKind>(form.detail);
  u32 flags = 0;
  for (unsigned i = 0; i < form.lanes; ++i) {
    FusedSigns signs = fused_signs(kind, i);
    SoftResult result =
        form.is_double ? fused_multiply_add(kDouble, lane<Double>(in.a, i), lane<Double>(in.b, i),
                                            lane<Double>(in.c, i), signs, mxcsr)
                       : fused_multiply_add(kSingle, lane<Single>(in.a, i), lane<Single>(in.b, i),
                                            lane<Single>(in.c, i), signs, mxcsr);
    flags |= result.flags;
  }
  return flags & ~kPreComputation;
}

u32 to_half_flags(CheckedForm form, const VectorRegister& from, u32 mxcsr) {
  mxcsr = half_rounding(mxcsr, form.detail);
  u32 flags = 0;
  for (unsigned i = 0; i < form.lanes; ++i)
    flags |= half_from_single(lane<Single>(from, i), mxcsr).flags;
  return flags & ~kPreComputation;
}

/// The exceptions after computation, found lane by lane. Changes the host's sticky bits.
u32 post_computation(CheckedForm form, const CheckedOperands& in, u32 guest_mxcsr) {
  if (form.kind == CheckedForm::Kind::Fused) return fused_flags(form, in, guest_mxcsr);
  if (form.kind == CheckedForm::Kind::ToHalf) return to_half_flags(form, in.b, guest_mxcsr);

  // SDM 1, 10.2.3.3: flush-to-zero needs underflow to be masked.
  if (Mxcsr::unmasked(guest_mxcsr) & Mxcsr::kUe) write_host(read_host() & ~Mxcsr::kFtz);
  if (form.kind == CheckedForm::Kind::Narrow)
    return all_lanes<Double, Single>(form, in.b, in.b, guest_mxcsr);
  return form.is_double ? all_lanes<Double, Double>(form, in.a, in.b, guest_mxcsr)
                        : all_lanes<Single, Single>(form, in.a, in.b, guest_mxcsr);
}

}  // namespace

u32 begin_checked(u32 guest_mxcsr) {
  u32 host = read_host();
  write_host(host & ~Mxcsr::kSticky);
  return guest_mxcsr | (host & Mxcsr::kSticky);
}

CheckedResult end_checked(u32 guest_mxcsr, CheckedForm form, const CheckedOperands& operands) {
  u32 host = read_host(), raised = host & Mxcsr::kSticky;
  u32 unmasked = Mxcsr::unmasked(guest_mxcsr);
  u32 before = raised & kPreComputation;
  if (before & unmasked) {
    raised = before;
  } else if ((unmasked & (Mxcsr::kOe | Mxcsr::kUe)) && form.kind != CheckedForm::Kind::Other) {
    raised = before | post_computation(form, operands, guest_mxcsr);
  }
  write_host((host & ~Mxcsr::kSticky) | raised);
  return {guest_mxcsr | raised, (raised & unmasked) != 0};
}

}  // namespace penumbra::cpu
