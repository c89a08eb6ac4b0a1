// Stores to translated code are seen at the next instruction, whoever stores and by what address.
#include "tests/jit/bare_guest.h"

namespace penumbra::jit {
namespace {

using cpu::Reg;
constexpr u8 kHlt = 0xf4;

TEST_CASE("a store to the next instruction of the running block", "[smc]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  guest.load(BareGuest::kCode, {0xc6, 0x05, 0x01, 0, 0, 0, 0x2a,  // mov byte [rip+1], 42
                                0xb8, 0x01, 0, 0, 0,              // mov eax, 1
                                kHlt});
  guest.run_to_halt();
  CHECK(guest.reg(Reg::Rax) == 0x2a);
}

TEST_CASE("a store to the running instruction's own bytes completes first", "[smc]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  guest.load(BareGuest::kCode, {0xb9, 0x02, 0, 0, 0,                    // mov ecx, 2
                                0xc6, 0x05, 0xff, 0xff, 0xff, 0xff, 7,  // mov byte [rip-1], 7
                                0xff, 0xc9,                             // dec ecx
                                0x75, 0xf5,                             // jnz back to the store
                                kHlt});
  guest.run_to_halt();
  CHECK(guest.peek<u8>(BareGuest::kCode + 11) == 7);
}

TEST_CASE("a loop that counts by patching itself", "[smc]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  guest.load(BareGuest::kCode, {0x31, 0xd2,                          // xor edx, edx
                                0xb9, 0x0a, 0,    0,    0,           // mov ecx, 10
                                0xb8, 0x01, 0,    0,    0,           // mov eax, 1    <- patched
                                0x01, 0xc2,                          // add edx, eax
                                0xfe, 0x05, 0xf4, 0xff, 0xff, 0xff,  // inc byte [rip-12]
                                0xff, 0xc9,                          // dec ecx
                                0x75, 0xef,                          // jnz to the mov
                                kHlt});
  guest.run_to_halt();
  CHECK(guest.reg(Reg::Rdx) == 55);
}

TEST_CASE("stores of every width to data right behind the code of their page", "[smc]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  std::vector<u8> code = {0x88, 0x07,                          // mov [rdi], al
                          0x66, 0x89, 0x47, 0x01,              // mov [rdi+1], ax
                          0x89, 0x47, 0x03,                    // mov [rdi+3], eax
                          0x4c, 0x89, 0x47, 0x07,              // mov [rdi+7], r8
                          0xc6, 0x47, 0x0f, 0x5a,              // mov byte [rdi+15], 5Ah
                          0xc7, 0x47, 0x10, 0x78, 0x56, 0, 0,  // mov dword [rdi+16], 5678h
                          0x48, 0x01, 0x47, 0x07,              // add [rdi+7], rax
                          0xf3, 0x0f, 0x7f, 0x47, 0x14,        // movdqu [rdi+20], xmm0
                          0x66, 0x0f, 0xd6, 0x47, 0x24,        // movq [rdi+36], xmm0
                          kHlt};
  guest.load(BareGuest::kCode, code);
  store_to<u64>(&guest.vcpu.state().vector[0], 0xa7a6a5a4a3a2a1a0);
  store_to<u64>(reinterpret_cast<u8*>(&guest.vcpu.state().vector[0]) + 8, 0xafaeadacabaaa9a8);
  u64 data = BareGuest::kCode + code.size();
  for (int round = 1; round <= 3; ++round) {
    guest.reg(Reg::Rdi) = data;
    guest.reg(Reg::Rax) = 0x01020304u * static_cast<u32>(round);
    guest.reg(static_cast<Reg>(8)) = 0x1111111111111111;
    guest.vcpu.state().rip = BareGuest::kCode;
    guest.vcpu.state().activity = cpu::Activity::Running;
    guest.run_to_halt();
    u64 rax = guest.reg(Reg::Rax);
    CHECK(guest.peek<u8>(data) == static_cast<u8>(rax));
    CHECK(guest.peek<u16>(data + 1) == static_cast<u16>(rax));
    CHECK(guest.peek<u32>(data + 3) == static_cast<u32>(rax));
    CHECK(guest.peek<u64>(data + 7) == 0x1111111111111111 + rax);
    CHECK(guest.peek<u8>(data + 15) == 0x5a);
    CHECK(guest.peek<u32>(data + 16) == 0x5678);
    CHECK(guest.peek<u64>(data + 28) == 0xafaeadacabaaa9a8);
    CHECK(guest.peek<u64>(data + 36) == 0xa7a6a5a4a3a2a1a0);
  }
}

void run_at(BareGuest& guest, u64 rip) {
  guest.vcpu.state().rip = rip;
  guest.vcpu.state().activity = cpu::Activity::Running;
  guest.run_to_halt();
}

TEST_CASE("a store of which only the last byte is code", "[smc]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  guest.load(BareGuest::kCode, {0xb8, 0x01, 0, 0, 0, kHlt});  // mov eax, 1
  guest.load(0x20000, {0x48, 0x89, 0x0f, kHlt});              // mov [rdi], rcx
  guest.reg(Reg::Rcx) = 0xb9ull << 56;                        // mov ecx
  for (u64 at : {BareGuest::kCode - 8, BareGuest::kCode - 7}) {
    run_at(guest, BareGuest::kCode);
    guest.reg(Reg::Rdi) = at;
    run_at(guest, 0x20000);
  }
  guest.reg(Reg::Rax) = 7;
  run_at(guest, BareGuest::kCode);
  CHECK(guest.reg(Reg::Rax) == 7);
  CHECK(guest.reg(Reg::Rcx) == 1);
}

/// An instruction whose immediate ends it; what RAX is behind it, from RAX = 1000h.
struct Patched {
  std::vector<u8> code;
  u32 size;                      ///< of the immediate
  u64 (*result)(u64 immediate);  ///< sign-extended
};
const Patched kPatched[] = {
    {{0xb0, 0}, 1, [](u64 v) { return 0x1000 | (v & 0xff); }},              // mov al, imm8
    {{0x48, 0x83, 0xc0, 0}, 1, [](u64 v) { return 0x1000 + v; }},           // add rax, imm8
    {{0x66, 0x05, 0, 0}, 2, [](u64 v) { return (0x1000 + v) & 0xffff; }},   // add ax, imm16
    {{0xb8, 0, 0, 0, 0}, 4, [](u64 v) { return v & 0xffffffff; }},          // mov eax, imm32
    {{0x48, 0xc7, 0xc0, 0, 0, 0, 0}, 4, [](u64 v) { return v; }},           // mov rax, imm32
    {{0x48, 0x2d, 0, 0, 0, 0}, 4, [](u64 v) { return 0x1000 - v; }},        // sub rax, imm32
    {{0x48, 0x69, 0xc0, 0, 0, 0, 0}, 4, [](u64 v) { return 0x1000 * v; }},  // imul
    {{0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0}, 8, [](u64 v) { return v; }},     // mov rax, imm64
    {{0x6a, 0, 0x58}, 1, [](u64 v) { return v; }},                          // push; pop rax
    {{0x48, 0xc1, 0xe0, 0}, 1, [](u64 v) { return u64{0x1000} << (v & 63); }},
};

TEST_CASE("an immediate that is patched again and again", "[smc]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  bool by_alias = GENERATE(false, true);
  for (const Patched& form : kPatched) {
    std::vector<u8> code = form.code;
    bool pops = code.back() == 0x58;
    u64 at = BareGuest::kCode + code.size() - form.size - (pops ? 1 : 0);
    code.push_back(kHlt);
    guest.load(BareGuest::kCode, code);
    // mov [rdi], cl, cx, ecx or rcx
    constexpr u8 kStores[][4] = {
        {0x88, 0x0f, kHlt}, {0x66, 0x89, 0x0f, kHlt}, {0x89, 0x0f, kHlt}, {0x48, 0x89, 0x0f, kHlt}};
    const u8* store = kStores[__builtin_ctz(form.size)];
    guest.load(0x20000, {store[0], store[1], store[2], store[3]});
    for (i64 i = 1; i <= 8; ++i) {
      i64 value = i * 0x0123456789abcdefll;
      if (form.size < 8) value = value << (64 - 8 * form.size) >> (64 - 8 * form.size);
      guest.reg(Reg::Rcx) = static_cast<u64>(value);
      guest.reg(Reg::Rdi) = by_alias ? BareGuest::kAlias + at : at;
      run_at(guest, 0x20000);
      guest.reg(Reg::Rax) = 0x1000;
      run_at(guest, BareGuest::kCode);
      INFO("form " << &form - kPatched << ", round " << i);
      CHECK(guest.reg(Reg::Rax) == form.result(static_cast<u64>(value)));
      CHECK(guest.vcpu.state().rip == BareGuest::kCode + code.size());
    }
    // Another instruction in its place, which has to be seen too.
    guest.load(BareGuest::kCode, {0x31, 0xc0, kHlt});
    run_at(guest, BareGuest::kCode);
    CHECK(guest.reg(Reg::Rax) == 0);
  }
}

TEST_CASE("an immediate that a loop patches in every round, within its own block", "[smc]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  guest.load(BareGuest::kCode, {0xb9, 0x64, 0,    0,    0,           // mov ecx, 100
                                0x31, 0xc0,                          // xor eax, eax
                                0x48, 0x05, 1,    0,    0,    0,     // add rax, 1      <- patched
                                0x89, 0x0d, 0xf6, 0xff, 0xff, 0xff,  // mov [rip-10], ecx
                                0x48, 0x3d, 0,    0,    0,    0x7f,  // cmp rax, 7f000000h
                                0xff, 0xc9,                          // dec ecx
                                0x75, 0xea,                          // jnz to the add
                                kHlt});
  guest.run_to_halt();
  CHECK(guest.reg(Reg::Rax) == 1 + 5050 - 1);
}

TEST_CASE("an immediate that is one of two that a loop patches in every round", "[smc]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  guest.load(BareGuest::kCode, {0xb9, 60,   0,    0,    0,           // mov ecx, 60
                                0x31, 0xc0,                          // xor eax, eax
                                0x48, 0x05, 1,    0,    0,    0,     // add rax, 1      <- patched
                                0x48, 0x05, 2,    0,    0,    0,     // add rax, 2      <- patched
                                0xff, 0x05, 0xf0, 0xff, 0xff, 0xff,  // inc dword [rip-16]
                                0xff, 0x05, 0xf0, 0xff, 0xff, 0xff,  // inc dword [rip-16]
                                0xff, 0xc9,                          // dec ecx
                                0x75, 0xe4,                          // jnz to the first add
                                kHlt});
  guest.run_to_halt();
  CHECK(guest.reg(Reg::Rax) == 3 * 60 + 59 * 60);
}

TEST_CASE("an immediate that is patched by DMA, between other stores to its page", "[smc]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  guest.load(BareGuest::kCode, {0xb8, 0x01, 0, 0, 0,        // mov eax, 1
                                0x89, 0x05, 0xf4, 0, 0, 0,  // mov [rip+F4h], eax
                                kHlt});
  for (u8 i = 1; i < 10; ++i) {
    guest.load(BareGuest::kCode + 1, {i});
    guest.load(BareGuest::kCode + 0x200, {i, i, i});
    run_at(guest, BareGuest::kCode);
    CHECK(guest.peek<u32>(BareGuest::kCode + 0xff) == i);
  }
}

TEST_CASE("a block whose bytes flip between contents", "[smc]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  guest.load(BareGuest::kCode, {0xb9, 5, 0, 0, 0,  // mov ecx, 5
                                0x01, 0xc8,        // add eax, ecx     <- patched
                                0xff, 0xc9,        // dec ecx
                                0x75, 0xfa,        // jnz to the add
                                kHlt});
  // add eax, ecx; sub eax, ecx; xor eax, eax; inc eax; dec eax; mov eax, ecx; nop
  constexpr u8 kContents[][2] = {{0x01, 0xc8}, {0x29, 0xc8}, {0x31, 0xc0}, {0xff, 0xc0},
                                 {0xff, 0xc8}, {0x89, 0xc8}, {0x66, 0x90}};
  constexpr u64 kResults[] = {115, 85, 0, 105, 95, 1, 100};
  constexpr int kOrder[] = {0, 1, 0, 1, 2, 0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6, 1, 1, 0};
  for (int round = 0; round < 3; ++round) {
    for (int which : kOrder) {
      guest.load(BareGuest::kCode + 5, {kContents[which][0], kContents[which][1]});
      guest.reg(Reg::Rax) = 100;
      run_at(guest, BareGuest::kCode);
      INFO("round " << round << ", content " << which);
      CHECK(guest.reg(Reg::Rax) == kResults[which]);
    }
  }
}

TEST_CASE("a call whose target is patched in a loop", "[smc]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  guest.load(BareGuest::kCode, {0xb9, 40,   0, 0, 0,           // mov ecx, 40
                                0x83, 0x35, 1, 0, 0, 0, 0x30,  // xor dword [rip+1], 30h
                                0xe8, 0x0e, 0, 0, 0,           // call 20h, or what that gives
                                0xff, 0xc9,                    // dec ecx
                                0x75, 0xf0,                    // jnz to the xor
                                kHlt});
  // The distance is 0Eh or 3Eh: code + 1Fh or + 4Fh.
  guest.load(BareGuest::kCode + 0x1f, {0x48, 0x83, 0xc0, 1, 0xc3});  // add rax, 1; ret
  guest.load(BareGuest::kCode + 0x4f, {0x48, 0x83, 0xc2, 1, 0xc3});  // add rdx, 1; ret
  guest.reg(Reg::Rax) = guest.reg(Reg::Rdx) = 0;
  guest.run_to_halt();
  CHECK(guest.reg(Reg::Rax) == 20);
  CHECK(guest.reg(Reg::Rdx) == 20);
}

TEST_CASE("stores through another linear address and by DMA", "[smc]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  guest.load(BareGuest::kCode, {0xb8, 0x01, 0, 0, 0, kHlt});  // mov eax, 1
  guest.run_to_halt();
  CHECK(guest.reg(Reg::Rax) == 1);

  guest.load(0x20000, {0xc6, 0x04, 0x25, 0x01, 0x00, 0x01, 0x40, 0x2b, kHlt});
  guest.vcpu.state().rip = 0x20000;  // mov byte [kAlias + kCode + 1], 43
  guest.vcpu.state().activity = cpu::Activity::Running;
  guest.run_to_halt();
  guest.vcpu.state().rip = BareGuest::kCode;
  guest.vcpu.state().activity = cpu::Activity::Running;
  guest.run_to_halt();
  CHECK(guest.reg(Reg::Rax) == 0x2b);

  guest.load(BareGuest::kCode + 1, {0x2c});
  guest.vcpu.state().rip = BareGuest::kCode;
  guest.vcpu.state().activity = cpu::Activity::Running;
  guest.run_to_halt();
  CHECK(guest.reg(Reg::Rax) == 0x2c);
}

TEST_CASE("a store from the page below into the running block", "[smc]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  guest.load(0x11000, {0x48, 0x89, 0x07, 0xb0, 0x01, kHlt});  // mov [rdi], rax; mov al, 1; hlt
  guest.reg(Reg::Rdi) = 0x10fff;
  guest.reg(Reg::Rax) = 0x90f4'2ab0'0789'4800;  // the same again, but mov al, 42
  guest.vcpu.state().rip = 0x11000;
  guest.run_to_halt();
  CHECK((guest.reg(Reg::Rax) & 0xff) == 0x2a);
}

TEST_CASE("a string store over the code behind it", "[smc]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  guest.load(BareGuest::kCode, {0xbf, 0x0f, 0x00, 0x01, 0,  // mov edi, the nops
                                0xb0, kHlt,                 // mov al, F4h
                                0xb9, 0x04, 0,    0,    0,  // mov ecx, 4
                                0xf3, 0xaa,                 // rep stosb
                                0x90, 0x90, 0x90, 0x90, 0x90, 0xb8, 0x01, 0, 0, 0});
  guest.run_to_halt();
  CHECK(guest.vcpu.state().rip == BareGuest::kCode + 16);
}

/// Stores `size` bytes of 90h downwards from `last`, with the page's view not yet filled for them.
void fill_downwards(BareGuest& guest, u64 last, u32 size) {
  guest.load(0x20000, {0xfd, 0xb0, 0x90, 0xf3, 0xaa, kHlt});  // std; mov al, 90h; rep stosb
  guest.reg(Reg::Rdi) = last;
  guest.reg(Reg::Rcx) = size;
  guest.vcpu.state().rip = 0x20000;
  guest.vcpu.state().activity = cpu::Activity::Running;
  guest.run_to_halt();
}

TEST_CASE("a string store downwards reaches code below its first element", "[smc]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  guest.load(BareGuest::kCode, {0xb8, 0x01, 0, 0, 0, kHlt});  // mov eax, 1
  guest.run_to_halt();
  REQUIRE(guest.reg(Reg::Rax) == 1);
  fill_downwards(guest, BareGuest::kCode + 0x800, 0x801);
  guest.load(BareGuest::kCode + 0x801, {kHlt});
  guest.vcpu.state().rip = BareGuest::kCode;
  guest.vcpu.state().activity = cpu::Activity::Running;
  guest.run_to_halt();
  CHECK(guest.vcpu.state().rip == BareGuest::kCode + 0x802);
}

TEST_CASE("an instruction over two pages follows a change of either", "[smc]") {
  BareGuest guest(GENERATE(BareGuest::kInterp, BareGuest::kBaseline, BareGuest::kVaried));
  constexpr u64 kStart = 0x11ffd;
  guest.load(kStart, {0xb8, 0x11, 0x22, 0x33, 0x44, kHlt});  // mov eax, 44332211h
  auto run = [&] {
    guest.vcpu.state().rip = kStart;
    guest.vcpu.state().activity = cpu::Activity::Running;
    guest.run_to_halt();
    return guest.reg(Reg::Rax);
  };
  CHECK(run() == 0x44332211);
  guest.load(0x12000, {0x55});
  CHECK(run() == 0x44552211);
  // Another page frame behind the same linear page.
  guest.load(0x30000, {0x66, 0x77, kHlt});
  u64 moved = 0x30000 | 3;
  guest.space->write({0x4000 + 0x12 * 8}, &moved, 8);
  CHECK(run() == 0x77662211);
}

}  // namespace
}  // namespace penumbra::jit
