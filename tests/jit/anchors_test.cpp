// Accesses that share one look-up of the shadow table behave as if each looked up for itself.
#include <random>

#include "tests/jit/bare_guest.h"

namespace penumbra::jit {
namespace {

using cpu::Reg;

constexpr u64 kTable = 0x4000;  // of the first two megabytes
constexpr u64 kPages = 0x100;   // number of the first data page
constexpr u64 kPresentWrite = 3;

u64 entry_of(u64 page) { return kTable + 8 * page; }
u64 address_of(u64 page) { return page << 12; }

TEST_CASE("a mapping that changes between two accesses by one base", "[anchors]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  // again: mov [rbx], rcx; mov [rdi], rax; mov [rbx + 8], rcx; mov rdx, [rbx + 16]
  // mov rax, r8; dec esi; jnz again; hlt
  guest.load(BareGuest::kCode, {0x48, 0x89, 0x0b, 0x48, 0x89, 0x07, 0x48, 0x89, 0x4b, 0x08, 0x48,
                                0x8b, 0x53, 0x10, 0x4c, 0x89, 0xc0, 0xff, 0xce, 0x75, 0xeb, 0xf4});
  guest.load(address_of(kPages + 1) + 16, {0x77});
  guest.reg(Reg::Rbx) = address_of(kPages);
  guest.reg(Reg::Rdi) = entry_of(kPages);
  guest.reg(Reg::Rax) = address_of(kPages) | kPresentWrite;  // the second round has another
  guest.reg(Reg::R8) = address_of(kPages + 1) | kPresentWrite;
  guest.reg(Reg::Rsi) = 2;
  guest.reg(Reg::Rcx) = 0x1234;
  guest.run_to_halt();
  CHECK(guest.peek<u64>(address_of(kPages)) == 0x1234);
  CHECK(guest.peek<u64>(address_of(kPages + 1)) == 0);
  CHECK(guest.peek<u64>(address_of(kPages + 1) + 8) == 0x1234);
  CHECK(guest.reg(Reg::Rdx) == 0x77);
}

TEST_CASE("accesses by one base on both sides of a page's end", "[anchors]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  u64 elsewhere = address_of(kPages + 5) | kPresentWrite;
  guest.space->write({entry_of(kPages + 1)}, &elsewhere, sizeof elsewhere);
  // mov [rbx], rax; mov [rbx + 8], rcx; mov rdx, [rbx + 4]; hlt
  guest.load(BareGuest::kCode,
             {0x48, 0x89, 0x03, 0x48, 0x89, 0x4b, 0x08, 0x48, 0x8b, 0x53, 0x04, 0xf4});
  guest.reg(Reg::Rbx) = address_of(kPages + 1) - 8;
  guest.reg(Reg::Rax) = 0x1111111122222222;
  guest.reg(Reg::Rcx) = 0x3333333344444444;
  guest.run_to_halt();
  CHECK(guest.reg(Reg::Rdx) == 0x4444444411111111);
  CHECK(guest.peek<u64>(address_of(kPages + 5)) == 0x3333333344444444);
}

TEST_CASE("a store to a page that may only be read faults behind the loads by its base",
          "[anchors]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  u64 read_only = address_of(kPages) | 1;
  guest.space->write({entry_of(kPages)}, &read_only, sizeof read_only);
  guest.load(address_of(kPages), {1, 2, 3});
  // mov al, [rbx]; mov cl, [rbx + 1]; mov [rbx + 2], dl
  guest.load(BareGuest::kCode, {0x8a, 0x03, 0x8a, 0x4b, 0x01, 0x88, 0x53, 0x02});
  guest.reg(Reg::Rbx) = address_of(kPages);
  guest.reg(Reg::Rax) = guest.reg(Reg::Rcx) = 0;
  guest.vcpu.set_exception_hook([](const Fault& fault) { return fault.vector == Vector::Pf; });
  CHECK(guest.vcpu.run(100).reason == machine::Exit::Reason::Debug);
  CHECK(guest.vcpu.state().rip == BareGuest::kCode + 5);
  CHECK(guest.reg(Reg::Rax) == 1);
  CHECK(guest.reg(Reg::Rcx) == 2);
  CHECK(guest.peek<u8>(address_of(kPages) + 2) == 3);
}

/// Programs that run twice through accesses by RBX, RSI and RSP around the ends of pages, steps of
/// these registers, and stores to page tables.
class Program {
 public:
  explicit Program(u32 seed) : random_(seed) {
    for (int i = 0; i < 60; ++i) add_instruction();
    // dec r12d; jz +5; jmp to the start; hlt
    add({0x41, 0xff, 0xcc, 0x74, 0x05, 0xe9});
    i32 back = -static_cast<i32>(code.size()) - 4;
    for (int i = 0; i < 4; ++i) code.push_back(static_cast<u8>(back >> 8 * i));
    code.push_back(0xf4);
  }
  std::vector<u8> code;

 private:
  u32 below(u32 bound) { return static_cast<u32>(random_() % bound); }
  void add(std::initializer_list<u32> bytes) {
    for (u32 byte : bytes) code.push_back(static_cast<u8>(byte));
  }
  /// ModRM with RBX or RSI and a small displacement, `reg` in the middle.
  void add_operand(u32 reg) {
    add({0x40 | reg << 3 | (below(2) != 0 ? 3u : 6u), (below(16) * 8 - 64) & 0xff});
  }
  void add_instruction() {
    u32 value = below(3);  // RAX, RCX, RDX
    switch (below(11)) {
      case 0:
        return add({0x48, 0x89}), add_operand(value);  // mov [], reg
      case 1:
        return add({0x48, 0x8b}), add_operand(value);
      case 2:
        return add({0x48, 0x01}), add_operand(value);  // add [], reg
      case 3:
        return add({0x88}), add_operand(value);  // mov byte [], reg
      case 4:
        return add({0x0f, 0xb7}), add_operand(value);  // movzx reg, word []
      case 5:
        return add({0x50 + value});  // push
      case 6:
        return add({0x58 + value});  // pop
      case 7:
        return add({0x48, 0x83, 0xc3, (below(33) - 16) & 0xff});  // add rbx, i8
      case 8:
        return add({0x48, below(2) != 0 ? 0xffu : 0x8du}),
               code.back() == 0xff ? add({below(2) != 0 ? 0xc6u : 0xceu})   // inc, dec rsi
                                   : add({0x73, (below(33) - 16) & 0xff});  // lea rsi, [rbx + d8]
      case 9:
        return add({0x0f, below(2) != 0 ? 0x10u : 0x11u}), add_operand(below(2));  // movups
      default:  // mov [rdi + 8 * page], r8 to r11
        return add({0x4c, 0x89, 0x47 | below(4) << 3, 8 * below(4)});
    }
  }
  std::mt19937 random_;
};

struct Outcome {
  std::array<u64, 16> registers;
  std::vector<u8> memory;
  bool operator==(const Outcome&) const = default;
};

Outcome run(const Program& program, const machine::EngineConfig& engine) {
  BareGuest guest(engine);
  guest.load(BareGuest::kCode, program.code);
  guest.reg(Reg::Rax) = 0x0102030405060708;
  guest.reg(Reg::Rcx) = 0x1112131415161718;
  guest.reg(Reg::Rdx) = 0x2122232425262728;
  guest.reg(Reg::Rbx) = address_of(kPages + 1) + 40;
  guest.reg(Reg::Rsi) = address_of(kPages + 2) - 20;
  guest.reg(Reg::Rsp) = address_of(kPages + 3) + 16;
  guest.reg(Reg::Rdi) = entry_of(kPages);
  guest.reg(Reg::R12) = 2;
  for (u8 i = 0; i < 4; ++i) {
    guest.vcpu.state().gpr[8 + i] = address_of(kPages + i) | kPresentWrite;
  }
  guest.run_to_halt();
  Outcome outcome{.registers = {}, .memory = std::vector<u8>(4 * kPageSize)};
  std::ranges::copy(guest.vcpu.state().gpr, outcome.registers.begin());
  guest.space->read({address_of(kPages)}, outcome.memory.data(), outcome.memory.size());
  return outcome;
}

TEST_CASE("random accesses by few bases agree with single look-ups", "[anchors]") {
  for (u32 seed = 0; seed < 400; ++seed) {
    Program program(seed);
    Outcome expected = run(program, BareGuest::kInterp);
    INFO("seed " << seed);
    REQUIRE(run(program, BareGuest::kBaseline) == expected);
    REQUIRE(run(program, BareGuest::kVaried) == expected);
  }
}

}  // namespace
}  // namespace penumbra::jit
