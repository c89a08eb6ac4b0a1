// Floating-point vector micro-ops: the host's own instruction under the guest's MXCSR.
//
// Each is one `asm volatile` instruction with the guest's operand order, so NaN payloads, rounding
// and the sticky exception bits are the hardware's, and the compiler can neither fold, move nor
// drop it. They need the environment of cpu/semantics/fp_environment.h; exceptions are masked.
#pragma once

#include "cpu/flags.h"
#include "cpu/semantics/vector_types.h"

namespace penumbra::cpu {

#define PENUMBRA_FLOAT_BINARY(name, instruction)              \
  struct name {                                               \
    [[gnu::always_inline]] static V128 eval(V128 a, V128 b) { \
      asm volatile(instruction " %1, %0" : "+x"(a) : "x"(b)); \
      return a;                                               \
    }                                                         \
  };
#define PENUMBRA_FLOAT_UNARY(name, instruction)               \
  struct name {                                               \
    [[gnu::always_inline]] static V128 eval(V128 a) {         \
      V128 d;                                                 \
      asm volatile(instruction " %1, %0" : "=x"(d) : "x"(a)); \
      return d;                                               \
    }                                                         \
  };
#define PENUMBRA_FLOAT_TO_INTEGER(name, instruction)          \
  struct name {                                               \
    template <Width W>                                        \
    [[gnu::always_inline]] static u64 eval(V128 a, u8) {      \
      std::conditional_t<W == Width::W64, u64, u32> d;        \
      asm volatile(instruction " %1, %0" : "=r"(d) : "x"(a)); \
      return d;                                               \
    }                                                         \
  };
#define PENUMBRA_FLOAT_FROM_INTEGER(name, instruction)            \
  struct name {                                                   \
    template <Width W>                                            \
    [[gnu::always_inline]] static V128 eval(V128 a, u64 b, u8) {  \
      if constexpr (W == Width::W64) {                            \
        asm volatile(instruction "q %1, %0" : "+x"(a) : "r"(b));  \
      } else {                                                    \
        asm volatile(instruction "l %k1, %0" : "+x"(a) : "r"(b)); \
      }                                                           \
      return a;                                                   \
    }                                                             \
  };
#define PENUMBRA_FLOAT_FLAGS(name, instruction)                         \
  struct name {                                                         \
    [[gnu::always_inline]] static u32 eval(V128 a, V128 b) {            \
      u32 zero, parity, carry;                                          \
      asm volatile(instruction " %4, %3"                                \
                   : "=@ccz"(zero), "=@ccp"(parity), "=@ccc"(carry)     \
                   : "x"(a), "x"(b));                                   \
      return zero * Flag::kZf | parity * Flag::kPf | carry * Flag::kCf; \
    }                                                                   \
  };
#include "cpu/semantics/vector_float_ops.def"

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

}  // namespace penumbra::cpu
