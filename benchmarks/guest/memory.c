// Class "memory": patterns of access that strain caches, TLBs, and what emulators put before them.
#include "kit.h"

enum { kMiB = 1 << 20 };

// Three arrays, larger together than the caches.
enum { kStreamWords = 2 * kMiB };
static u64 *a, *b, *c;

static void prepare_stream(void) {
  a = pages(kStreamWords * 8);
  b = pages(kStreamWords * 8);
  c = pages(kStreamWords * 8);
  fill_random(a, kStreamWords * 8, 1);
  fill_random(b, kStreamWords * 8, 2);
  fill_random(c, kStreamWords * 8, 3);
}

static u64 stream(u64 count) {
  for (u64 round = 0; round < count; ++round) {
    for (u64 i = 0; i < kStreamWords; ++i) a[i] = b[i] + c[i] * 3;
    for (u64 i = 0; i < kStreamWords; ++i) c[i] = a[i] ^ b[i];
  }
  return digest(a, 65536) ^ digest(c, 65536);
}

// Read-modify-write at random in 256 MiB.
enum { kRandomWords = 32 * kMiB };
static u64* words;

static void prepare_random(void) {
  words = pages(kRandomWords * 8ull);
  for (u64 i = 0; i < kRandomWords; i += 512) words[i] = i;
}

static u64 random_access(u64 count) {
  u64 seed = 5, total = 0;
  for (u64 i = 0; i < count; ++i) {
    u64* word = &words[next_random(&seed) % kRandomWords];
    total += *word;
    *word += i;
  }
  return total;
}

// A single cycle through the lines of 64 MiB, in an order that no prefetcher follows.
enum { kLinkCount = kMiB };
typedef struct Link {
  struct Link* next;
  u64 key;
  u64 unused[6];
} Link;
static Link* links;

static void prepare_chase(void) {
  links = pages(kLinkCount * sizeof *links);
  u32* order = pages(kLinkCount * sizeof *order);
  u64 seed = 9;
  for (u32 i = 0; i < kLinkCount; ++i) order[i] = i;
  for (u32 i = kLinkCount - 1; i > 0; --i) {
    const u32 k = next_random(&seed) % (i + 1), moved = order[i];
    order[i] = order[k];
    order[k] = moved;
  }
  for (u32 i = 0; i < kLinkCount; ++i) {
    links[order[i]] = (Link){&links[order[(i + 1) % kLinkCount]], i};
  }
}

static u64 chase(u64 count) {
  u64 total = 0;
  const Link* link = links;
  for (u64 i = 0; i < count; ++i, link = link->next) total += link->key ^ i;
  return total;
}

// One access a page, over 512 MiB.
enum { kStridePages = 512 * kMiB / 4096 };
static u8* field;

static void number_pages(void) {
  for (u64 i = 0; i < kStridePages; ++i) field[i * 4096] = i;
}

static void prepare_stride(void) {
  field = small_pages(kStridePages * 4096ull);
  number_pages();
}

// The same field in whatever pages the kernel chooses, which may be large.
static void prepare_large(void) {
  field = pages(kStridePages * 4096ull);
  number_pages();
}

static u64 stride(u64 count) {
  u64 total = 0;
  for (u64 round = 0; round < count; ++round) {
    for (u64 i = 0; i < kStridePages; ++i) {
      u8* byte = &field[i * 4096 + (i % 64) * 64];
      total += *byte;
      *byte += round;
    }
  }
  return total;
}

// Four arrays a power of two apart: tables that are indexed by low address bits collide.
enum { kApart = 64 * kMiB, kPart = 64 * 1024 };
static u8* parts;

static void prepare_power(void) {
  parts = pages(4ull * kApart);
  fill_random(parts, kPart, 61);
}

static u64 power(u64 count) {
  u64* part[4];
  for (u64 i = 0; i < 4; ++i) part[i] = (u64*)(parts + i * kApart);
  for (u64 round = 0; round < count; ++round) {
    for (u64 i = 0; i < kPart / 8; ++i) {
      part[1][i] += part[0][i];
      part[2][i] ^= part[1][i];
      part[3][i] = part[2][i] - part[0][i] + round;
    }
  }
  return digest(part[3], kPart);
}

// Loads and stores that cross words, lines and pages.
static u8* bytes;
enum { kBytes = 256 * 1024 };

static void prepare_unaligned(void) {
  bytes = pages(kBytes + 4096);
  fill_random(bytes, kBytes, 71);
}

typedef struct {
  u64 word;
} __attribute__((packed)) Unaligned;

static u64 unaligned(u64 count) {
  u64 total = 0;
  for (u64 round = 0; round < count; ++round) {
    for (u64 i = 3; i < kBytes; i += 19) {
      Unaligned* at = (Unaligned*)(bytes + i);
      total += at->word;
      at->word += total;
    }
  }
  return total;
}

// Every access crosses from one page to the next.
static u64 crossing(u64 count) {
  u64 total = 0;
  for (u64 round = 0; round < count; ++round) {
    for (u64 i = 4096; i < kBytes; i += 4096) {
      Unaligned* at = (Unaligned*)(bytes + i - 1 - round % 7);
      total += at->word;
      at->word ^= total;
    }
  }
  return total;
}

// A working set of many pages in few lines: fits the data cache, not the TLB.
static u64 sparse(u64 count) {
  u64 total = 0, seed = 3;
  for (u64 i = 0; i < count; ++i) {
    const u64 page = next_random(&seed) % 2048;
    u8* byte = &field[page * 4096 + (page % 64) * 64];
    total += *byte;
    *byte += i;
  }
  return total;
}

static const Program memory[] = {
    {"stream", stream, 8, prepare_stream},
    {"random", random_access, 5000000, prepare_random},
    {"chase", chase, 1000000, prepare_chase},
    {"stride", stride, 40, prepare_stride},
    {"stride-large", stride, 40, prepare_large},
    {"sparse", sparse, 30000000, prepare_stride},
    {"sparse-large", sparse, 30000000, prepare_large},
    {"power-of-two", power, 5000, prepare_power},
    {"unaligned", unaligned, 5000, prepare_unaligned},
    {"crossing", crossing, 100000, prepare_unaligned},
};
CLASS("memory", memory);
