// Sensitive instructions that run as micro-ops at CPL 0 (SDM 2): CLI, PUSHF, SWAPGS, MOV from Sreg.
#include "tests/jit/bare_guest.h"

namespace penumbra::jit {
namespace {

using cpu::Flag;
using cpu::Reg;

TEST_CASE("CLI and PUSHF at CPL 0", "[sensitive]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  guest.vcpu.state().set_flags(Flag::kIf | Flag::kDf | Flag::kRf | Flag::kId);
  guest.load(BareGuest::kCode, {0x31, 0xc0,  // xor eax, eax
                                0xf9,        // stc
                                0x9c, 0x5b,  // pushfq; pop rbx
                                0xfa,        // cli
                                0x66, 0x9c,  // pushf
                                0x66, 0x59,  // pop cx
                                0xf4});
  guest.reg(Reg::Rcx) = 0xabcd0000;
  guest.run_to_halt();
  u64 before = 2 | Flag::kIf | Flag::kDf | Flag::kId | Flag::kCf | Flag::kZf | Flag::kPf;
  CHECK(guest.reg(Reg::Rbx) == before);
  CHECK(guest.reg(Reg::Rcx) == (0xabcd0000 | ((before & ~u64{Flag::kIf}) & 0xffff)));
  CHECK_FALSE(guest.vcpu.state().flag(Flag::kIf));
  CHECK(guest.reg(Reg::Rsp) == BareGuest::kStack);
}

TEST_CASE("SWAPGS changes the base that the next access uses", "[sensitive]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  guest.vcpu.state().seg(Segment::Gs).base = BareGuest::kData;
  guest.vcpu.state().kernel_gs_base = BareGuest::kData + 0x100;
  guest.load(BareGuest::kData, {0x11});
  guest.load(BareGuest::kData + 0x100, {0x22});
  guest.load(BareGuest::kCode, {0x65, 0x8a, 0x04, 0x25, 0, 0, 0, 0,  // mov al, gs:[0]
                                0x0f, 0x01, 0xf8,                    // swapgs
                                0x65, 0x8a, 0x1c, 0x25, 0, 0, 0, 0,  // mov bl, gs:[0]
                                0xf4});
  guest.run_to_halt();
  CHECK((guest.reg(Reg::Rax) & 0xff) == 0x11);
  CHECK((guest.reg(Reg::Rbx) & 0xff) == 0x22);
  CHECK(guest.vcpu.state().kernel_gs_base == BareGuest::kData);
}

TEST_CASE("a selector is read at every operand size", "[sensitive]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  guest.load(BareGuest::kCode, {0x8c, 0xd0,        // mov eax, ss
                                0x48, 0x8c, 0xcb,  // mov rbx, cs
                                0x66, 0x8c, 0xd9,  // mov cx, ds
                                0xf4});
  for (Reg reg : {Reg::Rax, Reg::Rbx, Reg::Rcx}) guest.reg(reg) = ~0ull;
  guest.run_to_halt();
  CHECK(guest.reg(Reg::Rax) == 0x10);
  CHECK(guest.reg(Reg::Rbx) == 0x08);
  CHECK(guest.reg(Reg::Rcx) == 0xffffffffffff0010);
}

}  // namespace
}  // namespace penumbra::jit
