#include "tests/oracle/host_child.h"

#include <asm/ldt.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include <iterator>

// The only system calls that the filter lets through lie between the two labels.
asm(R"(
  .text
  .globl oracle_stub_begin, oracle_stub_end, oracle_syscall, oracle_restorer, oracle_signal_entry
  .p2align 6
oracle_stub_begin:
oracle_syscall:
  movq %rdi, %rax
  movq %rsi, %rdi
  movq %rdx, %rsi
  movq %rcx, %rdx
  movq %r8, %r10
  movq %r9, %r8
  movq 8(%rsp), %r9
  syscall
  ret
oracle_restorer:
  movl $15, %eax
  syscall
oracle_stub_end:
  hlt
  # AC of the test would fault the handler, NT and ID would leak into the next test.
oracle_signal_entry:
  pushfq
  andl $0xffdbbfff, (%rsp)
  popfq
  jmp oracle_on_signal
)");

extern "C" {
extern const char oracle_stub_begin[], oracle_stub_end[];
long oracle_syscall(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0,
                    long f = 0);
void oracle_restorer();
void oracle_signal_entry(int, siginfo_t*, void*);
void oracle_on_signal(int signal, siginfo_t* info, void* context);
}

namespace penumbra::oracle {
namespace {

constexpr u32 kFlagsOfTest = 0x40dd5;  // CF PF AF ZF SF TF DF OF AC: what a signal frame restores

struct ChildState {
  HostControl* control = nullptr;
  int shared_fd = -1;
  bool running = false;
  u32 request_at_tick = 0;
  u64 own_fs = 0, own_gs = 0;
  u64 test_fs = 0, test_gs = 0;
  u32 mapped = 0;
  u32 mapped_by_test = 0;
  HostControl::Page layout[HostControl::kMostPages] = {};
  bool ready = false;
};
ChildState child;

u8* pool(u32 slot) { return reinterpret_cast<u8*>(child.control) + kPoolOffset + slot * kPageSize; }

long map_slot(u32 slot, u64 address, int protection) {
  return oracle_syscall(SYS_mmap, address, kPageSize, protection,
                        MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, child.shared_fd,
                        kPoolOffset + slot * kPageSize);
}

bool map_page(u32 index, const HostControl::Page& page) {
  int protection = PROT_READ | (page.writable ? PROT_WRITE : 0);
  if (map_slot(index + 1, page.address, protection) < 0) return false;
  child.layout[index] = page;
  child.mapped = index + 1;
  return true;
}

void unmap_from(u32 index) {
  while (child.mapped > index)
    oracle_syscall(SYS_munmap, child.layout[--child.mapped].address, kPageSize);
}

/// Keeps the mappings that the previous test had at the same slots.
bool map_layout() {
  HostControl& control = *child.control;
  u32 same = 0;
  while (same < control.page_count && same < child.mapped &&
         child.layout[same].address == control.pages[same].address &&
         child.layout[same].writable == control.pages[same].writable)
    ++same;
  unmap_from(same);
  for (u32 i = same; i < control.page_count; ++i)
    if (!map_page(i, control.pages[i])) return false;
  return true;
}

/// The absent page that the test touched becomes one of the pattern's.
bool map_on_fault(const greg_t* registers) {
  HostControl& control = *child.control;
  u64 address = static_cast<u64>(registers[REG_CR2]);
  auto error = static_cast<u32>(registers[REG_ERR]);
  bool absent_data = (error & (PageFaultCode::kPresent | PageFaultCode::kFetch)) == 0;
  if (!absent_data || !may_map(address) || child.mapped_by_test >= control.most_mapped ||
      child.mapped >= HostControl::kMostPages)
    return false;
  u32 index = child.mapped;
  fill_pattern(page_of(address), control.pattern_seed, pool(index + 1));
  if (!map_page(index, {page_of(address), true})) return false;
  control.pages[index] = child.layout[index];
  ++child.mapped_by_test;
  return true;
}

void set_selectors(u16 selector) { asm volatile("movw %0, %%ds; movw %0, %%es" ::"r"(selector)); }
/// A test may have loaded them; their bases are written where the test starts.
void clear_fs_and_gs() { asm volatile("movw %0, %%fs; movw %0, %%gs" ::"r"(u16{0})); }

u64 read_fs() {
  u64 v;
  asm volatile("rdfsbase %0" : "=r"(v));
  return v;
}
u64 read_gs() {
  u64 v;
  asm volatile("rdgsbase %0" : "=r"(v));
  return v;
}
void write_fs(u64 v) { asm volatile("wrfsbase %0" ::"r"(v)); }
void write_gs(u64 v) { asm volatile("wrgsbase %0" ::"r"(v)); }

constexpr int kGregs[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                            REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

u64 segments_of(CodeSize size) {
  u16 cs = size == CodeSize::Long     ? kCode64Selector
           : size == CodeSize::Bits32 ? kCode32Selector
                                      : kCode16Selector;
  u16 ss = size == CodeSize::Bits16 ? kData16Selector : kDataSelector;
  return cs | (u64{ss} << 48);
}

// The signal frame's XSAVE area (SDM 1, 13.4), and in it what Linux tells of its components.
constexpr size_t kXsaveHeader = 512, kYmmHigh = 576, kFrameFeatures = 472;
constexpr u64 kAvxComponent = 4;

bool has_avx(const u8* area) { return load_from<u64>(area + kFrameFeatures) & kAvxComponent; }

void store_ymm_high(MachineState& out, const u8* area) {
  out.ymm_high = {};
  bool in_use = has_avx(area) && (load_from<u64>(area + kXsaveHeader) & kAvxComponent);
  if (in_use) __builtin_memcpy(out.ymm_high.data(), area + kYmmHigh, sizeof out.ymm_high);
}

void load_test(ucontext_t& context) {
  HostControl& control = *child.control;
  const MachineState& in = control.in;
  greg_t* registers = context.uc_mcontext.gregs;
  for (int i = 0; i < 16; ++i) registers[kGregs[i]] = static_cast<greg_t>(in.gpr[i]);
  registers[REG_RIP] = static_cast<greg_t>(in.rip);
  registers[REG_EFL] = static_cast<greg_t>((in.rflags & kFlagsOfTest) | 0x202);
  registers[REG_CSGSFS] = static_cast<greg_t>(segments_of(control.size));
  context.uc_flags |= 6;  // UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS: SS is what the frame says
  auto* fx = reinterpret_cast<u8*>(context.uc_mcontext.fpregs);
  __builtin_memcpy(fx, in.fx.bytes.data(), FxImage::kUnused);
  // XSTATE_BV: x87, SSE and AVX from the image, the rest initial.
  store_to<u64>(fx + kXsaveHeader, has_avx(fx) ? 7 : 3);
  if (has_avx(fx)) __builtin_memcpy(fx + kYmmHigh, in.ymm_high.data(), sizeof in.ymm_high);
  clear_fs_and_gs();
  child.test_fs = in.fs_base;
  child.test_gs = in.gs_base;
  set_selectors(control.size == CodeSize::Long     ? 0
                : control.size == CodeSize::Bits32 ? kDataSelector
                                                   : kData16Selector);
}

void store_result(const ucontext_t& context, Outcome outcome) {
  HostControl& control = *child.control;
  MachineState& out = control.out;
  const greg_t* registers = context.uc_mcontext.gregs;
  for (int i = 0; i < 16; ++i) out.gpr[i] = static_cast<u64>(registers[kGregs[i]]);
  out.rip = static_cast<u64>(registers[REG_RIP]);
  out.rflags = static_cast<u64>(registers[REG_EFL]);
  __builtin_memcpy(out.fx.bytes.data(), context.uc_mcontext.fpregs, FxImage::kUnused);
  store_ymm_high(out, reinterpret_cast<const u8*>(context.uc_mcontext.fpregs));
  out.fs_base = child.test_fs;
  out.gs_base = child.test_gs;
  control.outcome = outcome;
  control.trap = static_cast<u8>(registers[REG_TRAPNO]);
  control.error_code = static_cast<u32>(registers[REG_ERR]);
  control.address = static_cast<u64>(registers[REG_CR2]);
  control.pages_after = child.mapped;
}

void answer() {
  child.running = false;
  __atomic_store_n(&child.control->reply, child.control->request, __ATOMIC_RELEASE);
  futex_wake(&child.control->reply);
}

/// Waits for the next request that can be set up.
void next_test(ucontext_t& context) {
  HostControl& control = *child.control;
  for (;;) {
    u32 seen = control.reply;
    for (int spin = 0; spin < 2000; ++spin) {
      if (__atomic_load_n(&control.request, __ATOMIC_ACQUIRE) != seen) break;
      __builtin_ia32_pause();
    }
    while (__atomic_load_n(&control.request, __ATOMIC_ACQUIRE) == seen)
      futex_wait(&control.request, seen, ~0ull);
    child.mapped_by_test = 0;
    if (map_layout()) break;
    control.outcome = Outcome::Broken;
    control.pages_after = 0;
    answer();
  }
  load_test(context);
  child.running = true;
}

/// Two ticks of CPU time within one test are its time limit.
bool timed_out() {
  u32 request = child.control->request;
  bool late = child.running && child.request_at_tick == request;
  child.request_at_tick = request;
  return late;
}

Outcome outcome_of(int signal, const greg_t* registers) {
  if (signal == SIGPROF) return Outcome::Timeout;
  if (signal == SIGSYS) return Outcome::SystemCall;
  u64 base = child.control->size == CodeSize::Bits16 ? kCodePage : 0;
  bool at_end = registers[REG_TRAPNO] == static_cast<int>(Vector::Ud) &&
                static_cast<u64>(registers[REG_RIP]) + base == child.control->end;
  return at_end ? Outcome::Ended : Outcome::Fault;
}

void handle(int signal, ucontext_t& context) {
  const greg_t* registers = context.uc_mcontext.gregs;
  if (signal == SIGPROF && !timed_out()) return;
  bool page_fault = signal == SIGSEGV && registers[REG_TRAPNO] == static_cast<int>(Vector::Pf);
  if (child.running && page_fault && map_on_fault(registers)) return;
  if (child.running) {
    store_result(context, outcome_of(signal, registers));
    answer();
  } else if (child.ready) {
    oracle_syscall(SYS_exit_group, 3);  // the handler itself has faulted
  }
  child.ready = true;
  next_test(context);
}

void catch_signals() {
  struct KernelAction {
    void (*handler)(int, siginfo_t*, void*);
    unsigned long flags;
    void (*restorer)();
    u64 mask;
  };
  KernelAction action{oracle_signal_entry, SA_SIGINFO | SA_ONSTACK | 0x04000000, oracle_restorer,
                      ~0ull};  // SA_RESTORER: libc's own lies outside the allowed stub
  for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGPROF})
    oracle_syscall(SYS_rt_sigaction, signal, reinterpret_cast<long>(&action), 0, 8);
}

void limit_resources() {
  for (int resource : {RLIMIT_CORE, RLIMIT_FSIZE, RLIMIT_NPROC}) {
    rlimit none{0, 0};
    setrlimit(static_cast<__rlimit_resource>(resource), &none);
  }
}

/// 16-bit code and data segments of 64 KiB for Bits16 tests.
void make_segments() {
  user_desc code{}, data{};
  code.entry_number = kCode16Selector >> 3;
  code.base_addr = kCodePage;
  code.limit = 0xffff;
  code.contents = MODIFY_LDT_CONTENTS_CODE;
  data.entry_number = kData16Selector >> 3;
  data.base_addr = kData16;
  data.limit = 0xffff;
  oracle_syscall(SYS_modify_ldt, 1, reinterpret_cast<long>(&code), sizeof code);
  oracle_syscall(SYS_modify_ldt, 1, reinterpret_cast<long>(&data), sizeof data);
}

bool forbid_system_calls() {
  auto begin = reinterpret_cast<u64>(oracle_stub_begin);
  auto end = reinterpret_cast<u64>(oracle_stub_end);
  auto high = static_cast<u32>(begin >> 32);
  constexpr u32 kIp = offsetof(seccomp_data, instruction_pointer);
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 6),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kIp + 4),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, high, 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kIp),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, static_cast<u32>(begin), 0, 2),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, static_cast<u32>(end), 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
  };
  sock_fprog program{sizeof filter / sizeof filter[0], filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/// Gives up what the parent reserved without using it (tables of its engine): addresses of tests
/// lie there, and the child has no use for it.
void release_reservations() {
  struct Range {
    unsigned long begin, end;
  };
  static Range large[256];
  size_t count = 0;
  FILE* maps = fopen("/proc/self/maps", "re");
  if (maps == nullptr) return;
  char line[512];
  while (count < std::size(large) && fgets(line, sizeof line, maps) != nullptr) {
    Range range;
    if (sscanf(line, "%lx-%lx", &range.begin, &range.end) != 2) continue;
    if (range.end - range.begin >= 1ul << 30) large[count++] = range;
  }
  fclose(maps);
  for (size_t i = 0; i < count; ++i) {
    munmap(reinterpret_cast<void*>(large[i].begin), large[i].end - large[i].begin);
  }
}

}  // namespace

bool futex_wait(u32* word, u32 seen, u64 timeout_ns) {
  timespec limit{static_cast<time_t>(timeout_ns / 1'000'000'000),
                 static_cast<long>(timeout_ns % 1'000'000'000)};
  long result = oracle_syscall(SYS_futex, reinterpret_cast<long>(word), FUTEX_WAIT, seen,
                               timeout_ns == ~0ull ? 0 : reinterpret_cast<long>(&limit));
  return result != -110;  // ETIMEDOUT
}

void futex_wake(u32* word) {
  oracle_syscall(SYS_futex, reinterpret_cast<long>(word), FUTEX_WAKE, 1);
}

void run_host_child(HostControl* control, int shared_fd) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  child.control = control;
  child.shared_fd = shared_fd;
  child.own_fs = read_fs();
  child.own_gs = read_gs();
  child.test_fs = child.own_fs;
  child.test_gs = child.own_gs;
  static u8 stack[256 * 1024];
  stack_t alternate{stack, 0, sizeof stack};
  sigaltstack(&alternate, nullptr);
  itimerval tick{{0, 50'000}, {0, 50'000}};
  setitimer(ITIMER_PROF, &tick, nullptr);
  release_reservations();
  limit_resources();
  make_segments();
  catch_signals();
  u64 none = 0;
  oracle_syscall(SYS_rt_sigprocmask, SIG_SETMASK, reinterpret_cast<long>(&none), 0, 8);
  if (map_slot(0, kCodePage, PROT_READ | PROT_EXEC) < 0 || !forbid_system_calls()) _exit(2);
  asm volatile("int3");  // into the handler, for good
  _exit(3);
}

}  // namespace penumbra::oracle

extern "C" void oracle_on_signal(int signal, siginfo_t*, void* context) {
  using namespace penumbra::oracle;
  child.test_fs = read_fs();
  child.test_gs = read_gs();
  write_fs(child.own_fs);
  write_gs(child.own_gs);
  handle(signal, *static_cast<ucontext_t*>(context));
  write_fs(child.test_fs);
  write_gs(child.test_gs);
}
