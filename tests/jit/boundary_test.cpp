// What is due between two instructions is found there, although blocks go on without looking up.
#include "tests/jit/bare_guest.h"

namespace penumbra::jit {
namespace {

using cpu::Reg;
using machine::Exit;

constexpr u64 kHandler = 0x20000;

/// A guest with a 64-bit interrupt gate for `vector`, to a HLT.
struct InterruptedGuest : BareGuest {
  explicit InterruptedGuest(u8 vector) {
    struct {
      u16 offset, selector;
      u8 ist, type;
      u16 middle;
      u32 high, reserved;
    } gate{0, 8, 0, 0x8e, kHandler >> 16, 0, 0};
    space->write({0x6000 + vector * 16u}, &gate, sizeof gate);
    u64 code_and_data[] = {0x00af9b000000ffff, 0x00cf93000000ffff};
    space->write({0x7008}, code_and_data, sizeof code_and_data);
    vcpu.state().idtr = {0x6000, 0xfff};
    vcpu.state().gdtr = {0x7000, 0xff};
    reg(Reg::Rax) = 0;
    load(kHandler, {0xf4});
  }
};

TEST_CASE("a shadow outlasts a slice that ends in it", "[boundary]") {
  InterruptedGuest guest(0x40);
  guest.load(BareGuest::kCode, {0xfb, 0xff, 0xc0, 0xff, 0xc0, 0xf4});  // sti; inc eax; inc eax
  u64 before = GENERATE(1, 2);  // instructions in front of the interrupt
  CHECK(guest.vcpu.run(before).reason == Exit::Reason::Budget);
  CHECK(guest.vcpu.state().interrupt_shadow == (before == 1));
  guest.host.interrupt = true;
  guest.run_to_halt();
  CHECK(guest.vcpu.state().rip == kHandler + 1);
  CHECK(guest.reg(Reg::Rax) == 1);
}

TEST_CASE("a shadow is still there where the instruction in it stops the CPU", "[boundary]") {
  InterruptedGuest guest(6);
  guest.load(BareGuest::kCode, {0xfb, 0x0f, 0x0b});  // sti; ud2
  guest.vcpu.set_exception_hook([](const Fault&) { return true; });
  CHECK(guest.vcpu.run(10).reason == Exit::Reason::Debug);
  CHECK(guest.vcpu.state().interrupt_shadow == 1);
  guest.vcpu.set_exception_hook({});
  guest.run_to_halt();
  CHECK(guest.vcpu.state().interrupt_shadow == 0);
  CHECK(guest.vcpu.state().rip == kHandler + 1);
}

TEST_CASE("behind INVLPG of its own page the guest runs what the page is now", "[boundary]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  // mov [rdi], rax; invlpg [rsi]; mov al, 1 (2 in the other page); hlt
  std::vector<u8> code = {0x48, 0x89, 0x07, 0x0f, 0x01, 0x3e, 0xb0, 0x01, 0xf4};
  guest.load(BareGuest::kCode, code);
  code[7] = 2;
  guest.load(BareGuest::kCode + 0x1000, code);
  guest.reg(Reg::Rdi) = 0x4000 + BareGuest::kCode / 0x1000 * 8;
  guest.reg(Reg::Rax) = (BareGuest::kCode + 0x1000) | 3;
  guest.reg(Reg::Rsi) = BareGuest::kCode;
  guest.run_to_halt();
  CHECK((guest.reg(Reg::Rax) & 0xff) == 2);
}

TEST_CASE("a return to address 0 that nothing was called from", "[boundary]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  guest.load(0, {0xf4});
  guest.load(BareGuest::kCode, {0x6a, 0x00, 0xc3});  // push 0; ret
  guest.run_to_halt();
  CHECK(guest.vcpu.state().rip == 1);
}

TEST_CASE("POPF lets a waiting interrupt or a trap in", "[boundary]") {
  bool trap = GENERATE(false, true);
  InterruptedGuest guest(trap ? 1 : 0x40);
  // mov eax, flags; push rax; popfq; inc ecx; hlt
  u8 high = trap ? 1 : 2;  // TF, IF
  guest.load(BareGuest::kCode, {0xb8, 2, high, 0, 0, 0x50, 0x9d, 0xff, 0xc1, 0xff, 0xc1, 0xf4});
  guest.reg(Reg::Rcx) = 0;
  guest.host.interrupt = !trap;
  guest.run_to_halt();
  CHECK(guest.vcpu.state().rip == kHandler + 1);
  CHECK(guest.reg(Reg::Rcx) == (trap ? 1 : 0));
}

TEST_CASE("an exception delivered within a slice is counted", "[boundary]") {
  InterruptedGuest guest(6);
  guest.load(BareGuest::kCode, {0xff, 0xc0, 0x0f, 0x0b});                     // inc eax; ud2
  guest.load(kHandler, {0xff, 0xc1, 0x48, 0x83, 0x04, 0x24, 2, 0x48, 0xcf});  // skips it: iretq
  guest.load(BareGuest::kCode + 4, {0xff, 0xc0, 0xf4});
  guest.reg(Reg::Rcx) = 0;
  u64 exceptions = guest.vcpu.counters().exceptions, retired = guest.vcpu.retired();
  guest.run_to_halt(GENERATE(1, 2, 3, 4, 100));
  CHECK(guest.reg(Reg::Rax) == 2);
  CHECK(guest.reg(Reg::Rcx) == 1);
  CHECK(guest.vcpu.counters().exceptions == exceptions + 1);
  CHECK(guest.vcpu.retired() == retired + 6);
}

/// Two real-mode segments with other code at the same offset, reached by an indirect jump.
TEST_CASE("equal offsets in other code segments are other code", "[boundary]") {
  BareGuest guest;
  guest.vcpu.reset();
  cpu::CpuState& s = guest.vcpu.state();
  for (u64 base : {0x10000u, 0x20000u}) {
    // mov ax, 30h; jmp ax; at 30h: add bl, 1 or 16; jmp far to the other segment
    guest.load(base, {0xb8, 0x30, 0x00, 0xff, 0xe0});
    guest.load(base + 0x30, {0x80, 0xc3, static_cast<u8>(base >> 16 == 1 ? 1 : 16), 0xe2, 1, 0xf4,
                             0xea, 0, 0, 0, static_cast<u8>(base >> 16 == 1 ? 0x20 : 0x10)});
  }
  s.seg(Segment::Cs).base = 0x10000;
  s.seg(Segment::Cs).selector = 0x1000;
  s.rip = 0;
  s.reg(Reg::Rbx) = 0;
  s.reg(Reg::Rcx) = 7;
  guest.vcpu.state_changed();
  guest.run_to_halt();
  CHECK(s.reg(Reg::Rbx) == 4 * 1 + 3 * 16);
}

}  // namespace
}  // namespace penumbra::jit
