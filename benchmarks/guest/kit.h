// What the programs of the benchmark kit share: how a program is declared, random numbers, digests.
//
// A program is a function from a count of rounds to a checksum. The checksum depends on the count
// alone: never on the machine, the time, or an address. What `prepare` does is not timed. Plain C
// for the x86-64 baseline; what needs more says so in `needs` and is offered only where CPUID and
// the operating system offer it. Memory comes zeroed from `pages`, and ends with the process.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;

enum Needs { kBaseline, kAvx2Fma };

typedef struct {
  const char* name;
  u64 (*run)(u64 count);
  u64 count;  // rounds at full scale: 0.1 to 0.5 s natively, less where emulation is very slow
  void (*prepare)(void);
  enum Needs needs;
} Program;

typedef struct {
  const char* name;
  const Program* programs;
  int size;
} Class;

#define CLASS(title, list) const Class list##_class = {title, list, sizeof list / sizeof *list}
#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define NOINLINE __attribute__((noinline))

// Hides where a value comes from, so that no loop is computed in closed form or hoisted.
#define OPAQUE(value) __asm__ volatile("" : "+r"(value))
#define CLOBBER_MEMORY() __asm__ volatile("" ::: "memory")

// Marsaglia's xorshift64; the seed must not be zero.
static inline u64 next_random(u64* state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  return *state ^= *state << 17;
}

// Fills memory with the same pseudo-random bytes everywhere; the size is a multiple of 8.
void fill_random(void* memory, size_t size, u64 seed);
u64 digest(const void* memory, size_t size);

// Zeroed, page-aligned memory, its pages not yet touched. Small pages stay those of 4 KiB even
// where the kernel would join them to larger ones.
void* pages(size_t size);
void* small_pages(size_t size);

// Ends the process with a message when a system call failed.
s64 checked(s64 result, const char* call);
