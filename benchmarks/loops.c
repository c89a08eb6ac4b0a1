// Guest programs of ./dev bench: integer loops, one at a time, between marker lines that the host
// times. Static, plain C; the same binary runs natively, under Penumbra and under QEMU.
// Usage: loops [SCALE]; SCALE multiplies the work of every loop (default 4).
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint32_t u32;
typedef uint64_t u64;

// Keeps the compiler from computing a loop in closed form.
#define OPAQUE(value) __asm__ volatile("" : "+r"(value))

static u64 sum(int scale) {
  u64 total = 0;
  for (u64 i = 0; i < 60000000ull * scale; ++i) {
    OPAQUE(i);
    total += i ^ (total >> 3);
  }
  return total;
}

static u64 sieve(int scale) {
  enum { kSize = 1 << 20 };
  static unsigned char composite[kSize];
  u64 primes = 0;
  for (int round = 0; round < 20 * scale; ++round) {
    memset(composite, 0, sizeof composite);
    for (u32 i = 2; i < kSize; ++i) {
      if (composite[i]) continue;
      ++primes;
      for (u32 k = 2 * i; k < kSize; k += i) composite[k] = 1;
    }
  }
  return primes;
}

static u64 crc32(int scale) {
  static u32 table[256];
  for (u32 i = 0; i < 256; ++i) {
    u32 value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ (value & 1 ? 0xedb88320u : 0);
    table[i] = value;
  }
  u32 crc = ~0u;
  for (u32 i = 0; i < 20000000u * scale; ++i) {
    OPAQUE(i);
    crc = (crc >> 8) ^ table[(crc ^ i) & 0xff];
  }
  return ~crc;
}

static u64 fib_of(u64 n) {
  OPAQUE(n);
  return n < 2 ? n : fib_of(n - 1) + fib_of(n - 2);
}

static u64 fib(int scale) {
  u64 total = 0;
  for (int round = 0; round < scale; ++round) total += fib_of(36);
  return total;
}

static int compare(const void* a, const void* b) {
  const u32 x = *(const u32*)a, y = *(const u32*)b;
  return (x > y) - (x < y);
}

static u64 sort(int scale) {
  enum { kCount = 100000 };
  static u32 values[kCount];
  u32 seed = 12345;
  u64 digest = 0;
  for (int round = 0; round < 5 * scale; ++round) {
    for (int i = 0; i < kCount; ++i) values[i] = seed = seed * 1664525u + 1013904223u;
    qsort(values, kCount, sizeof *values, compare);
    for (int i = 0; i < kCount; ++i) digest = digest * 31 + values[i];
  }
  return digest;
}

// An open-addressing table of 64-bit keys, filled to three quarters, then asked for each key and
// for as many that are not there.
enum { kSlots = 1 << 16 };
static u64 slots[kSlots];

static u32 slot_of(u64 key) {
  u32 slot = (key * 0x9e3779b97f4a7c15ull) >> 48;
  while (slots[slot] && slots[slot] != key) slot = (slot + 1) % kSlots;
  return slot;
}

static u64 hash(int scale) {
  const int keys = kSlots / 4 * 3;
  u64 found = 0;
  for (u64 round = 1; round <= 120ull * scale; ++round) {
    memset(slots, 0, sizeof slots);
    for (u64 i = 1; i <= (u64)keys; ++i)
      slots[slot_of(i * round * 2654435761u)] = i * round * 2654435761u;
    for (u64 i = 1; i <= 2ull * keys; ++i) found += slots[slot_of(i * round * 2654435761u)] != 0;
  }
  return found;
}

static const struct {
  const char* name;
  u64 (*run)(int scale);
} kLoops[] = {{"sum", sum}, {"sieve", sieve}, {"crc32", crc32},
              {"fib", fib}, {"sort", sort},   {"hash", hash}};

int main(int argc, char** argv) {
  const int scale = argc > 1 ? atoi(argv[1]) : 4;
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (unsigned i = 0; i < sizeof kLoops / sizeof *kLoops; ++i) {
    printf("bench: begin %s\n", kLoops[i].name);
    const u64 result = kLoops[i].run(scale);
    printf("bench: end %s %llx\n", kLoops[i].name, (unsigned long long)result);
  }
  return 0;
}
