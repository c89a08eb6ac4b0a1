// CMPXCHG8B/16B, ENTER, BOUND and RDRAND: values, flags, faults before changes.
#include <catch2/catch.hpp>
#include <random>

#include "cpu/ops.h"
#include "integer_native.h"
#include "integer_world.h"

namespace penumbra::cpu::test {
namespace {

constexpr u64 kBase = 0x10000, kSize = 4 * kPageSize;

Operands memory_operand(u16 size, u8 base = 6) {
  Operands operands;
  operands.at[0] = {OperandKind::Memory, 0, size};
  operands.count = 1;
  operands.memory.base = base;
  return operands;
}

/// Registers, flags and 16 bytes of memory of a wide exchange.
struct Exchange {
  u64 rax, rbx, rcx, rdx, flags;
  alignas(16) u64 memory[2];
};

template <bool Wide>
Exchange host_exchange(Exchange e) {
  asm volatile(
      "sub $128, %%rsp\n\tpush %[flags]\n\tpopfq\n\t"
      ".if %c[wide]\n\tlock cmpxchg16b (%%rsi)\n\t.else\n\tlock cmpxchg8b (%%rsi)\n\t.endif\n\t"
      "pushfq\n\tpop %[flags]\n\tadd $128, %%rsp"
      : [flags] "+r"(e.flags), "+a"(e.rax), "+d"(e.rdx)
      : "b"(e.rbx), "c"(e.rcx), "S"(e.memory), [wide] "i"(Wide ? 1 : 0)
      : "cc", "memory");
  return e;
}

template <bool Wide>
bool agrees(const Exchange& e) {
  World world(Mode::Long, kBase, kSize);
  world.state.reg(Reg::Rax) = e.rax;
  world.state.reg(Reg::Rbx) = e.rbx;
  world.state.reg(Reg::Rcx) = e.rcx;
  world.state.reg(Reg::Rdx) = e.rdx;
  world.state.reg(Reg::Rsi) = kBase;
  world.state.set_flags(e.flags);
  std::memcpy(world.memory.at(kBase), e.memory, 16);
  Operands operands = memory_operand(Wide ? 16 : 8);
  Outcome outcome = world.run(Wide ? ops::cmpxchg16b : ops::cmpxchg8b, operands);
  Exchange host = host_exchange<Wide>(e);
  return outcome && world.state.reg(Reg::Rax) == host.rax &&
         world.state.reg(Reg::Rdx) == host.rdx && world.state.flags() == host.flags &&
         std::memcmp(world.memory.at(kBase), host.memory, 16) == 0;
}

template <bool Wide>
void check_exchanges() {
  std::mt19937_64 random(8);
  unsigned equal = 0;
  for (unsigned i = 0; i < 2000; ++i) {
    Exchange e{random(), random(), random(), random(), 0x202 | (random() & 0x8d5), {}};
    e.memory[0] = random(), e.memory[1] = random();
    if (i % 2) e.memory[0] = Wide ? e.rax : (e.rdx << 32) | static_cast<u32>(e.rax);
    if (i % 2) e.memory[1] = i % 4 == 1 ? e.rdx : e.memory[1];
    equal += i % 2;
    CHECK(agrees<Wide>(e));
  }
  CHECK(equal > 0);
}

TEST_CASE("CMPXCHG8B and CMPXCHG16B agree with the host CPU", "[integer]") {
  check_exchanges<false>();
  check_exchanges<true>();
}

TEST_CASE("CMPXCHG16B wants 16-byte alignment before it looks at the page", "[integer]") {
  World world(Mode::Long, kBase, kSize);
  world.memory.set(kBase, PageKind::Absent);
  world.state.reg(Reg::Rsi) = kBase + 8;
  Outcome outcome = world.run(ops::cmpxchg16b, memory_operand(16));
  REQUIRE(!outcome);
  CHECK(outcome.error() == Fault::gp(0));
}

TEST_CASE("a failing CMPXCHG8B still needs a writable destination", "[integer]") {
  World world(Mode::Long, kBase, kSize);
  world.memory.set(kBase, PageKind::ReadOnly);
  world.state.reg(Reg::Rsi) = kBase;
  world.state.reg(Reg::Rax) = 1;
  Outcome outcome = world.run(ops::cmpxchg8b, memory_operand(8));
  REQUIRE(!outcome);
  CHECK(outcome.error() == Fault::page(kBase, PageFaultCode::kPresent | PageFaultCode::kWrite));
  CHECK(world.state.reg(Reg::Rax) == 1);
}

TEST_CASE("ENTER at every level builds the display of the manual", "[integer]") {
  for (Width width : {Width::W16, Width::W64}) {
    for (u64 level = 0; level < 32; ++level) {
      World world(Mode::Long, kBase, kSize);
      u32 n = bytes(width);
      u64 sp = kBase + 2 * kPageSize, bp = kBase + 3 * kPageSize;
      world.state.reg(Reg::Rsp) = sp;
      world.state.reg(Reg::Rbp) = bp;
      for (u64 i = 1; i <= 31; ++i)
        store_to<u16>(world.memory.at(bp - i * n), static_cast<u16>(0x1000 + i));
      Operands operands;
      operands.width = width;
      operands.immediate = 0x120;
      operands.selector = static_cast<u16>(level | 0x20);
      REQUIRE(world.run(ops::enter, operands));
      u64 frame = sp - n, pushed = level == 0 ? 1 : level + 1;
      auto at = [&](u64 address) { return load_from<u64>(world.memory.at(address)) & mask(width); };
      CHECK(at(frame) == (bp & mask(width)));
      for (u64 i = 1; i < level; ++i) CHECK((at(frame - i * n) & 0xffff) == 0x1000 + i);
      if (level) CHECK(at(frame - level * n) == (frame & mask(width)));
      CHECK(world.state.reg(Reg::Rsp) == sp - pushed * n - 0x120);
      CHECK((world.state.reg(Reg::Rbp) & mask(width)) == (frame & mask(width)));
    }
  }
}

TEST_CASE("ENTER faults with the registers as they were", "[integer]") {
  World world(Mode::Long, kBase, kSize);
  world.state.reg(Reg::Rsp) = kBase + 3 * kPageSize + 64;
  world.state.reg(Reg::Rbp) = 7;
  world.memory.set(kBase + 2 * kPageSize, PageKind::Absent);
  Operands operands;
  operands.width = Width::W64;
  operands.immediate = 64;
  Outcome outcome = world.run(ops::enter, operands);
  REQUIRE(!outcome);
  CHECK(outcome.error() == Fault::page(kBase + 3 * kPageSize - 8, PageFaultCode::kWrite));
  CHECK(world.state.reg(Reg::Rsp) == kBase + 3 * kPageSize + 64);
  CHECK(world.state.reg(Reg::Rbp) == 7);
}

TEST_CASE("BOUND compares signed with both limits included", "[integer]") {
  World world(Mode::Protected32, kBase, kSize);
  store_to<i16>(world.memory.at(kBase), -5);
  store_to<i16>(world.memory.at(kBase + 2), 9);
  Operands operands;
  operands.at[0] = {OperandKind::Gpr, 1, 2};
  operands.at[1] = {OperandKind::Memory, 0, 4};
  operands.count = 2;
  operands.width = Width::W16;
  operands.memory.base = 6;
  world.state.reg(Reg::Rsi) = kBase;
  for (i64 index = -7; index <= 11; ++index) {
    world.state.reg(Reg::Rcx) = static_cast<u64>(index);
    Outcome outcome = world.run(ops::bound, operands);
    bool inside = index >= -5 && index <= 9;
    CHECK(outcome.has_value() == inside);
    if (!outcome) CHECK(outcome.error() == Fault::of(Vector::Br));
  }
}

TEST_CASE("RDRAND delivers and sets CF alone", "[integer]") {
  World world(Mode::Long, kBase, kSize);
  Operands operands;
  operands.at[0] = {OperandKind::Gpr, 0, 2};
  operands.count = 1;
  world.state.reg(Reg::Rax) = ~0ull;
  world.state.set_flags(0x8d6);
  REQUIRE(world.run(ops::random_number, operands));
  CHECK(world.state.reg(Reg::Rax) == (~0xffffull | (world.environment.entropy & 0xffff)));
  CHECK(world.state.arithmetic_flags() == Flag::kCf);
}

}  // namespace
}  // namespace penumbra::cpu::test
