// Definitions of some flags and of all, one on top of the other, and everything that reads them:
// on both engines, in one slice and an instruction at a time, against the host CPU.
#include <fmt/format.h>
#include <sys/mman.h>

#include <random>

#include "tests/jit/bare_guest.h"
#include "tests/oracle/host_vendor.h"

namespace penumbra::jit {
namespace {

using cpu::Flag;
using cpu::Reg;
using Code = std::vector<u8>;

/// Over RAX, RCX (the count) and RDX.
const std::vector<Code> kDefinitions = {
    {0xff, 0xc0},                    // inc eax
    {0x48, 0xff, 0xc8},              // dec rax
    {0xfe, 0xc0},                    // inc al
    {0x66, 0xff, 0xca},              // dec dx
    {0x48, 0x0f, 0xaf, 0xc2},        // imul rax, rdx
    {0x69, 0xc2, 0x11, 0x27, 0, 0},  // imul eax, edx, 0x2711
    {0xf6, 0xe2},                    // mul dl
    {0x48, 0xf7, 0xea},              // imul rdx
    {0x48, 0x0f, 0xba, 0xe0, 0x03},  // bt rax, 3
    {0x0f, 0xab, 0xca},              // bts edx, ecx
    {0xc1, 0xc0, 0x05},              // rol eax, 5
    {0x66, 0xc1, 0xc8, 0x10},        // ror ax, 16
    {0x48, 0xd3, 0xc8},              // ror rax, cl
    {0xd2, 0xc2},                    // rol dl, cl
    {0xd3, 0xe0},                    // shl eax, cl
    {0x48, 0xd3, 0xfa},              // sar rdx, cl
    {0xd2, 0xe8},                    // shr al, cl
    {0xc1, 0xe8, 0x03},              // shr eax, 3
    {0x48, 0xc1, 0xe2, 0x07},        // shl rdx, 7
    {0xc1, 0xfa, 0x01},              // sar edx, 1
    {0x66, 0xc1, 0xe0, 0x13},        // shl ax, 19
    {0xf3, 0x0f, 0xbc, 0xc2},        // tzcnt eax, edx
    {0xf3, 0x48, 0x0f, 0xbd, 0xd0},  // lzcnt rdx, rax
    {0x48, 0x01, 0xd0},              // add rax, rdx
    {0x28, 0xd0},                    // sub al, dl
    {0x39, 0xd0},                    // cmp eax, edx
    {0x09, 0xd0},                    // or eax, edx
    {0x11, 0xd0},                    // adc eax, edx
    {0x48, 0x19, 0xc2},              // sbb rdx, rax
    {0xf7, 0xd8},                    // neg eax
    {0xf9},                          // stc
    {0xf8},                          // clc
    {0xf5},                          // cmc
    {0x9e},                          // sahf
    {0xb1, 0x00},                    // mov cl, 0
};

/// What reads flags, into RBX; the last one faults.
std::vector<Code> readers() {
  std::vector<Code> list;
  for (u8 condition = 0; condition < 16; ++condition) {
    u8 set = 0x90 | condition, move = 0x40 | condition, jump = 0x70 | condition;
    list.push_back({0x0f, set, 0xc3});                           // setCC bl
    list.push_back({0x48, 0x0f, move, 0xda});                    // cmovCC rbx, rdx
    list.push_back({jump, 0x05, 0xbb, 0x01, 0x00, 0x00, 0x00});  // jCC over mov ebx, 1
  }
  list.push_back({0x9c, 0x5b, 0x81, 0xe3, 0xd5, 0x08, 0, 0});  // pushfq; pop rbx; and ebx, 0x8d5
  list.push_back({0x9f});                                      // lahf
  list.push_back({0x48, 0x11, 0xd3});                          // adc rbx, rdx
  list.push_back({0x48, 0xd1, 0xd3});                          // rcl rbx, 1
  list.push_back({0xd2, 0xdb});                                // rcr bl, cl
  return list;
}

struct Registers {
  u64 rax, rcx, rdx, rbx, flags;
  bool operator==(const Registers&) const = default;
};

constexpr u8 kPushFlags = 0x9c, kPopRdi = 0x5f, kReturn = 0xc3, kHalt = 0xf4;

/// Runs code, and PUSHFQ behind it, on the host.
class Host {
 public:
  Host() : page_(mmap(nullptr, kPageSize, kRights, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    REQUIRE(page_ != MAP_FAILED);
  }
  ~Host() { munmap(page_, kPageSize); }
  Host(const Host&) = delete;

  Registers run(Code code, Registers in) {
    code.insert(code.end(), {kPushFlags, kPopRdi, kReturn});
    std::copy(code.begin(), code.end(), static_cast<u8*>(page_));
    u64 flags = in.flags;
    asm volatile("sub $256, %%rsp\n\tpush %%rdi\n\tpopfq\n\tcall *%[code]\n\tadd $256, %%rsp"
                 : "+a"(in.rax), "+c"(in.rcx), "+d"(in.rdx), "+b"(in.rbx), "+D"(flags)
                 : [code] "r"(page_)
                 : "cc", "memory");
    in.flags = flags & Flag::kArithmetic;
    return in;
  }

 private:
  static constexpr int kRights = PROT_READ | PROT_WRITE | PROT_EXEC;
  void* page_;
};

void fill(BareGuest& guest, Code code, const Registers& in) {
  code.push_back(kHalt);
  guest.load(BareGuest::kCode, code);
  guest.reg(Reg::Rax) = in.rax;
  guest.reg(Reg::Rcx) = in.rcx;
  guest.reg(Reg::Rdx) = in.rdx;
  guest.reg(Reg::Rbx) = in.rbx;
  guest.reg(Reg::Rbp) = bit(63);
  guest.reg(Reg::Rsp) = BareGuest::kStack;
  guest.vcpu.state().rip = BareGuest::kCode;
  guest.vcpu.state().activity = cpu::Activity::Running;
  guest.vcpu.state().set_flags(in.flags);
  guest.vcpu.state_changed();
}

Registers taken(BareGuest& guest) {
  return {guest.reg(Reg::Rax), guest.reg(Reg::Rcx), guest.reg(Reg::Rdx), guest.reg(Reg::Rbx),
          guest.vcpu.state().flags() & Flag::kArithmetic};
}

class Programs {
 public:
  Registers registers() {
    return {random_() & widths(), random_() & 0x3f, random_() & widths(), random_(),
            random_() & Flag::kArithmetic};
  }
  Code definitions(u32 count) {
    Code code;
    for (u32 i = 0; i < count; ++i) append(code, kDefinitions[random_() % kDefinitions.size()]);
    return code;
  }
  Code reader() { return readers_[random_() % readers_.size()]; }
  static void append(Code& code, const Code& more) {
    code.insert(code.end(), more.begin(), more.end());
  }

 private:
  u64 widths() { return random_() % 3 == 0 ? 0xff : ~0ull; }
  std::mt19937_64 random_{20240917};
  std::vector<Code> readers_ = readers();
};

std::string listed(const Code& code) {
  std::string text;
  for (u8 byte : code) text += fmt::format("{:02x} ", byte);
  return text;
}

TEST_CASE("flags kept from one definition to the next are those of the host", "[flags]") {
  auto engine = GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried);
  u64 slice = GENERATE(1, 2, 1000);
  if (!oracle::host_is_reference_vendor()) return;
  BareGuest guest(engine);
  Host host;
  Programs programs;
  u32 wrong = 0;
  for (u32 i = 0; i < 4000; ++i) {
    Registers in = programs.registers();
    Code code = programs.definitions(1 + i % 5);
    Programs::append(code, programs.reader());
    fill(guest, code, in);
    guest.run_to_halt(slice);
    bool right = taken(guest) == host.run(code, in);
    if (!right && wrong++ == 0) UNSCOPED_INFO(listed(code));
  }
  CHECK(wrong == 0);
}

TEST_CASE("a fault finds the flags of the instructions before it", "[flags]") {
  auto engine = GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried);
  if (!oracle::host_is_reference_vendor()) return;
  BareGuest guest(engine);
  guest.vcpu.set_exception_hook([](const Fault&) { return true; });
  Host host;
  Programs programs;
  u32 wrong = 0;
  for (u32 i = 0; i < 2000; ++i) {
    Registers in = programs.registers();
    Code code = programs.definitions(1 + i % 4), faulting = code;
    Programs::append(faulting, {0x48, 0x8b, 0x5d, 0x00});  // mov rbx, [rbp]
    Programs::append(faulting, programs.definitions(2));
    fill(guest, faulting, in);
    bool stopped = guest.vcpu.run(1000).reason == machine::Exit::Reason::Debug;
    bool right = stopped && taken(guest) == host.run(code, in);
    if (!right && wrong++ == 0) UNSCOPED_INFO(listed(faulting));
  }
  CHECK(wrong == 0);
}

}  // namespace
}  // namespace penumbra::jit
