// The benchmark kit: one static binary that holds all guest programs.
//   kit list                  a line "CLASS NAME" for each program
//   kit run SCALE NAME...     runs them in turn, each in its own process; SCALE 1.0 is full
//   kit nothing               ends at once (what the program "exec" executes)
//
// Around each program the kit prints what the host's clock is read at:
//   bench: begin NAME / @+ / @- / bench: end NAME CHECKSUM
// The marks are lines of their own and short, so that the timed span holds no more than the
// transmission of one of them. Instead of the marks and the end there may come
// "bench: unsupported NAME", and after a crash "bench: failed NAME STATUS".
#include "kit.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

extern const Class integer_class, indirect_class, float_class, vector_class, string_class,
    memory_class, system_class, selfmod_class;

static const Class* const kClasses[] = {&integer_class, &indirect_class, &float_class,
                                        &vector_class,  &string_class,   &memory_class,
                                        &system_class,  &selfmod_class};

void fill_random(void* memory, size_t size, u64 seed) {
  u64* words = memory;
  for (size_t i = 0; i < size / 8; ++i) words[i] = next_random(&seed);
}

u64 digest(const void* memory, size_t size) {
  const u8* bytes = memory;
  u64 hash = 0xcbf29ce484222325ull;
  for (size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3ull;
  return hash;
}

void* pages(size_t size) {
  void* memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  checked(memory == MAP_FAILED ? -1 : 0, "mmap");
  return memory;
}

void* small_pages(size_t size) {
  void* memory = pages(size);
  madvise(memory, size, MADV_NOHUGEPAGE);  // a kernel without huge pages refuses, rightly
  return memory;
}

s64 checked(s64 result, const char* call) {
  if (result >= 0) return result;
  perror(call);
  exit(1);
}

static bool is_offered(enum Needs needs) {
  return needs == kBaseline || (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
}

// Waits until a terminal has sent, or a pipe's reader has taken, all that was written.
static void drain(void) {
  if (tcdrain(STDOUT_FILENO) == 0) return;
  for (int unread = 0; ioctl(STDOUT_FILENO, FIONREAD, &unread) == 0 && unread > 0;) sched_yield();
}

static void say(const char* text) {
  checked(write(STDOUT_FILENO, text, strlen(text)), "write");
  drain();
}

static void run_here(const Program* program, double scale) {
  char text[100];
  const u64 count = program->count * scale;
  if (program->prepare) program->prepare();
  snprintf(text, sizeof text, "bench: begin %s\n", program->name);
  say(text);
  say("@+\n");
  const u64 checksum = program->run(count ? count : 1);
  say("@-\n");
  snprintf(text, sizeof text, "bench: end %s %llx\n", program->name, (unsigned long long)checksum);
  say(text);
}

static void run(const Program* program, double scale) {
  if (!is_offered(program->needs)) {
    printf("bench: unsupported %s\n", program->name);
    return;
  }
  const pid_t child = checked(fork(), "fork");
  if (child == 0) {
    run_here(program, scale);
    _exit(0);
  }
  int status = 0;
  checked(waitpid(child, &status, 0), "waitpid");
  if (status != 0) printf("bench: failed %s %x\n", program->name, status);
}

static const Program* find(const char* name) {
  for (size_t i = 0; i < LENGTH(kClasses); ++i) {
    for (int k = 0; k < kClasses[i]->size; ++k) {
      if (!strcmp(kClasses[i]->programs[k].name, name)) return &kClasses[i]->programs[k];
    }
  }
  fprintf(stderr, "kit: no program is called %s\n", name);
  exit(2);
}

static void list(void) {
  for (size_t i = 0; i < LENGTH(kClasses); ++i) {
    for (int k = 0; k < kClasses[i]->size; ++k) {
      printf("%s %s\n", kClasses[i]->name, kClasses[i]->programs[k].name);
    }
  }
}

int main(int argc, char** argv) {
  const char* command = argc > 1 ? argv[1] : "";
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (!strcmp(command, "nothing")) return 0;
  if (!strcmp(command, "list")) {
    list();
  } else if (!strcmp(command, "run") && argc > 2) {
    for (int i = 3; i < argc; ++i) run(find(argv[i]), atof(argv[2]));
  } else {
    fprintf(stderr, "usage: kit list | kit run SCALE NAME...\n");
    return 2;
  }
  return 0;
}
