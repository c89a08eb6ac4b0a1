// A guest of a few instructions on a bare Vcpu: no board, no clock, no operating system.
//
// The guest is real-mode code. It writes "Hi!\n" to port E9h, reads a register at D0000h, where no
// memory is, then port 42, and halts. Everything outside the CPU is this program: it prints the
// bytes of port E9h and answers the reads. run() returns when it needs something from outside, and
// goes on once complete() has given it.
#include <fmt/format.h>

#include "machine/vcpu.h"

using namespace penumbra;
using machine::Exit;

/// A machine without interrupts, time, entropy or local APIC.
class BareHost final : public machine::VcpuHost {
 public:
  u64 clock_tsc() override { return 0; }
  u64 random() override { return 0; }
  Expected<u64> apic_read_msr(u32) override { return std::unexpected(Fault::gp()); }
  Expected<> apic_write_msr(u32, u64) override { return std::unexpected(Fault::gp()); }
  u64 read_cr8() override { return 0; }
  void write_cr8(u64) override {}
  bool interrupt_pending() override { return false; }
  u8 acknowledge_interrupt() override { return 0; }
};

constexpr u8 kGuest[] = {
    0xbe, 0x19, 0x70,  // 7000: mov si, 7019h
    0xac,              // 7003: lodsb
    0x84, 0xc0,        // 7004: test al, al
    0x74, 0x04,        // 7006: jz 700Ch
    0xe6, 0xe9,        // 7008: out E9h, al
    0xeb, 0xf7,        // 700A: jmp 7003h
    0xb8, 0x00, 0xd0,  // 700C: mov ax, D000h
    0x8e, 0xd8,        // 700F: mov ds, ax
    0xa1, 0x00, 0x00,  // 7011: mov ax, [0000h]   (D0000h: not memory)
    0xba, 0x2a, 0x00,  // 7014: mov dx, 42
    0xed,              // 7017: in ax, dx          (replaces ax)
    0xf4,              // 7018: hlt
    'H',  'i',  '!',  '\n', 0,
};
constexpr u64 kLoadAddress = 0x7000, kRegister = 0xD0000;

u64 perform(const ExternalAccess& access) {
  bool write = access.direction == ExternalAccess::Direction::Write;
  if (access.space == ExternalAccess::Space::Port && write) {
    fmt::print("{}", static_cast<char>(access.data));
    return 0;
  }
  u64 answer = access.address == kRegister ? 0x1234 : 0x5678;
  fmt::print("{} {:#x} {}\n", access.space == ExternalAccess::Space::Port ? "port" : "memory",
             access.address, write ? "written" : fmt::format("reads as {:#x}", answer));
  return answer;
}

int main() {
  auto space = mmu::AddressSpace::create(64 << 10);
  if (!space) return fmt::print(stderr, "{}\n", space.error()), 2;
  (*space)->map({0}, 64 << 10, 0, mmu::AddressSpace::SlotKind::Ram);
  (*space)->write({kLoadAddress}, kGuest, sizeof kGuest);

  BareHost host;
  cpu::CpuModel model;
  machine::Vcpu vcpu(**space, model, host);
  vcpu.reset();
  vcpu.state().seg(Segment::Cs).base = vcpu.state().seg(Segment::Cs).selector = 0;
  vcpu.state().rip = kLoadAddress;
  vcpu.state_changed();

  for (Exit exit = vcpu.run(1000); exit.reason != Exit::Reason::Halt; exit = vcpu.run(1000)) {
    if (exit.reason != Exit::Reason::Port && exit.reason != Exit::Reason::Mmio) return 1;
    vcpu.complete(perform(exit.access));
  }
  fmt::print("halted after {} instructions, ax = {:#x}\n", vcpu.retired(),
             vcpu.state().reg(cpu::Reg::Rax) & 0xffff);
  return 0;
}
