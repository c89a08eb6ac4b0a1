// What generated code does by short ways of its own: accesses over two pages, calls and returns.
#include "tests/jit/bare_guest.h"

namespace penumbra::jit {
namespace {

using cpu::Reg;
constexpr u8 kHlt = 0xf4;

struct AccessForm {
  std::vector<u8> code;  ///< a store of RAX to [rdi], then a load of RBX from there
  u32 size;
};

TEST_CASE("stores and loads over two pages, at every offset", "[crossing]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  AccessForm form = GENERATE(AccessForm{{0x66, 0x89, 0x07, 0x66, 0x8b, 0x1f, kHlt}, 2},
                             AccessForm{{0x89, 0x07, 0x8b, 0x1f, kHlt}, 4},
                             AccessForm{{0x48, 0x89, 0x07, 0x48, 0x8b, 0x1f, kHlt}, 8});
  constexpr u64 kValue = 0x8877665544332211, kBorder = BareGuest::kData + 2 * kPageSize;
  constexpr u64 kOther = 0x60000;  // two page frames apart from each other
  u64 moved = kOther | 3;
  guest.space->write({0x4000 + (kBorder >> 12) * 8}, &moved, 8);
  guest.load(BareGuest::kCode, form.code);
  for (u32 below = 1; below < form.size; ++below) {
    std::vector<u8> around(16, 0xee);
    guest.load(kBorder - 8, around);
    guest.load(kOther, around);
    for (int round = 0; round < 2; ++round) {  // the second one with both pages known
      guest.reg(Reg::Rax) = kValue + static_cast<u64>(round);
      guest.reg(Reg::Rbx) = 0;
      guest.reg(Reg::Rdi) = kBorder - below;
      guest.vcpu.state().rip = BareGuest::kCode;
      guest.vcpu.state().activity = cpu::Activity::Running;
      guest.run_to_halt();
    }
    u64 written = (kValue + 1) & (form.size == 8 ? ~0ull : (1ull << 8 * form.size) - 1);
    CHECK(guest.reg(Reg::Rbx) == written);
    for (u32 i = 0; i < form.size; ++i) {
      u64 at = i < below ? kBorder - below + i : kOther + i - below;
      CHECK(guest.peek<u8>(at) == static_cast<u8>(written >> 8 * i));
    }
    CHECK(guest.peek<u8>(kBorder - below - 1) == 0xee);
    CHECK(guest.peek<u8>(kOther + form.size - below) == 0xee);
  }
}

TEST_CASE("calls nest deeper than their returns are remembered", "[returns]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  guest.load(BareGuest::kCode, {0xb9, 0xb8, 0x0b, 0,    0,     // mov ecx, 3000
                                0xe8, 0x01, 0,    0,    0,     // call the next but one
                                kHlt, 0xff, 0xc9,              // dec ecx
                                0x74, 0x07,                    // jz to the ret
                                0xe8, 0xf7, 0xff, 0xff, 0xff,  // call the dec
                                0xff, 0xc0,                    // inc eax
                                0xc3});                        // ret
  guest.reg(Reg::Rax) = 0;
  guest.run_to_halt();
  CHECK(guest.reg(Reg::Rax) == 2999);
  CHECK(guest.reg(Reg::Rsp) == BareGuest::kStack);
}

TEST_CASE("a return to where nobody called from", "[returns]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  guest.load(BareGuest::kCode, {0xe8, 0x01, 0,    0,    0,              // call the next but one
                                kHlt, 0x48, 0x8d, 0x05, 0x05, 0, 0, 0,  // lea rax, [rip+5]
                                0x48, 0x89, 0x04, 0x24,                 // mov [rsp], rax
                                0xc3,                                   // ret
                                0xff, 0xc3,                             // inc ebx
                                kHlt});
  guest.reg(Reg::Rbx) = 0;
  for (u64 times = 1; times <= 3; ++times) {
    guest.vcpu.state().rip = BareGuest::kCode;
    guest.vcpu.state().activity = cpu::Activity::Running;
    guest.run_to_halt();
    CHECK(guest.reg(Reg::Rbx) == times);
  }
}

}  // namespace
}  // namespace penumbra::jit
