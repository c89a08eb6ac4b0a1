// Class "integer": general-purpose instructions in loops, little memory, few indirect branches.
#include <string.h>

#include "kit.h"

// A dependent chain of additions and shifts.
static u64 sum(u64 count) {
  u64 total = 0;
  for (u64 i = 0; i < count; ++i) {
    OPAQUE(i);
    total += i ^ (total >> 3);
  }
  return total;
}

static u64 sieve(u64 count) {
  enum { kSize = 1 << 20 };
  static u8 composite[kSize];
  u64 primes = 0;
  for (u64 round = 0; round < count; ++round) {
    memset(composite, 0, sizeof composite);
    for (u32 i = 2; i < kSize; ++i) {
      if (composite[i]) continue;
      primes += i ^ round;
      for (u32 k = 2 * i; k < kSize; k += i) composite[k] = 1;
    }
  }
  return primes;
}

static void quicksort(u32* values, s64 low, s64 high) {
  while (low < high) {
    const u32 pivot = values[low + (high - low) / 2];
    s64 i = low, k = high;
    while (i <= k) {
      while (values[i] < pivot) ++i;
      while (values[k] > pivot) --k;
      if (i > k) break;
      const u32 swapped = values[i];
      values[i++] = values[k];
      values[k--] = swapped;
    }
    quicksort(values, low, k);
    low = i;
  }
}

static u64 sort(u64 count) {
  enum { kCount = 100000 };
  static u32 values[kCount];
  u64 result = 0;
  for (u64 round = 1; round <= count; ++round) {
    fill_random(values, sizeof values, round);
    quicksort(values, 0, kCount - 1);
    for (int i = 0; i < kCount; ++i) result = result * 31 + values[i];
  }
  return result;
}

// An open-addressing table of 64-bit keys, filled to three quarters, then asked for each key and
// for as many that are not there.
enum { kSlots = 1 << 16, kKeys = kSlots / 4 * 3 };
static u64 slots[kSlots];

static u32 slot_of(u64 key) {
  u32 slot = (key * 0x9e3779b97f4a7c15ull) >> 48;
  while (slots[slot] && slots[slot] != key) slot = (slot + 1) % kSlots;
  return slot;
}

static u64 hash(u64 count) {
  u64 found = 0;
  for (u64 round = 1; round <= count; ++round) {
    const u64 step = round * 2654435761u;
    memset(slots, 0, sizeof slots);
    for (u64 i = 1; i <= kKeys; ++i) slots[slot_of(i * step)] = i * step;
    for (u64 i = 1; i <= 2ull * kKeys; ++i) found += slots[slot_of(i * step)] != 0;
  }
  return found;
}

static u64 crc32(u64 count) {
  static u32 table[256];
  for (u32 i = 0; i < 256; ++i) {
    u32 value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ (value & 1 ? 0xedb88320u : 0);
    table[i] = value;
  }
  u32 crc = ~0u;
  for (u64 i = 0; i < count; ++i) {
    OPAQUE(i);
    crc = (crc >> 8) ^ table[(crc ^ i) & 0xff];
  }
  return ~crc;
}

// Byte-oriented LZ: a literal is its byte, a match is kMatch, length, distance (two bytes). The
// text uses no byte from kMatch up.
enum { kText = 1 << 16, kMatch = 0x80, kShortest = 4, kLongest = 255 };
static u8 text[kText], packed[2 * kText], unpacked[kText];

static void prepare_text(void) {
  static const char* const kWords[] = {"block ", "guest ", "of the ", "store ",
                                       "and a ", "page ",  "table.",  "host "};
  u64 seed = 7, length = 0;
  while (length < kText) {
    const char* word = kWords[next_random(&seed) % LENGTH(kWords)];
    while (*word && length < kText) text[length++] = *word++;
    if (length < kText && next_random(&seed) % 4 == 0) text[length++] = 'a' + seed % 26;
  }
}

static u32 hash_of(const u8* at) {
  u32 word;
  memcpy(&word, at, sizeof word);
  return (word * 2654435761u) >> 20;
}

static u32 match_length(const u8* a, const u8* b, u32 limit) {
  u32 length = 0;
  while (length < limit && a[length] == b[length]) ++length;
  return length;
}

static u32 pack(void) {
  static u16 heads[1 << 12];
  u32 out = 0;
  memset(heads, 0, sizeof heads);
  for (u32 i = 0; i < kText;) {
    u32 length = 0, distance = 0;
    if (i + kShortest < kText) {
      u16* head = &heads[hash_of(text + i)];
      const u32 limit = kText - i < kLongest ? kText - i : kLongest;
      distance = i - *head;
      if (distance != 0) length = match_length(text + i, text + *head, limit);
      *head = i;
    }
    if (length < kShortest) {
      packed[out++] = text[i++];
      continue;
    }
    packed[out++] = kMatch;
    packed[out++] = length;
    packed[out++] = distance;
    packed[out++] = distance >> 8;
    i += length;
  }
  return out;
}

static void unpack(u32 size) {
  u32 out = 0;
  for (u32 i = 0; i < size;) {
    if (packed[i] != kMatch) {
      unpacked[out++] = packed[i++];
      continue;
    }
    const u32 distance = packed[i + 2] | packed[i + 3] << 8;
    for (u32 left = packed[i + 1]; left > 0; --left, ++out) {
      unpacked[out] = unpacked[out - distance];
    }
    i += 4;
  }
}

static u64 compress(u64 count) {
  u64 result = 0;
  for (u64 round = 0; round < count; ++round) {
    text[round % kText] ^= 1;
    const u32 size = pack();
    unpack(size);
    if (memcmp(text, unpacked, kText) != 0) return 0;
    result += size;
  }
  return result ^ digest(packed, kText / 8);
}

static u64 gcd(u64 a, u64 b) {
  while (b) {
    const u64 rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

// 64- and 32-bit divisions, with and without sign.
static u64 divide(u64 count) {
  u64 seed = 3, total = 0;
  for (u64 i = 0; i < count; ++i) {
    const u64 a = next_random(&seed), b = next_random(&seed) >> (i % 40);
    total += gcd(a, b | 1);
    total +=
        (s64)a / (s64)((b >> 3) | 1) + (u32)a % ((u32)b | 1) + (int)a / (int)((b & 0xffff) + 1);
  }
  return total;
}

static u64 reversed(u64 x) {
  x = ((x >> 1) & 0x5555555555555555ull) | ((x & 0x5555555555555555ull) << 1);
  x = ((x >> 2) & 0x3333333333333333ull) | ((x & 0x3333333333333333ull) << 2);
  x = ((x >> 4) & 0x0f0f0f0f0f0f0f0full) | ((x & 0x0f0f0f0f0f0f0f0full) << 4);
  return __builtin_bswap64(x);
}

// Population counts, bit scans, rotations by a variable, byte swaps, bit tests.
static u64 bits(u64 count) {
  u64 seed = 11, total = 0;
  for (u64 i = 0; i < count; ++i) {
    const u64 x = next_random(&seed);
    total += reversed(x) ^ (x << (i & 63) | x >> (-i & 63));
    total += __builtin_popcountll(x) * 3 + __builtin_clzll(x | 1) + __builtin_ctzll(x | 1ull << 63);
    total ^= (x & -x) + (x >> (x & 63) & 1);
  }
  return total;
}

enum { kLimbs = 64 };

static void multiply(u64* product, const u64* a, const u64* b) {
  memset(product, 0, 2 * kLimbs * sizeof *product);
  for (int i = 0; i < kLimbs; ++i) {
    unsigned __int128 carry = 0;
    for (int k = 0; k < kLimbs; ++k) {
      carry += (unsigned __int128)a[i] * b[k] + product[i + k];
      product[i + k] = (u64)carry;
      carry >>= 64;
    }
    product[i + kLimbs] = (u64)carry;
  }
}

static u64 bignum(u64 count) {
  static u64 a[kLimbs], b[kLimbs], product[2 * kLimbs];
  fill_random(a, sizeof a, 5);
  fill_random(b, sizeof b, 9);
  for (u64 round = 0; round < count; ++round) {
    multiply(product, a, b);
    memcpy(a, product + kLimbs, sizeof a);
    a[0] |= 1;
    a[kLimbs - 1] |= 1ull << 63;
    b[round % kLimbs] ^= product[0];
  }
  return digest(product, sizeof product);
}

static u64 matrix(u64 count) {
  enum { kSize = 96 };
  static u32 a[kSize][kSize], b[kSize][kSize], c[kSize][kSize];
  fill_random(a, sizeof a, 1);
  fill_random(b, sizeof b, 2);
  for (u64 round = 0; round < count; ++round) {
    for (int i = 0; i < kSize; ++i) {
      for (int k = 0; k < kSize; ++k) {
        u32 total = 0;
        for (int n = 0; n < kSize; ++n) total += a[i][n] * b[n][k];
        c[i][k] = total;
      }
    }
    memcpy(a, c, sizeof a);
  }
  return digest(c, sizeof c);
}

// The compression function of SHA-256 (FIPS 180-4, 6.2.2) with generated constants, so the result
// is a digest of its own.
static u32 rotated(u32 x, int by) { return x >> by | x << (32 - by); }

static void expand(u32* w) {
  for (int i = 16; i < 64; ++i) {
    const u32 s0 = rotated(w[i - 15], 7) ^ rotated(w[i - 15], 18) ^ w[i - 15] >> 3;
    const u32 s1 = rotated(w[i - 2], 17) ^ rotated(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
}

static void mix(u32* state, const u32* w, const u32* constants) {
  u32 v[8];
  memcpy(v, state, sizeof v);
  for (int i = 0; i < 64; ++i) {
    const u32 s1 = rotated(v[4], 6) ^ rotated(v[4], 11) ^ rotated(v[4], 25);
    const u32 t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + constants[i] + w[i];
    const u32 s0 = rotated(v[0], 2) ^ rotated(v[0], 13) ^ rotated(v[0], 22);
    const u32 t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
    for (int k = 7; k > 0; --k) v[k] = v[k - 1];
    v[4] += t1;
    v[0] = t1 + t2;
  }
  for (int i = 0; i < 8; ++i) state[i] += v[i];
}

static u64 sha256(u64 count) {
  u32 state[8], constants[64], w[64];
  fill_random(state, sizeof state, 1);
  fill_random(constants, sizeof constants, 2);
  for (u64 block = 0; block < count; ++block) {
    for (u32 i = 0; i < 16; ++i) w[i] = block * 16 + i;
    expand(w);
    mix(state, w, constants);
  }
  return digest(state, sizeof state);
}

// The number of ways to place queens; hard to predict branches, recursion.
static u64 placements(u32 all, u32 columns, u32 left, u32 right) {
  u64 found = columns == all;
  for (u32 free = all & ~(columns | left | right); free; free &= free - 1) {
    const u32 bit = free & -free;
    found += placements(all, columns | bit, (left | bit) << 1, (right | bit) >> 1);
  }
  return found;
}

static u64 queens(u64 count) {
  u64 total = 0;
  for (u64 round = 0; round < count; ++round) {
    u32 all = (1u << 10) - 1;
    OPAQUE(all);
    total = total * 3 + placements(all, 0, 0, 0);
  }
  return total;
}

static const Program integer[] = {
    {"sum", sum, 200000000},     {"sieve", sieve, 80},
    {"sort", sort, 30},          {"hash", hash, 300},
    {"crc32", crc32, 80000000},  {"compress", compress, 500, prepare_text},
    {"divide", divide, 1200000}, {"bits", bits, 30000000},
    {"bignum", bignum, 60000},   {"matrix", matrix, 300},
    {"sha256", sha256, 400000},  {"queens", queens, 1000},
};
CLASS("integer", integer);
