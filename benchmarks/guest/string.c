// Class "string": the string instructions with their repeat prefixes.
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kit.h"

static void movsb(void* to, const void* from, u64 bytes) {
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes)::"memory");
}

static void movsq(void* to, const void* from, u64 words) {
  __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words)::"memory");
}

static void movsb_down(u8* to, const u8* from, u64 bytes) {
  to += bytes - 1;
  from += bytes - 1;
  __asm__ volatile("std; rep movsb; cld" : "+D"(to), "+S"(from), "+c"(bytes)::"memory", "cc");
}

static void stosb(void* to, u8 value, u64 bytes) {
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(value) : "memory");
}

static void stosq(void* to, u64 value, u64 words) {
  __asm__ volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(value) : "memory");
}

enum { kLarge = 1 << 20 };
static u8 *from, *to;

static void prepare_buffers(void) {
  from = pages(kLarge + 4096);
  to = pages(kLarge + 4096);
  fill_random(from, kLarge + 4096, 21);
}

static u64 movs_large(u64 count) {
  for (u64 i = 0; i < count; ++i) movsb(to + i % 64, from + i % 32, kLarge);
  return digest(to, kLarge);
}

static u64 movs_words(u64 count) {
  for (u64 i = 0; i < count; ++i) movsq(to + i % 64, from + i % 32, kLarge / 8);
  return digest(to, kLarge);
}

static u64 movs_small(u64 count) {
  u64 seed = 8;
  for (u64 i = 0; i < count; ++i) {
    const u64 random = next_random(&seed);
    movsb(to + random % 4096, from + (random >> 16) % 4096, (random >> 32) % 64);
  }
  return digest(to, 8192);
}

// Destinations just above the source: forwards that repeats a pattern, backwards it moves.
static u64 movs_overlap(u64 count) {
  memcpy(to, from, 8192);
  for (u64 i = 0; i < count; ++i) {
    to[i % 16] += i;
    movsb(to + 1 + i % 16, to, 4000);
    movsb_down(to + 2100 + i % 8, to + 2100, 4000);
  }
  return digest(to, 8192);
}

// Two mappings of the same pages; the copy writes the bytes that it reads later.
static u8 *first_view, *second_view;
enum { kShared = 1 << 16 };

static void prepare_views(void) {
  const int file = checked(memfd_create("pages", 0), "memfd_create");
  checked(ftruncate(file, kShared), "ftruncate");
  first_view = mmap(NULL, kShared, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  second_view = mmap(NULL, kShared, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  checked(first_view == MAP_FAILED || second_view == MAP_FAILED ? -1 : 0, "mmap");
}

static u64 movs_alias(u64 count) {
  fill_random(first_view, kShared, 51);
  for (u64 i = 0; i < count; ++i) {
    first_view[i % 256] += i;
    movsb(second_view + 64 + i % 64, first_view, kShared / 2);
    movsb(first_view + kShared / 2, second_view + i % 128, kShared / 4);
  }
  return digest(second_view, kShared);
}

static u64 stos_large(u64 count) {
  for (u64 i = 0; i < count; ++i) stosb(to + i % 64, i, kLarge);
  return digest(to, kLarge);
}

static u64 stos_small(u64 count) {
  u64 seed = 14;
  for (u64 i = 0; i < count; ++i) {
    const u64 random = next_random(&seed);
    stosb(to + random % 4096, random >> 24, (random >> 32) % 64);
    stosq(to + (random >> 12) % 4096, random, (random >> 40) % 16);
  }
  return digest(to, 8192);
}

// strlen as compilers once made it.
static u64 scas(u64 count) {
  u64 total = 0;
  memset(to, 'x', 8192);
  for (u64 i = 0; i < count; ++i) {
    const u64 length = i * 37 % 4096;
    const u8* at = to;
    u64 left = ~0ull;
    to[length] = 0;
    __asm__ volatile("repne scasb" : "+D"(at), "+c"(left) : "a"(0) : "memory", "cc");
    to[length] = 'x';
    total += ~left * (i + 1);
  }
  return total;
}

static u64 cmps(u64 count) {
  u64 total = 0;
  memcpy(to, from, 8192);
  for (u64 i = 0; i < count; ++i) {
    const u64 place = i * 53 % 4096;
    const u8 *a = to, *b = from;
    u64 left = 4096;
    to[place] ^= 1;
    __asm__ volatile("repe cmpsb" : "+D"(a), "+S"(b), "+c"(left)::"memory", "cc");
    to[place] ^= 1;
    total += left * (i + 1);
  }
  return total;
}

static const Program string[] = {
    {"movs-large", movs_large, 1000, prepare_buffers},
    {"movs-words", movs_words, 2000, prepare_buffers},
    {"movs-small", movs_small, 10000000, prepare_buffers},
    {"movs-overlap", movs_overlap, 20000, prepare_buffers},
    {"movs-alias", movs_alias, 20000, prepare_views},
    {"stos-large", stos_large, 2000, prepare_buffers},
    {"stos-small", stos_small, 10000000, prepare_buffers},
    {"scas", scas, 60000, prepare_buffers},
    {"cmps", cmps, 400000, prepare_buffers},
};
CLASS("string", string);
