// However a run is cut into slices, every instruction happens once and the count is exact.
#include <random>

#include "tests/jit/bare_guest.h"

namespace penumbra::jit {
namespace {

using cpu::Reg;

/// Random straight and branching code over rax..rdi, a data window, the stack and its own bytes.
class ProgramMaker {
 public:
  explicit ProgramMaker(u64 seed) : random_(seed) {}

  std::vector<u8> make() {
    code_.clear();
    bytes({0xbb, 0x00, 0x00, 0x10, 0x00});                   // mov ebx, kData
    bytes({0xb9, static_cast<u8>(20 + pick(60)), 0, 0, 0});  // mov ecx, rounds
    size_t top = code_.size();
    for (int i = 0; i < 40; ++i) step();
    bytes({0xff, 0xc9, 0x0f, 0x85});  // dec ecx; jnz top
    i32 back = static_cast<i32>(top) - static_cast<i32>(code_.size()) - 4;
    for (int i = 0; i < 4; ++i) code_.push_back(static_cast<u8>(back >> (8 * i)));
    code_.push_back(0xf4);
    return code_;
  }

 private:
  u32 pick(u32 n) { return static_cast<u32>(random_() % n); }
  void bytes(std::initializer_list<int> list) {
    for (int byte : list) code_.push_back(static_cast<u8>(byte));
  }
  /// rax, rdx, rsi or rdi: those that no address or count lives in.
  u8 reg() {
    static constexpr u8 kFree[] = {0, 2, 6, 7};
    return kFree[pick(4)];
  }
  int direct() { return 0xc0 | reg() << 3 | reg(); }

  void step() {
    switch (pick(10)) {
      case 0:
        return bytes({0x48, 0x01 + 8 * static_cast<int>(pick(7)), direct()});
      case 1:
        return bytes({0x48, 0xc1, 0xe0 | reg(), static_cast<int>(pick(64))});
      case 2:
        return bytes({0x48, 0x0f, 0xaf, direct()});
      case 3:
        return bytes({0x48, 0x89, 0x43 | reg() << 3, static_cast<int>(pick(16)) * 7});
      case 4:
        return bytes({0x03, 0x43 | reg() << 3, static_cast<int>(pick(16)) * 5});
      case 5:
        return bytes({0x50 | reg(), 0x58 | reg()});
      case 6:
        return bytes({0x70 | static_cast<int>(pick(16)), 3, 0x48, 0x31, direct()});
      case 7:
        return bytes({0x11, direct(), 0x0f, 0x90 | static_cast<int>(pick(16)), 0xc0 | 2});
      case 8:
        return repeat();
      default:
        return patch();
    }
  }
  /// REP STOSB or STOSQ of a few dozen elements, which takes a few counts.
  void repeat() {
    bytes({0x51, 0xb9, static_cast<int>(pick(60)), 0, 0, 0});  // push rcx; mov ecx, n
    bytes({0x48, 0x8d, 0x7b, static_cast<int>(pick(100))});    // lea rdi, [rbx + m]
    bytes({0xf3, 0x48, pick(2) == 0 ? 0xaa : 0xab, 0x59});     // rep stos; pop rcx
  }
  /// Stores a byte of rax into the immediate of the mov that follows.
  void patch() {
    bytes({0x88, 0x05, 1, 0, 0, 0});  // mov [rip+1], al
    bytes({0xb8 | reg(), static_cast<int>(pick(256)), 0, 0, 0});
  }

  std::mt19937_64 random_;
  std::vector<u8> code_;
};

struct Outcome {
  std::vector<u64> registers;
  u64 flags, retired, memory;
  bool operator==(const Outcome&) const = default;
};

/// Runs to the HLT in slices of 1..largest instructions.
Outcome run(const std::vector<u8>& program, u64 largest, u64 seed) {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  // At a page's end, so that some instruction crosses into the next one.
  guest.load(BareGuest::kCode + 0xf80, program);
  cpu::CpuState& state = guest.vcpu.state();
  state.rip = BareGuest::kCode + 0xf80;
  for (Reg r : {Reg::Rax, Reg::Rdx, Reg::Rsi, Reg::Rdi}) guest.reg(r) = seed * 0x9e3779b97f4a7c15;
  u64 start = guest.vcpu.retired();
  std::mt19937_64 random(seed);
  while (state.activity == cpu::Activity::Running) {
    u64 slice = 1 + random() % largest, before = guest.vcpu.retired();
    machine::Exit exit = guest.vcpu.run(slice);
    u64 done = guest.vcpu.retired() - before;
    // The last bytes of a REP may be charged together with the instruction itself.
    if (exit.reason == machine::Exit::Reason::Budget) REQUIRE(done >= slice);
    REQUIRE(done <= slice + 1);
  }
  u64 memory = hash_bytes(guest.space->ram() + 0x10000, 0x180000);
  return {{state.gpr, state.gpr + 16}, state.flags(), guest.vcpu.retired() - start, memory};
}

TEST_CASE("random self-patching programs end alike whatever the slices", "[slices]") {
  for (u64 seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    auto program = ProgramMaker(seed).make();
    Outcome one_by_one = run(program, 1, seed);
    CHECK(run(program, 3, seed) == one_by_one);
    CHECK(run(program, 200, seed) == one_by_one);
    CHECK(run(program, 1'000'000, seed) == one_by_one);
  }
}

TEST_CASE("an interrupt waits for the instruction behind STI", "[slices]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  guest.load(BareGuest::kCode, {0xfb, 0xff, 0xc0, 0xff, 0xc0, 0xf4});  // sti; inc eax; inc eax
  // A 64-bit interrupt gate for vector 40h to 20000h, where a HLT is.
  struct {
    u16 offset, selector;
    u8 ist, type;
    u16 middle;
    u32 high, reserved;
  } gate{0, 8, 0, 0x8e, 2, 0, 0};
  guest.space->write({0x6000 + 0x40 * 16}, &gate, sizeof gate);
  u64 code_descriptor = 0x00af9b000000ffff;
  guest.space->write({0x7008}, &code_descriptor, 8);
  guest.load(0x20000, {0xf4});
  cpu::CpuState& state = guest.vcpu.state();
  state.idtr = {0x6000, 0xfff};
  state.gdtr = {0x7000, 0xff};
  guest.reg(Reg::Rax) = 0;
  guest.host.interrupt = true;
  guest.run_to_halt();
  CHECK(state.rip == 0x20001);
  CHECK(guest.reg(Reg::Rax) == 1);
}

}  // namespace
}  // namespace penumbra::jit
