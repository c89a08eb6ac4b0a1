// What a stencil's source is written with: the signature, the holes and the continuations.
//
// Only for jit/stencil/sources; nothing here exists at run time. A stencil is a function of type
// StencilFunction (or a vector one) that ends every path by
//   [[clang::musttail]] return to_next(s, left, d, a, b, c);
// and is listed, with its key, in an array in section ".stencil_index". clang places the arguments
// in r12, r13, r14, r15, rdi, rsi and xmm0 to xmm3 (ymm0 to ymm3).
// Holes are addresses of undefined symbols. Where a value is
// compared with zero or another hole, use opaque(): the compiler assumes of an address that it is
// not null and differs from others.
#pragma once

#include <immintrin.h>

#include "common/types.h"

namespace penumbra::cpu {
struct CpuState;
}

namespace penumbra::jit {

#define PENUMBRA_STENCIL __attribute__((preserve_none)) void
#define PENUMBRA_STENCIL_ARGUMENTS                                                      \
  [[maybe_unused]] ::penumbra::cpu::CpuState *s, [[maybe_unused]] ::penumbra::i64 left, \
      [[maybe_unused]] ::penumbra::u64 d, [[maybe_unused]] ::penumbra::u64 a,           \
      [[maybe_unused]] ::penumbra::u64 b, [[maybe_unused]] ::penumbra::u64 c
/// V is __m128i or __m256i.
#define PENUMBRA_VECTOR_ARGUMENTS(V)                                                               \
  PENUMBRA_STENCIL_ARGUMENTS, [[maybe_unused]] V vd, [[maybe_unused]] V va, [[maybe_unused]] V vb, \
      [[maybe_unused]] V vc
#define PENUMBRA_CONTINUE(where) [[clang::musttail]] return where(s, left, d, a, b, c)
#define PENUMBRA_VECTOR_CONTINUE(where) \
  [[clang::musttail]] return where(s, left, d, a, b, c, vd, va, vb, vc)

extern "C" {
extern char hole_d[], hole_a[], hole_b[], hole_c[];
extern char hole_immediate[], hole_displacement[], hole_extra[];
PENUMBRA_STENCIL to_next(PENUMBRA_STENCIL_ARGUMENTS);
PENUMBRA_STENCIL to_taken(PENUMBRA_STENCIL_ARGUMENTS);
PENUMBRA_STENCIL to_slow(PENUMBRA_STENCIL_ARGUMENTS);
PENUMBRA_STENCIL to_exit(PENUMBRA_STENCIL_ARGUMENTS);
PENUMBRA_STENCIL to_next_vector(PENUMBRA_VECTOR_ARGUMENTS(__m128i));
PENUMBRA_STENCIL to_taken_vector(PENUMBRA_VECTOR_ARGUMENTS(__m128i));
PENUMBRA_STENCIL to_slow_vector(PENUMBRA_VECTOR_ARGUMENTS(__m128i));
PENUMBRA_STENCIL to_exit_vector(PENUMBRA_VECTOR_ARGUMENTS(__m128i));
#ifdef __AVX2__
PENUMBRA_STENCIL to_next_vector256(PENUMBRA_VECTOR_ARGUMENTS(__m256i));
PENUMBRA_STENCIL to_taken_vector256(PENUMBRA_VECTOR_ARGUMENTS(__m256i));
PENUMBRA_STENCIL to_slow_vector256(PENUMBRA_VECTOR_ARGUMENTS(__m256i));
PENUMBRA_STENCIL to_exit_vector256(PENUMBRA_VECTOR_ARGUMENTS(__m256i));
#endif
}

using StencilFunction = PENUMBRA_STENCIL(PENUMBRA_STENCIL_ARGUMENTS);

using VectorStencilFunction = PENUMBRA_STENCIL(PENUMBRA_VECTOR_ARGUMENTS(__m128i));
#ifdef __AVX2__
using Vector256StencilFunction = PENUMBRA_STENCIL(PENUMBRA_VECTOR_ARGUMENTS(__m256i));
#endif

/// An entry of the index, an array declared
///   [[gnu::used, gnu::section(".stencil_index")]] const StencilEntry kIndex[] = {...};
struct StencilEntry {
  u64 key;
  union {
    StencilFunction* function;
    VectorStencilFunction* vector_function;
#ifdef __AVX2__
    Vector256StencilFunction* vector256_function;
#endif
  };
  constexpr StencilEntry(u64 k, StencilFunction* f) : key(k), function(f) {}
  constexpr StencilEntry(u64 k, VectorStencilFunction* f) : key(k), vector_function(f) {}
#ifdef __AVX2__
  constexpr StencilEntry(u64 k, Vector256StencilFunction* f) : key(k), vector256_function(f) {}
#endif
};

/// The value of a hole as one the compiler knows nothing of: zero-extended from 32 bits, or all 64.
template <Width W>
u64 opaque(char* hole) {
  u64 value;
  if constexpr (W == Width::W64) {
    asm("movabsq %1, %0" : "=r"(value) : "i"(hole));
  } else {
    asm("movl %1, %k0" : "=r"(value) : "i"(hole));
    __builtin_assume(value >> 32 == 0);  // or it is zero-extended once more
  }
  return value;
}

/// The same, sign-extended from 32 bits.
inline u64 opaque_signed(char* hole) {
  u64 value;
  asm("movq %1, %0" : "=r"(value) : "i"(hole));
  return value;
}

/// The slot at a hole.
template <class T>
T* slot(cpu::CpuState* s, char* hole) {
  return reinterpret_cast<T*>(reinterpret_cast<char*>(s) + reinterpret_cast<u64>(hole));
}

}  // namespace penumbra::jit
