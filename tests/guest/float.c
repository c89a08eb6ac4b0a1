// Floating point beyond what busybox uses: x87, SSE scalar and packed, every rounding mode,
// conversions, and the exceptions' sticky bits. Prints the bits; the boot tests compare host and
// guest. Only exactly rounded operations, so there is one right answer.
// Usage: float sse|x87|packed ROUNDING, where ROUNDING is an index of kRoundings.
#include <emmintrin.h>
#include <fenv.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int kRoundings[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
static const double kValues[] = {
    0.0, -0.0,     1.0, -1.5,   3.141592653589793, 1e-310,    1e300, -2e-300, 4.5e15,
    0.1, INFINITY, NAN, 5e-324, 65536.5,           -32768.75, 2.5,   -1e18,   1e19};
enum { kCount = sizeof kValues / sizeof *kValues };

static void print_double(const char* name, double value) {
  unsigned long long bits;
  memcpy(&bits, &value, sizeof bits);
  printf(" %s %016llx", name, bits);
}

static void print_extended(const char* name, long double value) {
  unsigned char bytes[16] = {0};
  memcpy(bytes, &value, 10);
  printf(" %s ", name);
  for (int i = 9; i >= 0; --i) printf("%02x", bytes[i]);
}

enum { kExceptions = 0x3f };

static void print_flags(void) {
  unsigned short x87_status;
  __asm__ volatile("fnstsw %0" : "=a"(x87_status));
  printf(" flags %02x %02x\n", _mm_getcsr() & kExceptions, x87_status & kExceptions);
  feclearexcept(FE_ALL_EXCEPT);
  _mm_setcsr(_mm_getcsr() & ~kExceptions);
}

static void sse_pair(volatile double a, volatile double b) {
  print_double("add", a + b);
  print_double("sub", a - b);
  print_double("mul", a * b);
  print_double("div", a / b);
  print_double("sqrt", __builtin_elementwise_sqrt(a));
  print_double("min", _mm_cvtsd_f64(_mm_min_sd(_mm_set_sd(a), _mm_set_sd(b))));
  print_double("single", (float)a * (float)b);
  printf(" int %d %lld less %d", _mm_cvtsd_si32(_mm_set_sd(a)),
         (long long)_mm_cvttsd_si64(_mm_set_sd(b)), a < b);
  print_flags();
}

static void x87_pair(volatile long double a, volatile long double b) {
  print_extended("add", a + b);
  print_extended("sub", a - b);
  print_extended("mul", a * b);
  print_extended("div", a / b);
  print_extended("sqrt", __builtin_sqrtl(a));
  print_extended("round", __builtin_rintl(a));
  print_double("double", (double)(a * b));
  printf(" less %d", a < b);
  print_flags();
}

static void packed(int mode) {
  const int seed = mode + 3;
  __m128 v = _mm_set_ps(seed, seed + 0.5f, -seed / 3.0f, 1.0f / (seed + 1));
  __m128 sum = _mm_setzero_ps();
  for (int i = 0; i < 100; ++i) {
    sum = _mm_add_ps(sum, _mm_mul_ps(v, _mm_shuffle_ps(sum, v, 0x1b)));
    v = _mm_max_ps(_mm_sub_ps(v, _mm_set1_ps(0.125f)), _mm_div_ps(v, _mm_set1_ps(-2.5f)));
  }
  unsigned words[4];
  memcpy(words, &sum, sizeof words);
  printf("packed %d %08x %08x %08x %08x\n", mode, words[0], words[1], words[2], words[3]);
}

static void pairs(int mode, const char* unit) {
  for (int i = 0; i < kCount; ++i) {
    for (int k = 0; k < kCount; ++k) {
      printf("%s %d %d %d", unit, mode, i, k);
      if (unit[0] == 's') {
        sse_pair(kValues[i], kValues[k]);
      } else {
        x87_pair(kValues[i], kValues[k]);
      }
    }
  }
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const int mode = atoi(argv[2]) & 3;
  fesetround(kRoundings[mode]);
  if (argv[1][0] == 'p') {
    packed(mode);
  } else {
    pairs(mode, argv[1]);
  }
  return 0;
}
