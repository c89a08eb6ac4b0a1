// The host side on its own: faults, mapping on fault, exact state, determinism, the sandbox.
#include "tests/oracle/host_runner.h"

#include <catch2/catch.hpp>
#include <chrono>

namespace penumbra::oracle {
namespace {

Test test_of(std::string_view hex, CodeSize size = CodeSize::Long) {
  Test test;
  test.size = size;
  test.code = parse_hex(hex);
  test.state = MachineState::initial();
  test.state.gpr[4] = 0x20000800;
  test.pages.push_back({0x20000000, true, std::vector<u8>(kPageSize, 0x11)});
  test.pages.push_back({0x20001000, false, std::vector<u8>(kPageSize, 0x22)});
  return test;
}

}  // namespace

TEST_CASE("a block runs to its end") {
  HostRunner host;
  auto test = test_of("4801d8");  // add rax, rbx
  test.state.gpr[0] = ~0ull;
  test.state.gpr[3] = 1;
  auto result = host.run(test);
  CHECK(result.outcome == Outcome::Ended);
  CHECK(result.state.gpr[0] == 0);
  CHECK((result.state.rflags & 0x8d5) == 0x55);
  CHECK(result.state.rip == end_of(test));
  CHECK(result.state.gpr[4] == 0x20000800);
  CHECK(result.pages.size() == 2);
}

TEST_CASE("faults carry vector, error code, address and RIP") {
  HostRunner host;
  auto divide = test_of("90f7f1");
  divide.state.gpr[1] = 0;
  auto result = host.run(divide);
  CHECK(result.outcome == Outcome::Fault);
  CHECK(result.fault == Fault::of(Vector::De));
  CHECK(result.state.rip == kCodeAddress + 1);

  auto store = test_of("488903");  // mov [rbx], rax: a read-only page
  store.state.gpr[3] = 0x20001008;
  CHECK(host.run(store).fault == Fault::page(0x20001008, 7));
  store.state.gpr[3] = 0x8000;  // below what is mapped on fault
  CHECK(host.run(store).fault == Fault::page(0x8000, 6));
  store.state.gpr[3] = 1ull << 63;
  CHECK(host.run(store).fault == Fault::gp());
  CHECK(host.run(test_of("0f0b")).fault == Fault::ud());
  CHECK(host.run(test_of("0f0b")).state.rip == kCodeAddress);
  CHECK(host.run(test_of("cc")).fault == Fault::of(Vector::Bp));
  CHECK(host.run(test_of("f4")).fault == Fault::gp());
}

TEST_CASE("an absent page is mapped on fault with the pattern") {
  HostRunner host;
  auto test = test_of("488b0348890b");  // mov rax, [rbx] / mov [rbx], rcx
  test.state.gpr[1] = 0x1122334455667788;
  test.state.gpr[3] = 0x7654321ff8;
  for (u64 seed : {0, 1}) {
    test.pattern_seed = seed;
    std::vector<u8> pattern(kPageSize);
    fill_pattern(0x7654321000, seed, pattern.data());
    auto result = host.run(test);
    CHECK(result.outcome == Outcome::Ended);
    REQUIRE(result.pages.size() == 3);
    CHECK(result.pages[2].address == 0x7654321000);
    CHECK(result.state.gpr[0] == load_from<u64>(pattern.data() + 0xff8));
    CHECK(load_from<u64>(result.pages[2].bytes.data() + 0xff8) == test.state.gpr[1]);
  }
  test.most_mapped = 0;
  CHECK(host.run(test).fault == Fault::page(0x7654321ff8, 4));
}

TEST_CASE("SSE and x87 state come and go exactly") {
  HostRunner host;
  auto test = test_of("d9c0660fefc00fae5c2400");  // fld st0 / pxor xmm0, xmm0 / stmxcsr [rsp]
  for (size_t i = FxImage::kSt; i < FxImage::kUnused; ++i)
    test.state.fx.bytes[i] = static_cast<u8>(i * 7);
  for (unsigned i = 0; i < 8; ++i) test.state.fx.set<u64>(FxImage::st(i) + 8, 0x3fff);
  for (unsigned i = 0; i < 8; ++i) test.state.fx.bytes[FxImage::st(i) + 7] |= 0x80;
  test.state.fx.set<u8>(FxImage::kTags, 0x7e);
  test.state.fx.set<u16>(FxImage::kStatus, 1 << 11);
  test.state.fx.set<u32>(FxImage::kMxcsr, 0xffbf);
  auto result = host.run(test);
  REQUIRE(result.outcome == Outcome::Ended);
  CHECK(result.state.fx.get<u8>(FxImage::kTags) == 0x7f);
  CHECK(result.state.fx.get<u64>(FxImage::st(0)) == test.state.fx.get<u64>(FxImage::st(0)));
  CHECK(result.state.fx.get<u64>(FxImage::xmm(0)) == 0);
  CHECK(result.state.fx.get<u64>(FxImage::xmm(15)) == test.state.fx.get<u64>(FxImage::xmm(15)));
  CHECK(load_from<u32>(result.pages[0].bytes.data() + 0x800) == 0xffbf);
}

TEST_CASE("a test cannot leave the sandbox and cannot hang it") {
  HostRunner host;
  CHECK(host.run(test_of("b83c0000000f05")).outcome == Outcome::SystemCall);
  CHECK(host.run(test_of("b801000000cd80")).outcome == Outcome::SystemCall);
  CHECK(host.run(test_of("ebfe")).outcome == Outcome::Timeout);
  CHECK(host.run(test_of("90")).outcome == Outcome::Ended);
  CHECK(host.children() == 1);
}

TEST_CASE("FS and GS bases are the test's") {
  HostRunner host;
  auto test = test_of("64488b042510000000654803042510000000");  // mov rax, fs:[10h] ...
  test.state.fs_base = 0x20000100;
  test.state.gs_base = 0x20001000;
  auto result = host.run(test);
  CHECK(result.state.gpr[0] == 0x1111111111111111 + 0x2222222222222222);
  CHECK(result.state.fs_base == 0x20000100);
  CHECK(result.state.gs_base == 0x20001000);
}

TEST_CASE("32-bit and 16-bit code") {
  HostRunner host;
  auto test = test_of("4001d850", CodeSize::Bits32);  // inc eax / add eax, ebx / push eax
  test.state.gpr[0] = 0xffffffff;
  test.state.gpr[3] = 5;
  auto result = host.run(test);
  CHECK(result.outcome == Outcome::Ended);
  CHECK(result.state.gpr[0] == 5);
  CHECK(result.state.gpr[4] == 0x200007fc);
  CHECK(load_from<u32>(result.pages[0].bytes.data() + 0x7fc) == 5);

  test = test_of("4001d850", CodeSize::Bits16);  // inc ax / add ax, bx / push ax
  test.state.gpr[0] = 0xffff;
  test.state.gpr[3] = 5;
  test.state.gpr[4] = 0x800;
  result = host.run(test);
  CHECK(result.outcome == Outcome::Ended);
  CHECK(result.state.rip == end_of(test));
  CHECK((result.state.gpr[0] & 0xffff) == 5);
  CHECK(load_from<u16>(result.pages[0].bytes.data() + 0x7fe) == 5);
}

TEST_CASE("the trap and alignment flags reach the test") {
  HostRunner host;
  auto test = test_of("9090");
  test.state.rflags |= 0x100;
  CHECK(host.run(test).fault.vector == Vector::Db);
  test = test_of("488b4301");
  test.state.gpr[3] = 0x20000000;
  test.state.rflags |= 0x40000;
  CHECK(host.run(test).fault == Fault::of(Vector::Ac));
}

TEST_CASE("the same test gives the same answer") {
  HostRunner one, two;
  auto test = test_of("480fafc3f30f58c1d9fa488b0b");
  test.state.gpr[3] = 0x123456789a;
  test.pattern_seed = 3;
  auto first = one.run(test);
  for (int i = 0; i < 100; ++i) {
    auto again = (i & 1 ? one : two).run(test);
    REQUIRE(again.outcome == first.outcome);
    REQUIRE(again.state.gpr == first.state.gpr);
    REQUIRE(again.state.rflags == first.state.rflags);
    REQUIRE(again.state.fx == first.state.fx);
    REQUIRE(again.pages == first.pages);
  }
}

}  // namespace penumbra::oracle
