// Class "selfmod": code that is changed, generated, or shares its page with data.
#include <string.h>
#include <sys/mman.h>

#include "kit.h"

extern const u8 constant[], constant_value[], constant_end[];
extern const u8 changing_loop[], changing_loop_end[];
extern const u8 beside[], beside_end[];
extern const u8 cached[], cached_call[], cached_first[], cached_second[], cached_end[];

typedef u32 (*ConstantFunction)(void);
typedef u64 (*LoopFunction)(u64 rounds);

enum { kCodeSize = 1 << 20 };
static u8* code;

static void prepare_code(void) {
  code = pages(kCodeSize);
  checked(mprotect(code, kCodeSize, PROT_READ | PROT_WRITE | PROT_EXEC), "mprotect");
}

static LoopFunction copied(const u8* begin, const u8* end) {
  memcpy(code, begin, end - begin);
  return (LoopFunction)code;
}

// One function, its constant patched before every call.
static u64 patch(u64 count) {
  u64 total = 0;
  memcpy(code, constant, constant_end - constant);
  for (u64 i = 0; i < count; ++i) {
    const u32 value = i * 2654435761u;
    memcpy(code + (constant_value - constant), &value, sizeof value);
    total += ((ConstantFunction)code)();
  }
  return total;
}

static u64 patch_loop(u64 count) { return copied(changing_loop, changing_loop_end)(count); }

static u64 data_beside(u64 count) { return copied(beside, beside_end)(count); }

// A call in a hot loop goes to the other of two functions after every 256 rounds.
static u64 inline_cache(u64 count) {
  LoopFunction run = copied(cached, cached_end);
  u64 total = 0;
  for (u64 i = 0; i < count; ++i) {
    const u8* target = i % 2 ? cached_first : cached_second;
    const u32 distance = target - (cached_call + 4);
    memcpy(code + (cached_call - cached), &distance, sizeof distance);
    total = total * 3 + run(256);
  }
  return total;
}

// f(x): a chain of `length` operations on x with constants, then a return.
static u8* emit_function(u8* at, u64* seed, int length) {
  static const u8 kOps[4][3] = {
      {0x48, 0x81, 0xc7}, {0x48, 0x81, 0xf7}, {0x48, 0x81, 0xef}, {0x48, 0x69, 0xff}};
  for (int i = 0; i < length; ++i) {
    const u64 random = next_random(seed);
    const u32 constant = (random >> 32) | 1;
    memcpy(at, kOps[random % 4], 3);  // add, xor, sub, imul: constant with %rdi
    memcpy(at + 3, &constant, 4);
    at += 7;
  }
  memcpy(at, "\x48\x89\xf8\xc3", 4);  // mov %rdi, %rax; ret
  return at + 4;
}

// Generations of functions in one buffer, each function called a few times, as a JIT does.
static u64 generate(u64 count) {
  enum { kFunctions = 1000, kSlot = 512, kCalls = 20 };
  u64 seed = 5, total = 0;
  for (u64 round = 0; round < count; ++round) {
    for (int i = 0; i < kFunctions; ++i) {
      emit_function(code + i * kSlot, &seed, 4 + next_random(&seed) % 40);
    }
    for (int call = 0; call < kCalls; ++call) {
      for (int i = 0; i < kFunctions; ++i) total += ((LoopFunction)(code + i * kSlot))(total + i);
    }
  }
  return total;
}

// The same with pages that are never writable and executable at once.
static u64 flip(u64 count) {
  enum { kSize = 4096, kCalls = 50 };
  u64 seed = 6, total = 0;
  for (u64 round = 0; round < count; ++round) {
    checked(mprotect(code, kSize, PROT_READ | PROT_WRITE), "mprotect");
    emit_function(code, &seed, 30);
    checked(mprotect(code, kSize, PROT_READ | PROT_EXEC), "mprotect");
    for (int call = 0; call < kCalls; ++call) total += ((LoopFunction)code)(total + call);
  }
  return total;
}

static const Program selfmod[] = {
    {"patch", patch, 600000, prepare_code},
    {"patch-loop", patch_loop, 400000, prepare_code},
    {"data-beside", data_beside, 3000000, prepare_code},
    {"inline-cache", inline_cache, 200000, prepare_code},
    {"generate", generate, 100, prepare_code},
    {"flip", flip, 30000, prepare_code},
};
CLASS("selfmod", selfmod);
