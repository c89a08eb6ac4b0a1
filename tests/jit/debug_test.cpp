// Single-stepping and instruction breakpoints, told by the exception hook.
#include "tests/jit/bare_guest.h"

namespace penumbra::jit {
namespace {

using cpu::Reg;

struct Trap {
  u64 rip, causes;
  bool operator==(const Trap&) const = default;
};

/// Runs to the HLT; every #DB is noted and not delivered.
std::vector<Trap> traps(BareGuest& guest) {
  std::vector<Trap> seen;
  guest.vcpu.set_exception_hook([&](const Fault& fault) {
    REQUIRE(fault.vector == Vector::Db);
    seen.push_back({guest.vcpu.state().rip, fault.dr6});
    guest.vcpu.state().rflags |= cpu::Flag::kRf;  // as a debugger's IRET does
    return true;
  });
  while (guest.vcpu.run(1000).reason == machine::Exit::Reason::Debug) {
  }
  return seen;
}

constexpr u64 kCode = BareGuest::kCode;

TEST_CASE("TF traps behind each instruction", "[debug]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  guest.load(kCode, {0xff, 0xc0, 0x90, 0xf4});  // inc eax; nop; hlt
  guest.vcpu.state().rflags |= cpu::Flag::kTf;
  constexpr u64 kSingleStep = 1u << 14;
  auto seen = traps(guest);
  REQUIRE(seen.size() >= 2);
  CHECK(seen[0] == Trap{kCode + 2, kSingleStep});
  CHECK(seen[1] == Trap{kCode + 3, kSingleStep});
}

TEST_CASE("an instruction breakpoint stops in front of it, once with RF", "[debug]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  guest.load(kCode, {0xb9, 0x03, 0, 0, 0,     // mov ecx, 3
                     0xff, 0xc0,              // inc eax   <- DR1
                     0xff, 0xc9, 0x75, 0xfa,  // dec ecx; jnz
                     0xf4});
  guest.reg(Reg::Rax) = 0;
  guest.vcpu.state().dr[1] = kCode + 5;
  guest.vcpu.state().dr7 = 0x400 | 1u << 2;
  auto seen = traps(guest);
  CHECK(seen == std::vector<Trap>(3, Trap{kCode + 5, 2}));
  CHECK(guest.reg(Reg::Rax) == 3);
}

}  // namespace
}  // namespace penumbra::jit
