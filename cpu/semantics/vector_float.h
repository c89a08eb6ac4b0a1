// Floating-point vector micro-ops: the host's own instruction under the guest's MXCSR.
//
// Each is one `asm volatile` instruction with the guest's operand order, so NaN payloads, rounding
// and the sticky exception bits are the hardware's, and the compiler can neither fold, move nor
// drop it. They need the environment of cpu/semantics/fp_environment.h; exceptions are masked.
#pragma once

#include "cpu/flags.h"
#include "cpu/semantics/vector_compare.h"

namespace penumbra::cpu {
inline namespace PENUMBRA_TARGET {

#ifdef __AVX2__
#define PENUMBRA_VEX "v"
#define PENUMBRA_BINARY_ASM(instruction, d, a, b, b_constraint) \
  asm volatile("v" instruction " %2, %1, %0" : "=x"(d) : "x"(a), b_constraint(b))
#define PENUMBRA_WHOLE_ASM(text, d, ...) asm volatile("v" text : "=x"(d) : "x"(__VA_ARGS__))
#define PENUMBRA_COMPARE_BODY(format, predicate)                                             \
  decltype(x) d;                                                                             \
  asm volatile("vcmp" #format " %3, %2, %1, %0" : "=x"(d) : "x"(x), "x"(y), "i"(predicate)); \
  return d;
#else
#define PENUMBRA_WHOLE_ASM(text, d, ...)
#define PENUMBRA_COMPARE_BODY(format, predicate)                                             \
  return compose_comparison < Cmpeq##format, Cmplt##format, Cmple##format, Cmpunord##format, \
         predicate, #format[0] == 's', std::conditional_t < #format[1] == 's', u32, u64 >> (x, y);
#define PENUMBRA_VEX ""
#define PENUMBRA_BINARY_ASM(instruction, d, a, b, b_constraint) \
  asm volatile(instruction " %2, %0" : "=x"(d) : "0"(a), b_constraint(b))
#endif

#define PENUMBRA_FLOAT_BINARY(name, instruction)            \
  struct name {                                             \
    template <class V>                                      \
    [[gnu::always_inline]] static V eval(V a, V b) {        \
      return by_parts(                                      \
          [](auto x, auto y) {                              \
            decltype(x) d;                                  \
            PENUMBRA_BINARY_ASM(instruction, d, x, y, "x"); \
            return d;                                       \
          },                                                \
          a, b);                                            \
    }                                                       \
  };
#define PENUMBRA_FLOAT_SCALAR(name, instruction)              \
  struct name {                                               \
    [[gnu::always_inline]] static V128 eval(V128 a, V128 b) { \
      V128 d;                                                 \
      PENUMBRA_BINARY_ASM(instruction, d, a, b, "x");         \
      return d;                                               \
    }                                                         \
  };
#define PENUMBRA_FLOAT_UNARY(name, instruction)                                  \
  struct name {                                                                  \
    template <class V>                                                           \
    [[gnu::always_inline]] static V eval(V a) {                                  \
      return by_parts(                                                           \
          [](auto x) {                                                           \
            decltype(x) d;                                                       \
            asm volatile(PENUMBRA_VEX instruction " %1, %0" : "=x"(d) : "x"(x)); \
            return d;                                                            \
          },                                                                     \
          a);                                                                    \
    }                                                                            \
  };
#define PENUMBRA_FLOAT_WIDEN(name, instruction)                            \
  struct name {                                                            \
    [[gnu::always_inline]] static V128 eval(V128 a) {                      \
      V128 d;                                                              \
      asm volatile(PENUMBRA_VEX instruction " %1, %0" : "=x"(d) : "x"(a)); \
      return d;                                                            \
    }                                                                      \
    [[gnu::always_inline]] static V256 eval(V256 a) {                      \
      V128 from = low_part(a);                                             \
      if constexpr (kWholeV256) {                                          \
        V256 d;                                                            \
        PENUMBRA_WHOLE_ASM(instruction " %1, %0", d, from);                \
        return d;                                                          \
      } else {                                                             \
        V128 low = eval(from);                                             \
        return join(low, eval(_mm_unpackhi_epi64(from, from)));            \
      }                                                                    \
    }                                                                      \
  };
#define PENUMBRA_FLOAT_NARROW(name, instruction)                           \
  struct name {                                                            \
    [[gnu::always_inline]] static V128 eval(V128 a) {                      \
      V128 d;                                                              \
      asm volatile(PENUMBRA_VEX instruction " %1, %0" : "=x"(d) : "x"(a)); \
      return d;                                                            \
    }                                                                      \
    [[gnu::always_inline]] static V256 eval(V256 a) {                      \
      if constexpr (kWholeV256) {                                          \
        V128 d;                                                            \
        PENUMBRA_WHOLE_ASM(instruction " %1, %0", d, a);                   \
        return join(d, _mm_setzero_si128());                               \
      } else {                                                             \
        V128 low = eval(halves(a).low), high = eval(halves(a).high);       \
        return join(_mm_unpacklo_epi64(low, high), _mm_setzero_si128());   \
      }                                                                    \
    }                                                                      \
  };
#define PENUMBRA_FLOAT_COMPARE(name, format, predicate)                                       \
  struct name {                                                                               \
    template <class V>                                                                        \
    [[gnu::always_inline]] static V eval(V a, V b)                                            \
      requires(compares<V>(#format))                                                          \
    {                                                                                         \
      return by_parts([](auto x, auto y) { PENUMBRA_COMPARE_BODY(format, predicate) }, a, b); \
    }                                                                                         \
  };
#define PENUMBRA_FLOAT_TO_INTEGER(name, instruction)                       \
  struct name {                                                            \
    template <Width W>                                                     \
    [[gnu::always_inline]] static u64 eval(V128 a, u8) {                   \
      std::conditional_t<W == Width::W64, u64, u32> d;                     \
      asm volatile(PENUMBRA_VEX instruction " %1, %0" : "=r"(d) : "x"(a)); \
      return d;                                                            \
    }                                                                      \
  };
#define PENUMBRA_FLOAT_FROM_INTEGER(name, instruction)                        \
  struct name {                                                               \
    template <Width W>                                                        \
    [[gnu::always_inline]] static V128 eval(V128 a, u64 b, u8) {              \
      V128 d;                                                                 \
      if constexpr (W == Width::W64) {                                        \
        PENUMBRA_BINARY_ASM(instruction "q", d, a, b, "r");                   \
      } else {                                                                \
        PENUMBRA_BINARY_ASM(instruction "l", d, a, static_cast<u32>(b), "r"); \
      }                                                                       \
      return d;                                                               \
    }                                                                         \
  };
#define PENUMBRA_FLOAT_FLAGS(name, instruction)                         \
  struct name {                                                         \
    [[gnu::always_inline]] static u32 eval(V128 a, V128 b) {            \
      u32 zero, parity, carry;                                          \
      asm volatile(PENUMBRA_VEX instruction " %4, %3"                   \
                   : "=@ccz"(zero), "=@ccp"(parity), "=@ccc"(carry)     \
                   : "x"(a), "x"(b));                                   \
      return zero * Flag::kZf | parity * Flag::kPf | carry * Flag::kCf; \
    }                                                                   \
  };
#include "cpu/semantics/vector_float_ops.def"
#undef PENUMBRA_BINARY_ASM
#undef PENUMBRA_VEX
#undef PENUMBRA_COMPARE_BODY
#undef PENUMBRA_WHOLE_ASM

// -- conversions between MMX and XMM registers: two lanes, the others raise nothing --------------

struct Cvtpi2ps {
  [[gnu::always_inline]] static V128 eval(V128 a, V128 b) {
    V128 low = Cvtdq2ps::eval(zero_extend_half(b));
    return vector_of(Lanes<u64>{low_half(low), lanes<u64>(a)[1]});
  }
};

struct Cvtpi2pd {
  [[gnu::always_inline]] static V128 eval(V128, V128 b) { return Cvtdq2pd::eval(b); }
};

/// A packed conversion of the low two floats, or of two doubles, into one quadword.
template <class Conversion>
struct ToMmx {
  template <Width W>
  [[gnu::always_inline]] static u64 eval(V128 a, u8) {
    return low_half(Conversion::eval(a));
  }
};
template <class Conversion>
struct LowHalf {
  [[gnu::always_inline]] static V128 eval(V128 a) { return Conversion::eval(zero_extend_half(a)); }
};
using Cvtps2pi = ToMmx<LowHalf<Cvtps2dq>>;
using Cvttps2pi = ToMmx<LowHalf<Cvttps2dq>>;
using Cvtpd2pi = ToMmx<Cvtpd2dq>;
using Cvttpd2pi = ToMmx<Cvttpd2dq>;

}  // namespace PENUMBRA_TARGET
}  // namespace penumbra::cpu
