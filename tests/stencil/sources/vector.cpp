// Stencils over vector registers: every vector register field of legacy and VEX encodings.

#include "jit/stencil/source.h"
#include "tests/stencil/keys.h"

namespace penumbra::jit::test {
namespace {

#define STENCIL(name) PENUMBRA_STENCIL name(PENUMBRA_VECTOR_ARGUMENTS(__m128i))
#define STENCIL256(name) PENUMBRA_STENCIL name(PENUMBRA_VECTOR_ARGUMENTS(__m256i))
#define NEXT PENUMBRA_VECTOR_CONTINUE(to_next_vector)
#define NEXT256 PENUMBRA_VECTOR_CONTINUE(to_next_vector256)

const __m128i* vector_at(u64 address) { return reinterpret_cast<const __m128i*>(address); }

STENCIL(add) {
  vd = _mm_add_epi32(va, vb);
  NEXT;
}

STENCIL(xor_constant) {
  vd = _mm_xor_si128(vc, _mm_set_epi32(0x01020304, 0x11121314, 0x21222324, 0x31323334));
  NEXT;
}

STENCIL(from_slot) {
  vd = *slot<__m128i>(s, hole_a);
  *slot<__m128i>(s, hole_d) = vb;
  NEXT;
}

STENCIL(load) {
  vd = _mm_loadu_si128(vector_at(b));
  NEXT;
}

STENCIL(load_scaled) {
  vd = _mm_add_epi64(vc, _mm_loadu_si128(vector_at(a + b * 8 + 32)));
  NEXT;
}

STENCIL(from_general) {
  vd = _mm_cvtsi64_si128(static_cast<i64>(a));
  NEXT;
}

STENCIL(to_general) {
  d = static_cast<u64>(_mm_extract_epi64(va, 1)) + static_cast<u64>(_mm_cvtsi128_si64(vb));
  NEXT;
}

STENCIL(shuffle) {
  vd = _mm_shuffle_epi8(va, vb);
  NEXT;
}

STENCIL(branch) {
  if (_mm_testz_si128(va, vb) != 0) PENUMBRA_VECTOR_CONTINUE(to_taken_vector);
  vd = _mm_sub_epi8(va, vb);
  NEXT;
}

STENCIL(high_registers) {
#ifdef __AVX2__
  asm("vmovdqa %1, %%xmm13\n vpaddd %%xmm13, %2, %0" : "=x"(vd) : "x"(va), "x"(vb) : "xmm13");
#else
  asm("movdqa %1, %%xmm13\n paddd %2, %%xmm13\n movdqa %%xmm13, %0"
      : "=x"(vd)
      : "x"(va), "x"(vb)
      : "xmm13");
#endif
  NEXT;
}

[[gnu::used, gnu::section(".stencil_index")]] const StencilEntry kIndex[] = {
    {kVectorAdd, add},
    {kVectorXorConstant, xor_constant},
    {kVectorFromSlot, from_slot},
    {kVectorLoad, load},
    {kVectorLoadScaled, load_scaled},
    {kVectorFromGeneral, from_general},
    {kVectorToGeneral, to_general},
    {kVectorShuffle, shuffle},
    {kVectorBranch, branch},
    {kVectorHighRegisters, high_registers},
};

#ifdef __AVX2__
STENCIL(blend) {
  vd = _mm_blendv_epi8(va, vb, vc);
  NEXT;
}

STENCIL256(add_256) {
  vd = _mm256_add_epi16(va, vb);
  NEXT256;
}

STENCIL256(permute_256) {
  vd = _mm256_permutevar8x32_epi32(vb, _mm256_set_epi32(0, 1, 2, 3, 4, 5, 7, 6));
  NEXT256;
}

STENCIL256(broadcast_256) {
  vd = _mm256_set1_epi64x(*reinterpret_cast<const i64*>(a));
  NEXT256;
}

[[gnu::used, gnu::section(".stencil_index")]] const StencilEntry kIndex256[] = {
    {kVectorBlend, blend},
    {kVector256Add, add_256},
    {kVector256Permute, permute_256},
    {kVector256Broadcast, broadcast_256},
};
#endif

}  // namespace
}  // namespace penumbra::jit::test
