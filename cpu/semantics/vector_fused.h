// Micro-ops of FMA and F16C: the host's own instruction, or integer arithmetic where it has none.
//
// Operands stand in the order of the formula, a * b + c, which is also the order in which NaNs win;
// the instruction's 132, 213 and 231 forms are the lifter's business. They need the environment of
// cpu/semantics/fp_environment.h.
#pragma once

#include "cpu/semantics/soft_float.h"
#include "cpu/semantics/vector_types.h"

namespace penumbra::cpu {

/// Integer twins on the host's MXCSR, whose sticky bits they set.
V128 soft_fused(FusedKind kind, bool is_double, bool is_scalar, V128 a, V128 b, V128 c);
V128 soft_to_half(V128 a, u8 control);
V128 soft_from_half(V128 a);

inline namespace PENUMBRA_TARGET {

#ifdef __AVX2__
constexpr bool host_has_fma() { return true; }
constexpr bool host_has_f16c() { return true; }
#else
inline bool host_has_fma() { return __builtin_cpu_supports("fma"); }
inline bool host_has_f16c() { return __builtin_cpu_supports("f16c"); }
#endif

// Fmadd is vfmadd231ps: %0 = %1 * %2 + %0. The kinds are the mnemonics.
#define PENUMBRA_FUSED_MNEMONIC_Fmadd "vfmadd231"
#define PENUMBRA_FUSED_MNEMONIC_Fmsub "vfmsub231"
#define PENUMBRA_FUSED_MNEMONIC_Fnmadd "vfnmadd231"
#define PENUMBRA_FUSED_MNEMONIC_Fnmsub "vfnmsub231"
#define PENUMBRA_FUSED_MNEMONIC_Fmaddsub "vfmaddsub231"
#define PENUMBRA_FUSED_MNEMONIC_Fmsubadd "vfmsubadd231"
#define PENUMBRA_FUSED_ASM(kind, format, a, b, c) \
  asm volatile(PENUMBRA_FUSED_MNEMONIC_##kind #format " %2, %1, %0" : "+x"(c) : "x"(a), "x"(b))

#define PENUMBRA_FUSED(name, kind, format)                                                        \
  struct name {                                                                                   \
    [[gnu::always_inline]] static V128 eval(V128 a, V128 b, V128 c) {                             \
      if (!host_has_fma()) return soft_fused(FusedKind::kind, #format[1] == 'd', false, a, b, c); \
      PENUMBRA_FUSED_ASM(kind, format, a, b, c);                                                  \
      return c;                                                                                   \
    }                                                                                             \
    [[gnu::always_inline]] static V256 eval(V256 a, V256 b, V256 c) {                             \
      return by_width([](V128 x, V128 y, V128 z) { return eval(x, y, z); },                       \
                      [](auto x, auto y, auto z) {                                                \
                        PENUMBRA_FUSED_ASM(kind, format, x, y, z);                                \
                        return z;                                                                 \
                      },                                                                          \
                      a, b, c);                                                                   \
    }                                                                                             \
  };
#define PENUMBRA_FUSED_SCALAR(name, kind, format)                                                \
  struct name {                                                                                  \
    [[gnu::always_inline]] static V128 eval(V128 a, V128 b, V128 c) {                            \
      if (!host_has_fma()) return soft_fused(FusedKind::kind, #format[1] == 'd', true, a, b, c); \
      PENUMBRA_FUSED_ASM(kind, format, a, b, c);                                                 \
      return c;                                                                                  \
    }                                                                                            \
  };
#define PENUMBRA_TO_HALF(name, control)                                      \
  struct name {                                                              \
    [[gnu::always_inline]] static V128 eval(V128 a) {                        \
      if (!host_has_f16c()) return soft_to_half(a, control);                 \
      V128 d;                                                                \
      asm volatile("vcvtps2ph %2, %1, %0" : "=x"(d) : "x"(a), "i"(control)); \
      return d;                                                              \
    }                                                                        \
    [[gnu::always_inline]] static V256 eval(V256 a) {                        \
      V128 low = eval(halves(a).low), high = eval(halves(a).high);           \
      return join(_mm_unpacklo_epi64(low, high), _mm_setzero_si128());       \
    }                                                                        \
  };
#include "cpu/semantics/vector_fused_ops.def"
#undef PENUMBRA_FUSED_ASM

/// Four halves become four singles; eight become eight.
struct Cvtph2ps {
  [[gnu::always_inline]] static V128 eval(V128 a) {
    if (!host_has_f16c()) return soft_from_half(a);
    V128 d;
    asm volatile("vcvtph2ps %1, %0" : "=x"(d) : "x"(a));
    return d;
  }
  [[gnu::always_inline]] static V256 eval(V256 a) {
    V128 from = low_part(a), low = eval(from);
    return join(low, eval(_mm_unpackhi_epi64(from, from)));
  }
};

}  // namespace PENUMBRA_TARGET
}  // namespace penumbra::cpu
