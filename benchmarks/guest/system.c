// Class "system": system calls, processes, pages, files on tmpfs, signals.
//
// Every program ends with the state that it began with, so that its checksum is the number of
// things that went as expected.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "kit.h"

static u64 system_call(u64 count) {
  u64 total = 0;
  for (u64 i = 0; i < count; ++i) total += syscall(SYS_getppid) > 0;
  return total;
}

// A byte goes to a child and comes back, incremented.
static void serve(int requests, int answers) {
  u8 byte;
  while (read(requests, &byte, 1) == 1) {
    ++byte;
    if (write(answers, &byte, 1) != 1) break;
  }
  _exit(0);
}

static u64 pipes(u64 count) {
  int requests[2], answers[2];
  checked(pipe(requests), "pipe");
  checked(pipe(answers), "pipe");
  const pid_t child = checked(fork(), "fork");
  if (child == 0) {
    close(requests[1]);
    serve(requests[0], answers[1]);
  }
  u64 total = 0;
  for (u64 i = 0; i < count; ++i) {
    u8 byte = i;
    checked(write(requests[1], &byte, 1), "write");
    checked(read(answers[0], &byte, 1), "read");
    total += byte;
  }
  close(requests[1]);
  waitpid(child, NULL, 0);
  return total;
}

static u64 exit_status_of(pid_t child) {
  int status = 0;
  checked(waitpid(child, &status, 0), "waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

// Children of a parent with a megabyte of touched pages; each writes a few of them.
enum { kForkPages = 256 };
static u8* inherited;

static void prepare_fork(void) {
  inherited = pages(kForkPages * 4096);
  memset(inherited, 1, kForkPages * 4096);
}

static u64 forks(u64 count) {
  u64 total = 0;
  for (u64 i = 0; i < count; ++i) {
    const pid_t child = checked(fork(), "fork");
    if (child == 0) {
      for (int k = 0; k < kForkPages; k += 16) inherited[k * 4096] += i;
      _exit(inherited[0] & 0x7f);
    }
    total += exit_status_of(child);
  }
  return total;
}

static u64 execs(u64 count) {
  u64 total = 0;
  for (u64 i = 0; i < count; ++i) {
    const pid_t child = checked(fork(), "fork");
    if (child == 0) {
      execl("/proc/self/exe", "kit", "nothing", NULL);
      _exit(127);
    }
    total += exit_status_of(child) == 0;
  }
  return total;
}

static u64 faults(u64 count) {
  enum { kSize = 4 << 20 };
  u64 total = 0;
  for (u64 i = 0; i < count; ++i) {
    u8* memory = small_pages(kSize);
    for (u64 at = 0; at < kSize; at += 4096) total += ++memory[at];
    checked(munmap(memory, kSize), "munmap");
  }
  return total;
}

// Rights taken and given back, with a write after each.
static u64 protect(u64 count) {
  enum { kSize = 16 * 4096 };
  u8* memory = pages(kSize);
  u64 total = 0;
  memset(memory, 0, kSize);
  for (u64 i = 0; i < count; ++i) {
    checked(mprotect(memory, kSize, PROT_READ), "mprotect");
    total += memory[i % kSize];
    checked(mprotect(memory, kSize, PROT_READ | PROT_WRITE), "mprotect");
    memory[i * 4099 % kSize] += i;
  }
  return total + digest(memory, kSize);
}

static void write_file(const char* name, u64 seed, size_t size) {
  u64 content[1024];
  fill_random(content, sizeof content, seed);
  const int file = checked(open(name, O_CREAT | O_WRONLY | O_TRUNC, 0600), "open");
  checked(write(file, content, size), "write");
  close(file);
}

static u64 read_file(const char* name) {
  u8 content[8192];
  const int file = checked(open(name, O_RDONLY), "open");
  const s64 size = checked(read(file, content, sizeof content), "read");
  close(file);
  return content[size - 1] + size;
}

// Created, renamed, asked for, read and removed, eight at a time, on tmpfs.
static u64 files(u64 count) {
  enum { kFiles = 8 };
  char folder[] = "/dev/shm/kitXXXXXX", name[64], other[64];
  u64 total = 0;
  checked(mkdtemp(folder) ? 0 : -1, "mkdtemp");
  for (u64 i = 0; i < count; ++i) {
    for (int k = 0; k < kFiles; ++k) {
      struct stat about;
      snprintf(name, sizeof name, "%s/file%d", folder, k);
      snprintf(other, sizeof other, "%s/moved%d", folder, k);
      write_file(name, i * kFiles + k + 1, (k + 1) * 1000);
      checked(rename(name, other), "rename");
      checked(stat(other, &about), "stat");
      total += about.st_size + read_file(other);
    }
    for (int k = 0; k < kFiles; ++k) {
      snprintf(other, sizeof other, "%s/moved%d", folder, k);
      checked(unlink(other), "unlink");
    }
  }
  checked(rmdir(folder), "rmdir");
  return total;
}

static volatile u64 handled;

static void on_signal(int number) { handled += number; }

static u64 signals(u64 count) {
  struct sigaction action = {.sa_handler = on_signal};
  checked(sigaction(SIGUSR1, &action, NULL), "sigaction");
  for (u64 i = 0; i < count; ++i) checked(kill(getpid(), SIGUSR1), "kill");
  return handled;
}

// A handler that steps over the store that faulted, as runtimes with guard pages do.
enum { kStoreLength = 3 };  // C6 00 ib: movb $ib, (%rax)
static volatile u64 fault_addresses;

static void on_fault(int number, siginfo_t* info, void* context) {
  (void)number;
  fault_addresses += (u64)info->si_addr & 0xfff;
  ((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP] += kStoreLength;
}

static u64 segv(u64 count) {
  u8* memory = pages(4096);
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  checked(sigaction(SIGSEGV, &action, NULL), "sigaction");
  checked(mprotect(memory, 4096, PROT_READ), "mprotect");
  for (u64 i = 0; i < count; ++i) {
    __asm__ volatile(".byte 0xc6, 0x00, 0x01" ::"a"(memory + i % 4096) : "memory");
  }
  return fault_addresses;
}

static const Program system_programs[] = {
    {"syscall", system_call, 1000000},
    {"pipe", pipes, 40000},
    {"fork", forks, 500, prepare_fork},
    {"exec", execs, 300},
    {"fault", faults, 80},
    {"mprotect", protect, 30000},
    {"files", files, 1000},
    {"signal", signals, 60000},
    {"segv", segv, 60000},
};
const Class system_class = {"system", system_programs, LENGTH(system_programs)};
