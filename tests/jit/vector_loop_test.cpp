// Loops that keep vectors in registers of the host from one round to the next end as they would
// without.
#include <random>

#include "tests/jit/bare_guest.h"

namespace penumbra::jit {
namespace {

using cpu::Reg;

/// A loop of random SSE2 and AVX2 instructions on eight registers and some memory.
class LoopMaker {
 public:
  explicit LoopMaker(u64 seed) : random_(seed) {}

  std::vector<u8> make() {
    bytes({0xbb, 0x00, 0x00, 0x10, 0x00});                  // mov ebx, kData
    bytes({0xb9, static_cast<u8>(1 + pick(40)), 0, 0, 0});  // mov ecx, rounds
    size_t top = code_.size();
    is_wide_ = pick(2) == 0;
    for (u32 i = 0, count = 2 + pick(9); i < count; ++i) step();
    bytes({0xff, 0xc9, 0x0f, 0x85});  // dec ecx; jnz top
    i32 back = static_cast<i32>(top) - static_cast<i32>(code_.size()) - 4;
    for (int i = 0; i < 4; ++i) code_.push_back(static_cast<u8>(back >> (8 * i)));
    code_.push_back(0xf4);
    return code_;
  }

 private:
  u32 pick(u32 n) { return static_cast<u32>(random_() % n); }
  int any() { return static_cast<int>(pick(8)); }
  void bytes(std::initializer_list<int> list) {
    for (int byte : list) code_.push_back(static_cast<u8>(byte));
  }
  int direct() { return 0xc0 | any() << 3 | any(); }
  int displacement() { return static_cast<int>(pick(12)) * 8; }

  void step() {
    static constexpr int kOpcodes[] = {0xfe, 0xef, 0x61, 0xd4, 0xf8};
    int opcode = kOpcodes[pick(5)];
    switch (pick(is_wide_ ? 10 : 7)) {
      case 0:
        return bytes({0x66, 0x0f, 0x6f, direct()});  // movdqa
      case 1:
        return bytes({0xf3, 0x0f, 0x6f, 0x43 | any() << 3, displacement()});  // movdqu x, [rbx + d]
      case 2:
        return bytes({0xf3, 0x0f, 0x7f, 0x43 | any() << 3, displacement()});
      case 3:
        return bytes({0x66, 0x0f, 0x7e, 0xc0 | any() << 3});  // movd eax, x
      case 4:
        return bytes({0x84, 0xc0, 0x70 | static_cast<int>(pick(16)), 4, 0x66, 0x0f, opcode,
                      direct()});  // test al, al; jcc behind the next
      case 5:
      case 6:
        return bytes({0x66, 0x0f, opcode, direct()});
      case 7:
        return pick(4) == 0 ? bytes({0xc5, 0xf8, 0x77}) : vex(0x6f, 0);  // vzeroupper
      default:
        return vex(opcode, 15 - any());
    }
  }
  /// Of 128 or 256 bits; `source` is VEX.vvvv as it is encoded.
  void vex(int opcode, int source) {
    int vvvv = opcode == 0x6f ? 15 : source;
    bytes({0xc5, 0x80 | vvvv << 3 | static_cast<int>(pick(2)) << 2 | 1, opcode, direct()});
  }

  std::mt19937_64 random_;
  std::vector<u8> code_;
  bool is_wide_ = false;
};

struct Outcome {
  std::vector<u8> vectors;
  u64 rax, rcx, retired, memory;
  bool operator==(const Outcome&) const = default;
};

Outcome run(const machine::EngineConfig& engine, const std::vector<u8>& program, u64 slice) {
  BareGuest guest(engine);
  guest.load(BareGuest::kCode, program);
  cpu::CpuState& state = guest.vcpu.state();
  state.cr4 |= cpu::Cr4::kOsxsave;
  state.xcr0 = 7;
  guest.vcpu.state_changed();
  auto* vectors = reinterpret_cast<u8*>(state.vector);
  std::mt19937_64 random(1);
  for (u32 i = 0; i < sizeof state.vector; ++i) vectors[i] = static_cast<u8>(random());
  u64 start = guest.vcpu.retired();
  guest.run_to_halt(slice);
  u64 memory = hash_bytes(guest.space->ram() + BareGuest::kData, kPageSize);
  return {{vectors, vectors + sizeof state.vector},
          guest.reg(Reg::Rax),
          guest.reg(Reg::Rcx),
          guest.vcpu.retired() - start,
          memory};
}

TEST_CASE("loops over vectors end alike on every engine, whatever the slices", "[slices]") {
  for (u64 seed = 1; seed <= 400; ++seed) {
    INFO("seed " << seed);
    auto program = LoopMaker(seed).make();
    Outcome expected = run(BareGuest::kInterp, program, 1'000'000);
    CHECK(run(BareGuest::kBaseline, program, 1'000'000) == expected);
    CHECK(run(BareGuest::kBaseline, program, 7) == expected);
    CHECK(run(BareGuest::kVaried, program, 1'000'000) == expected);
  }
}

}  // namespace
}  // namespace penumbra::jit
