// Class "indirect": branches whose target is data: interpreters, virtual calls, returns.
#include <stdlib.h>

#include "kit.h"

// A stack machine; its program is a loop over a mix of operations, drawn once.
enum Op { kPush, kAdd, kXor, kShift, kSwap, kLoad, kStore, kDup, kLoop, kHalt };
typedef struct {
  u64 stack[64];
  u64 memory[16];
  u64 loops;
} Machine;

enum { kCodeSize = 512 };
static u8 code[kCodeSize];

// Keeps between 2 and 40 values on the stack, so that the machines need no checks.
static void prepare_code(void) {
  u64 seed = 1234;
  int depth = 2, size = 0;
  code[size++] = kPush;
  code[size++] = kPush;
  while (size < kCodeSize - 60) {
    const u8 op = next_random(&seed) % kLoop;
    const bool grows = op == kPush || op == kLoad || op == kDup;
    const bool shrinks = op == kAdd || op == kXor || op == kStore;
    if ((grows && depth == 40) || (shrinks && depth < 3)) continue;
    depth += grows - shrinks;
    code[size++] = op;
  }
  while (depth-- > 1) code[size++] = kXor;
  code[size++] = kStore;
  code[size++] = kLoop;
  code[size] = kHalt;
}

static NOINLINE void run_by_switch(Machine* m) {
  u64* top = m->stack;
  const u8* pc = code;
  for (;;) {
    switch (*pc++) {
      case kPush:
        *++top = pc[1] + m->loops;
        break;
      case kAdd:
        top[-1] += *top, --top;
        break;
      case kXor:
        top[-1] ^= *top, --top;
        break;
      case kShift:
        *top = *top << 7 | *top >> 57;
        break;
      case kSwap: {
        const u64 value = *top;
        *top = top[-1];
        top[-1] = value;
        break;
      }
      case kLoad:
        *++top = m->memory[pc[1] & 15];
        break;
      case kStore:
        m->memory[pc[1] & 15] = *top--;
        break;
      case kDup:
        top[1] = *top, ++top;
        break;
      case kLoop:
        pc = --m->loops ? code : pc;
        break;
      default:
        return;
    }
  }
}

static NOINLINE void run_by_goto(Machine* m) {
  static const void* const kLabels[] = {&&push, &&add,   &&xor_, &&shift, &&swap,
                                        &&load, &&store, &&dup,  &&loop,  &&halt};
  u64* top = m->stack;
  const u8* pc = code;
#define NEXT goto* kLabels[*pc++]
  NEXT;
push:
  *++top = pc[1] + m->loops;
  NEXT;
add:
  top[-1] += *top, --top;
  NEXT;
xor_:
  top[-1] ^= *top, --top;
  NEXT;
shift:
  *top = *top << 7 | *top >> 57;
  NEXT;
swap: {
  const u64 value = *top;
  *top = top[-1];
  top[-1] = value;
  NEXT;
}
load:
  *++top = m->memory[pc[1] & 15];
  NEXT;
store:
  m->memory[pc[1] & 15] = *top--;
  NEXT;
dup:
  top[1] = *top, ++top;
  NEXT;
loop:
  pc = --m->loops ? code : pc;
  NEXT;
halt:
  return;
#undef NEXT
}

static u64 by_switch(u64 count) {
  static Machine machine;
  machine.loops = count;
  run_by_switch(&machine);
  return digest(machine.memory, sizeof machine.memory);
}

static u64 by_goto(u64 count) {
  static Machine machine;
  machine.loops = count;
  run_by_goto(&machine);
  return digest(machine.memory, sizeof machine.memory);
}

// Objects of eight kinds in random order, each called through its table of methods.
typedef struct Shape Shape;
typedef struct {
  u64 (*area)(const Shape*);
  void (*grow)(Shape*, u64);
} Methods;
struct Shape {
  const Methods* methods;
  u64 a, b;
};

#define KIND(name, area_is, grow_is)                            \
  static u64 area_of_##name(const Shape* s) { return area_is; } \
  static void grow_##name(Shape* s, u64 by) { grow_is; }        \
  static const Methods k##name##_methods = {area_of_##name, grow_##name}
KIND(Square, s->a * s->a, s->a += by);
KIND(Box, s->a * s->b, s->b += by);
KIND(Triangle, s->a * s->b / 2, s->a ^= by);
KIND(Ring, s->a * s->a - s->b, s->a += by & 3);
KIND(Line, s->a + s->b, s->b -= by);
KIND(Point, s->b, s->b = s->b * 3 + by);
KIND(Grid, (s->a >> 3) * s->b, s->a += by << 1);
KIND(Void, 0 * s->a, s->a ^= by);
static const Methods* const kKinds[] = {&kSquare_methods, &kBox_methods,  &kTriangle_methods,
                                        &kRing_methods,   &kLine_methods, &kPoint_methods,
                                        &kGrid_methods,   &kVoid_methods};
enum { kShapes = 1024 };
static Shape shapes[kShapes];

static void prepare_shapes(void) {
  u64 seed = 99;
  for (int i = 0; i < kShapes; ++i) {
    const u64 random = next_random(&seed);
    shapes[i] = (Shape){kKinds[random % LENGTH(kKinds)], random >> 40, random >> 50};
  }
}

static u64 virtual(u64 count) {
  u64 total = 0;
  for (u64 round = 0; round < count; ++round) {
    for (int i = 0; i < kShapes; ++i) {
      Shape* shape = &shapes[i];
      shape->methods->grow(shape, total & 7);
      total += shape->methods->area(shape);
    }
  }
  return total;
}

static NOINLINE u64 fib_of(u64 n) {
  OPAQUE(n);
  return n < 2 ? n : fib_of(n - 1) + fib_of(n - 2);
}

static u64 fib(u64 count) {
  u64 total = 0;
  for (u64 round = 0; round < count; ++round) total = total * 3 + fib_of(27);
  return total;
}

// A state machine: each function returns the number of the next.
enum { kStates = 32 };
#define STATE(n)                                                  \
  static u32 state##n(u64* x) {                                   \
    *x = (*x ^ (*x >> 29)) * (0x9e3779b97f4a7c15ull + 2 * n) + n; \
    return *x >> 59;                                              \
  }
#define STATES_OF_FOUR(f, a, b, c, d) f(a) f(b) f(c) f(d)
#define ALL_STATES(f)               \
  STATES_OF_FOUR(f, 0, 1, 2, 3)     \
  STATES_OF_FOUR(f, 4, 5, 6, 7)     \
  STATES_OF_FOUR(f, 8, 9, 10, 11)   \
  STATES_OF_FOUR(f, 12, 13, 14, 15) \
  STATES_OF_FOUR(f, 16, 17, 18, 19) \
  STATES_OF_FOUR(f, 20, 21, 22, 23) \
  STATES_OF_FOUR(f, 24, 25, 26, 27) STATES_OF_FOUR(f, 28, 29, 30, 31)
ALL_STATES(STATE)
#define NAME_OF_STATE(n) state##n,
static u32 (*const kTable[kStates])(u64*) = {ALL_STATES(NAME_OF_STATE)};

static u64 table(u64 count) {
  u64 x = 1;
  u32 next = 0;
  for (u64 i = 0; i < count; ++i) next = kTable[next](&x);
  return x;
}

// The C library's sort, which calls back for every comparison.
static int ascending(const void* a, const void* b) {
  const u32 x = *(const u32*)a, y = *(const u32*)b;
  return (x > y) - (x < y);
}

static u64 callback(u64 count) {
  enum { kCount = 50000 };
  static u32 values[kCount];
  u64 result = 0;
  for (u64 round = 1; round <= count; ++round) {
    fill_random(values, sizeof values, round);
    qsort(values, kCount, sizeof *values, ascending);
    for (int i = 0; i < kCount; ++i) result = result * 31 + values[i];
  }
  return result;
}

// A binary tree, walked and mirrored by recursion: many returns, from few places.
typedef struct Node {
  struct Node* children[2];
  u64 key;
} Node;

static Node* root;

static Node* grown(int depth, u64* seed) {
  static Node nodes[1 << 16];
  static u32 used;
  if (depth == 0) return NULL;
  Node* node = &nodes[used++];
  node->key = next_random(seed);
  node->children[0] = grown(depth - 1, seed);
  node->children[1] = grown(depth - 1, seed);
  return node;
}

static void prepare_tree(void) {
  u64 seed = 5;
  root = grown(13, &seed);
}

static NOINLINE u64 walk(Node* node, u64 digest_above) {
  if (node == NULL) return digest_above;
  Node* first = node->children[node->key & 1];
  Node* second = node->children[~node->key & 1];
  node->key = (node->key >> 1 | node->key << 63) + 1;
  return walk(second, walk(first, digest_above) * 31 + node->key);
}

static u64 tree(u64 count) {
  u64 total = 0;
  for (u64 round = 0; round < count; ++round) total = walk(root, total);
  return total;
}

static const Program indirect[] = {
    {"switch", by_switch, 100000, prepare_code},
    {"goto", by_goto, 200000, prepare_code},
    {"virtual", virtual, 12000, prepare_shapes},
    {"fib", fib, 200},
    {"table", table, 20000000},
    {"callback", callback, 40},
    {"tree", tree, 4000, prepare_tree},
};
CLASS("indirect", indirect);
