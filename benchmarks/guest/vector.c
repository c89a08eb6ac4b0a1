// Class "vector": SSE2, AVX2 and FMA kernels, and the C library's vectorized string functions.
//
// Floating-point kernels have a fixed order of operations, so their bits are checksums.
#include <immintrin.h>
#include <string.h>

#include "kit.h"

#define AVX2_FMA __attribute__((target("avx2,fma")))

enum { kFloats = 4096 };
static float xs[kFloats] __attribute__((aligned(64))), ys[kFloats] __attribute__((aligned(64)));

static void prepare_floats(void) {
  u64 seed = 3;
  for (int i = 0; i < kFloats; ++i) {
    xs[i] = (float)(int)next_random(&seed) * 0x1p-31f;
    ys[i] = (float)(int)next_random(&seed) * 0x1p-31f;
  }
}

static u64 sse_saxpy(u64 count) {
  __m128 factor = _mm_set1_ps(0.75f), keep = _mm_set1_ps(0.5f);
  for (u64 round = 0; round < count; ++round) {
    for (int i = 0; i < kFloats; i += 4) {
      const __m128 scaled = _mm_mul_ps(_mm_load_ps(xs + i), factor);
      _mm_store_ps(ys + i, _mm_add_ps(_mm_mul_ps(_mm_load_ps(ys + i), keep), scaled));
    }
    factor = _mm_sub_ps(keep, factor);
  }
  return digest(ys, sizeof ys);
}

// Complex products in double precision: shuffles, divisions, square roots.
static u64 sse_double(u64 count) {
  __m128d total = _mm_setzero_pd(), z = _mm_set_pd(0.3, 0.7);
  for (u64 i = 0; i < count; ++i) {
    const __m128d swapped = _mm_shuffle_pd(z, z, 1);
    const __m128d product = _mm_mul_pd(z, _mm_unpacklo_pd(swapped, z));
    z = _mm_add_pd(_mm_div_pd(product, _mm_set1_pd(1.7)), _mm_set_pd(0.25, -0.5));
    total = _mm_add_pd(total, _mm_sqrt_pd(_mm_mul_pd(z, z)));
    total = _mm_max_pd(_mm_mul_pd(total, _mm_set1_pd(0.99)), z);
  }
  return digest(&total, sizeof total);
}

enum { kPixels = 16384 };
static u8 image[kPixels] __attribute__((aligned(64))), layer[kPixels] __attribute__((aligned(64)));

static void prepare_pixels(void) {
  fill_random(image, sizeof image, 4);
  fill_random(layer, sizeof layer, 5);
}

// Blends two images: unpack, 16-bit multiply, shift, pack.
static __m128i blended(__m128i a, __m128i b, __m128i alpha) {
  const __m128i difference = _mm_mullo_epi16(_mm_sub_epi16(a, b), alpha);
  return _mm_add_epi16(b, _mm_srai_epi16(difference, 8));
}

static u64 sse_blend(u64 count) {
  const __m128i zero = _mm_setzero_si128();
  for (u64 round = 0; round < count; ++round) {
    const __m128i alpha = _mm_set1_epi16(round % 128);
    for (int i = 0; i < kPixels; i += 16) {
      const __m128i a = _mm_load_si128((const __m128i*)(image + i));
      const __m128i b = _mm_load_si128((const __m128i*)(layer + i));
      const __m128i low = blended(_mm_unpacklo_epi8(a, zero), _mm_unpacklo_epi8(b, zero), alpha);
      const __m128i high = blended(_mm_unpackhi_epi8(a, zero), _mm_unpackhi_epi8(b, zero), alpha);
      const __m128i sum = _mm_adds_epu8(_mm_packus_epi16(low, high), _mm_set1_epi8(1));
      _mm_store_si128((__m128i*)(image + i), sum);
    }
  }
  return digest(image, sizeof image);
}

// Counts a byte: compare, mask, population count by hand.
static u64 sse_search(u64 count) {
  u64 found = 0;
  for (u64 round = 0; round < count; ++round) {
    const __m128i wanted = _mm_set1_epi8((char)round);
    for (int i = 0; i < kPixels; i += 16) {
      const __m128i bytes = _mm_loadu_si128((const __m128i*)(image + i));
      u32 mask = _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, wanted));
      for (; mask; mask &= mask - 1) found += i + round;
    }
  }
  return found;
}

AVX2_FMA static u64 avx_saxpy(u64 count) {
  __m256 factor = _mm256_set1_ps(0.75f), keep = _mm256_set1_ps(0.5f);
  for (u64 round = 0; round < count; ++round) {
    for (int i = 0; i < kFloats; i += 8) {
      const __m256 scaled = _mm256_mul_ps(_mm256_load_ps(xs + i), factor);
      _mm256_store_ps(ys + i, _mm256_fmadd_ps(_mm256_load_ps(ys + i), keep, scaled));
    }
    factor = _mm256_sub_ps(keep, factor);
  }
  return digest(ys, sizeof ys);
}

AVX2_FMA static u64 avx_dot(u64 count) {
  __m256 sums[4] = {};
  for (u64 round = 0; round < count; ++round) {
    for (int i = 0; i < kFloats; i += 32) {
      for (int k = 0; k < 4; ++k) {
        const __m256 x = _mm256_load_ps(xs + i + 8 * k), y = _mm256_load_ps(ys + i + 8 * k);
        sums[k] = _mm256_fmadd_ps(x, y, sums[k]);
      }
    }
    for (int k = 0; k < 4; ++k) sums[k] = _mm256_mul_ps(sums[k], _mm256_set1_ps(0.875f));
  }
  return digest(sums, sizeof sums);
}

// Four columns of a row at a time, in double precision.
enum { kSize = 64 };

AVX2_FMA static u64 avx_matmul(u64 count) {
  static double a[kSize][kSize], b[kSize][kSize], c[kSize][kSize];
  u64 seed = 6;
  for (int i = 0; i < kSize * kSize; ++i) {
    a[0][i] = (double)(s64)next_random(&seed) * 0x1p-66;
    b[0][i] = (double)(s64)next_random(&seed) * 0x1p-66;
  }
  for (u64 round = 0; round < count; ++round) {
    for (int i = 0; i < kSize; ++i) {
      for (int k = 0; k < kSize; k += 4) {
        __m256d total = _mm256_loadu_pd(&b[i][k]);
        for (int n = 0; n < kSize; ++n) {
          total = _mm256_fmadd_pd(_mm256_broadcast_sd(&a[i][n]), _mm256_loadu_pd(&b[n][k]), total);
        }
        _mm256_storeu_pd(&c[i][k], total);
      }
    }
    a[round % kSize][0] = c[0][round % kSize] * 0.125;
  }
  return digest(c, sizeof c);
}

AVX2_FMA static u64 avx_int(u64 count) {
  __m256i total = _mm256_setzero_si256();
  const __m256i odd = _mm256_set1_epi32(0x9e3779b1);
  const __m256i order = _mm256_setr_epi32(3, 1, 4, 0, 5, 2, 6, 7);
  for (u64 round = 0; round < count; ++round) {
    for (int i = 0; i < kPixels; i += 32) {
      const __m256i v = _mm256_load_si256((const __m256i*)(image + i));
      const __m256i mixed = _mm256_mullo_epi32(_mm256_xor_si256(v, total), odd);
      const __m256i shuffled = _mm256_shuffle_epi8(mixed, _mm256_and_si256(v, odd));
      total = _mm256_permutevar8x32_epi32(_mm256_add_epi32(total, shuffled), order);
      total = _mm256_add_epi64(total, _mm256_sad_epu8(v, mixed));
    }
  }
  return digest(&total, sizeof total);
}

AVX2_FMA static u64 avx_search(u64 count) {
  u64 found = 0;
  for (u64 round = 0; round < count; ++round) {
    const __m256i wanted = _mm256_set1_epi8((char)round);
    for (int i = 0; i < kPixels; i += 32) {
      const __m256i bytes = _mm256_loadu_si256((const __m256i*)(image + i));
      u32 mask = _mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, wanted));
      for (; mask; mask &= mask - 1) found += i + round;
    }
  }
  return found;
}

// A polynomial of degree eight by Horner's rule: a chain of fused operations in four lanes.
AVX2_FMA static u64 fma_horner(u64 count) {
  __m256d total = _mm256_setzero_pd(), x = _mm256_setr_pd(0.1, 0.2, 0.3, 0.4);
  for (u64 i = 0; i < count; ++i) {
    __m256d value = _mm256_set1_pd(1.0 / 40320);
    for (int k = 1; k < 9; ++k) value = _mm256_fmadd_pd(value, x, _mm256_set1_pd(1.0 / k));
    total = _mm256_fnmadd_pd(total, _mm256_set1_pd(0.5), value);
    x = _mm256_sub_pd(_mm256_set1_pd(1.0), _mm256_mul_pd(x, _mm256_set1_pd(0.75)));
  }
  return digest(&total, sizeof total);
}

// C library: lines of 0 to 255 characters, and a second copy of them.
enum { kLines = 512, kLineSize = 256 };
static char lines[kLines][kLineSize], copies[kLines][kLineSize];

static void prepare_lines(void) {
  u64 seed = 77;
  for (int i = 0; i < kLines; ++i) {
    const int length = next_random(&seed) % kLineSize;
    memset(lines[i], 'a' + i % 26, length);
    memcpy(copies[i], lines[i], kLineSize);
    if (length > 8) copies[i][length - i % 8 - 1] = '!';
  }
}

static u64 c_strlen(u64 count) {
  u64 total = 0;
  for (u64 round = 0; round < count; ++round) {
    for (int i = 0; i < kLines; ++i) total += strlen(lines[i] + round % 8) + round;
    CLOBBER_MEMORY();
  }
  return total;
}

static u64 c_memchr(u64 count) {
  u64 total = 0;
  for (u64 round = 0; round < count; ++round) {
    for (int i = 0; i < kLines; ++i) {
      const char* found = memchr(copies[i], '!', kLineSize);
      total += found ? found - copies[i] : 1000;
    }
    CLOBBER_MEMORY();
  }
  return total;
}

static u64 c_strcmp(u64 count) {
  u64 total = 0;
  for (u64 round = 0; round < count; ++round) {
    for (int i = 0; i < kLines; ++i) {
      total += (strcmp(lines[i], copies[i]) > 0) + 2 * (strcmp(lines[i] + 1, lines[i]) != 0);
    }
    CLOBBER_MEMORY();
  }
  return total;
}

// Copies of 1 to 128 bytes, as programs mostly make them.
static u64 c_memcpy(u64 count) {
  u64 seed = 13;
  for (u64 round = 0; round < count; ++round) {
    for (int i = 0; i < kLines; ++i) {
      const u64 random = next_random(&seed);
      memcpy(copies[i] + random % 64, lines[(i + 1) % kLines] + (random >> 8) % 64,
             1 + (random >> 16) % 128);
    }
    CLOBBER_MEMORY();
  }
  return digest(copies, sizeof copies);
}

static u64 c_memset(u64 count) {
  u64 seed = 19;
  for (u64 round = 0; round < count; ++round) {
    for (int i = 0; i < kLines; ++i) {
      const u64 random = next_random(&seed);
      memset(copies[i] + random % 64, (int)(random >> 32), 1 + (random >> 16) % 192);
    }
    CLOBBER_MEMORY();
  }
  return digest(copies, sizeof copies);
}

static const Program vector[] = {
    {"sse-saxpy", sse_saxpy, 60000, prepare_floats},
    {"sse-double", sse_double, 12000000},
    {"sse-blend", sse_blend, 40000, prepare_pixels},
    {"sse-search", sse_search, 60000, prepare_pixels},
    {"avx-saxpy", avx_saxpy, 80000, prepare_floats, kAvx2Fma},
    {"avx-dot", avx_dot, 100000, prepare_floats, kAvx2Fma},
    {"avx-matmul", avx_matmul, 900, NULL, kAvx2Fma},
    {"avx-int", avx_int, 40000, prepare_pixels, kAvx2Fma},
    {"avx-search", avx_search, 50000, prepare_pixels, kAvx2Fma},
    {"fma-horner", fma_horner, 6000000, NULL, kAvx2Fma},
    {"strlen", c_strlen, 20000, prepare_lines},
    {"memchr", c_memchr, 20000, prepare_lines},
    {"strcmp", c_strcmp, 8000, prepare_lines},
    {"memcpy", c_memcpy, 20000, prepare_lines},
    {"memset", c_memset, 20000, prepare_lines},
};
CLASS("vector", vector);
