// Class "float": scalar SSE2, x87, the C library's mathematics, conversions.
//
// Checksums are made of bits where every operation is exactly rounded. The C library may choose
// between implementations that differ in the last place, so its results are rounded to 20 bits of
// fraction first.
#include <math.h>
#include <string.h>

#include "kit.h"

static u64 bits_of(double value) {
  u64 bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

// Five bodies under gravity, kept from flying apart by nothing but the short time.
typedef struct {
  double x, y, z, vx, vy, vz, mass;
} Body;

static void attract(Body* a, Body* b, double step) {
  const double dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
  const double square = dx * dx + dy * dy + dz * dz + 0.01;
  const double force = step / (square * __builtin_sqrt(square));
  a->vx -= dx * b->mass * force;
  a->vy -= dy * b->mass * force;
  a->vz -= dz * b->mass * force;
  b->vx += dx * a->mass * force;
  b->vy += dy * a->mass * force;
  b->vz += dz * a->mass * force;
}

static u64 nbody(u64 count) {
  enum { kBodies = 5 };
  const double step = 0.001;
  Body bodies[kBodies];
  for (int i = 0; i < kBodies; ++i) {
    bodies[i] = (Body){i, i * 0.5 - 1, 1 - i * i * 0.1, 0.1 * i, -0.2, 0.05 * i, 1.0 / (i + 1)};
  }
  for (u64 round = 0; round < count; ++round) {
    for (int i = 0; i < kBodies; ++i) {
      for (int k = i + 1; k < kBodies; ++k) attract(&bodies[i], &bodies[k], step);
    }
    for (int i = 0; i < kBodies; ++i) {
      bodies[i].x += step * bodies[i].vx;
      bodies[i].y += step * bodies[i].vy;
      bodies[i].z += step * bodies[i].vz;
    }
  }
  return digest(bodies, sizeof bodies);
}

static u32 escape_time(double cx, double cy) {
  double x = 0, y = 0;
  u32 n = 0;
  for (; n < 100 && x * x + y * y < 4; ++n) {
    const double next = x * x - y * y + cx;
    y = 2 * x * y + cy;
    x = next;
  }
  return n;
}

static u64 mandelbrot(u64 count) {
  u64 total = 0;
  for (u64 row = 0; row < count; ++row) {
    for (int column = 0; column < 400; ++column) {
      const double y = -1.2 + (row % 397) * (2.4 / 397);
      total = total * 3 + escape_time(-2.0 + column * (2.6 / 400), y);
    }
  }
  return total;
}

// Single precision: a recursive filter over a noise, with its divisions and square roots.
static u64 single(u64 count) {
  u64 seed = 17;
  float a = 0, b = 0, total = 0;
  for (u64 i = 0; i < count; ++i) {
    const float noise = (float)(int)next_random(&seed) * 0x1p-31f;
    const float out = noise * 0.1f + a * 1.5f - b * 0.7f;
    b = a;
    a = out;
    total = total * 0.999f + __builtin_sqrtf(out * out + 1) / (1.5f + noise);
  }
  return bits_of(total);
}

// The spectral norm's matrix: one division an element.
static double element(int i, int k) { return 1.0 / ((i + k) * (i + k + 1) / 2 + i + 1); }

static u64 spectral(u64 count) {
  enum { kSize = 200 };
  static double u[kSize], v[kSize];
  for (int i = 0; i < kSize; ++i) u[i] = 1;
  for (u64 round = 0; round < count; ++round) {
    double norm = 0;
    for (int i = 0; i < kSize; ++i) {
      double total = 0;
      for (int k = 0; k < kSize; ++k) total += element(i, k) * u[k];
      v[i] = total;
      norm += total * total;
    }
    for (int i = 0; i < kSize; ++i) u[i] = v[i] / __builtin_sqrt(norm);
  }
  return digest(u, sizeof u);
}

// In place, radix 2, with a table of roots that is made by rotation.
enum { kPoints = 1024 };

static void transform(double* re, double* im, const double* cosines, const double* sines) {
  for (int half = 1; half < kPoints; half *= 2) {
    for (int i = 0; i < kPoints; i += 2 * half) {
      for (int k = i; k < i + half; ++k) {
        const double c = cosines[(k - i) * (kPoints / 2 / half)];
        const double s = sines[(k - i) * (kPoints / 2 / half)];
        const double r = re[k + half] * c - im[k + half] * s;
        const double m = re[k + half] * s + im[k + half] * c;
        re[k + half] = (re[k] - r) * 0.5;
        im[k + half] = (im[k] - m) * 0.5;
        re[k] = (re[k] + r) * 0.5;
        im[k] = (im[k] + m) * 0.5;
      }
    }
  }
}

static u64 fourier(u64 count) {
  static double re[kPoints], im[kPoints], cosines[kPoints / 2], sines[kPoints / 2];
  double c = 1, s = 0;
  for (int i = 0; i < kPoints / 2; ++i) {
    const double rotated = c * 0.99998117528260111 - s * 0.0061358846491544753;
    cosines[i] = c;
    sines[i] = s;
    s = s * 0.99998117528260111 + c * 0.0061358846491544753;
    c = rotated;
  }
  u64 seed = 23;
  for (u64 round = 0; round < count; ++round) {
    for (int i = 0; i < kPoints; ++i) re[i] += (double)(next_random(&seed) % 1000);
    transform(re, im, cosines, sines);
  }
  return digest(re, sizeof re) ^ digest(im, sizeof im);
}

// Newton's iteration for square roots in extended precision: multiply, add, divide on the stack.
static u64 x87_newton(u64 count) {
  long double total = 0;
  for (u64 i = 1; i <= count; ++i) {
    long double root = i * 0.5L;
    for (int k = 0; k < 4; ++k) root = (root + i / root) * 0.5L;
    total += root - (long double)(s64)root;
  }
  return bits_of((double)total);
}

// Loads and stores of long double dominate.
static u64 x87_matrix(u64 count) {
  enum { kSize = 40 };
  static long double a[kSize][kSize], b[kSize][kSize], c[kSize][kSize];
  u64 seed = 31;
  for (int i = 0; i < kSize * kSize; ++i) {
    a[0][i] = (s64)next_random(&seed) * 0x1p-64L;
    b[0][i] = (s64)next_random(&seed) * 0x1p-64L;
  }
  for (u64 round = 0; round < count; ++round) {
    for (int i = 0; i < kSize; ++i) {
      for (int k = 0; k < kSize; ++k) {
        long double total = 0;
        for (int n = 0; n < kSize; ++n) total += a[i][n] * b[n][k];
        c[i][k] = total;
      }
    }
    a[round % kSize][0] += c[0][round % kSize];
  }
  double corner = 0;
  for (int i = 0; i < kSize; ++i) corner += (double)c[i][kSize - 1 - i];
  return bits_of(corner);
}

static u64 rounded(double value) { return (s64)__builtin_rint(value * 0x1p20); }

static u64 sine(u64 count) {
  u64 total = 0;
  for (u64 i = 0; i < count; ++i) {
    const double x = (double)i * 0.00137;
    total += rounded(sin(x)) * 3 + rounded(cos(x + 0.5));
  }
  return total;
}

static u64 exponential(u64 count) {
  u64 total = 0;
  for (u64 i = 0; i < count; ++i) {
    const double x = (double)(i % 4001) * 0.005 - 10;
    total += rounded(exp(x)) + rounded(log(x + 10.5));
  }
  return total;
}

static u64 power(u64 count) {
  u64 total = 0;
  for (u64 i = 0; i < count; ++i) {
    total += rounded(pow(1.0 + (double)(i % 1013) * 0.01, 0.25 + (double)(i % 7) * 0.37));
  }
  return total;
}

// Between integers of both sizes, float and double, with truncation and rounding.
static u64 convert(u64 count) {
  u64 seed = 41, total = 0;
  for (u64 i = 0; i < count; ++i) {
    const u64 x = next_random(&seed);
    const double a = (double)(s64)x;
    const float b = (float)(int)x;
    total += (s64)(a * 0.37) ^ (int)(b * 0.5f);
    total += (s64)((double)b + (float)a) + (s64)__builtin_rint((double)(x >> 40) * 0.3);
  }
  return total;
}

static const Program floating[] = {
    {"nbody", nbody, 1000000},
    {"mandelbrot", mandelbrot, 3000},
    {"single", single, 15000000},
    {"spectral", spectral, 1500},
    {"fourier", fourier, 5000},
    {"x87-newton", x87_newton, 5000000},
    {"x87-matrix", x87_matrix, 500},
    {"sine", sine, 5000000},
    {"exponential", exponential, 8000000},
    {"power", power, 5000000},
    {"convert", convert, 20000000},
};
const Class float_class = {"float", floating, LENGTH(floating)};
