// Named vector operations: LDMXCSR, STMXCSR, the masked stores, and checked MMX conversions.
#include <catch2/catch.hpp>

#include "cpu/ops.h"
#include "cpu/semantics/fp_environment.h"
#include "cpu/vector/control.h"
#include "cpu/vector/mmx_conversion.h"
#include "tests/cpu/fake_machine.h"

namespace penumbra::cpu {
namespace {

constexpr u64 kAddress = 0x5ff4;  // 12 bytes before a page's end

struct VectorMachine : test::FakeMachine {
  VectorMachine() {
    enter_long();
    state.cr0 &= ~(Cr0::kEm | Cr0::kTs);
    state.cr4 |= Cr4::kOsfxsr | Cr4::kOsxmmexcpt;
    state.mxcsr = Mxcsr::kDefault;
    state.reg(Reg::Rdi) = kAddress;
  }
};

Operand reg(OperandKind kind, u8 number, u16 size) { return {kind, number, size}; }
Operand memory(u16 size) { return {OperandKind::Memory, 0, size}; }

/// [rDI], and up to two registers before it.
Operands operands(std::initializer_list<Operand> list) {
  Operands ops;
  for (const Operand& operand : list) ops.at[ops.count++] = operand;
  ops.memory.base = 7;
  return ops;
}
Operands masked(OperandKind kind, u16 size) {
  Operands ops = operands({reg(kind, 1, size), reg(kind, 2, size), memory(size)});
  ops.count = 2;
  return ops;
}

void require_fault(const Outcome& outcome, Vector vector) {
  REQUIRE_FALSE(outcome.has_value());
  CHECK(outcome.error().vector == vector);
}

/// Each way in which the operating system refuses SSE, by the operation.
void check_sse_refusals(NamedOperation operation, const Operands& ops) {
  VectorMachine machine;
  machine.state.cr0 |= Cr0::kEm | Cr0::kTs;
  require_fault(operation(machine.ctx, ops), Vector::Ud);
  machine.state.cr0 &= ~Cr0::kEm;
  require_fault(operation(machine.ctx, ops), Vector::Nm);
  machine.state.cr4 &= ~Cr4::kOsfxsr;
  require_fault(operation(machine.ctx, ops), Vector::Ud);
}

}  // namespace

TEST_CASE("LDMXCSR loads what is defined and refuses the rest") {
  VectorMachine machine;
  Operands ops = operands({memory(4)});
  machine.memory.put<u32>(kAddress, 0xffbf);
  CHECK(ops::ldmxcsr(machine.ctx, ops) == Next::EndBlock);
  CHECK(machine.state.mxcsr == 0xffbf);
  for (unsigned position = 16; position < 32; ++position) {
    machine.memory.put<u32>(kAddress, 1u << position);
    require_fault(ops::ldmxcsr(machine.ctx, ops), Vector::Gp);
    CHECK(machine.state.mxcsr == 0xffbf);
  }
  machine.memory.absent.insert(kAddress >> 12);
  require_fault(ops::ldmxcsr(machine.ctx, ops), Vector::Pf);
  check_sse_refusals(ops::ldmxcsr, ops);
}

TEST_CASE("STMXCSR stores the register") {
  VectorMachine machine;
  Operands ops = operands({memory(4)});
  machine.state.mxcsr = 0x9fb1;
  machine.memory.put<u64>(kAddress, ~u64{0});
  CHECK(ops::stmxcsr(machine.ctx, ops) == Next::Continue);
  CHECK(machine.memory.get<u64>(kAddress) == 0xffffffff00009fb1);
  machine.memory.read_only.insert(kAddress >> 12);
  require_fault(ops::stmxcsr(machine.ctx, ops), Vector::Pf);
  check_sse_refusals(ops::stmxcsr, ops);
}

TEST_CASE("MASKMOVDQU stores the bytes whose mask has its top bit set") {
  VectorMachine machine;
  Operands ops = masked(OperandKind::Xmm, 16);
  for (unsigned selected = 0; selected < 0x10000; selected += 0x1357) {
    for (unsigned i = 0; i < 16; ++i) {
      reinterpret_cast<u8*>(machine.state.vector[1].lanes)[i] = static_cast<u8>(0xa0 + i);
      reinterpret_cast<u8*>(machine.state.vector[2].lanes)[i] = selected >> i & 1 ? 0x80 : 0x7f;
      machine.memory.put<u8>(kAddress + i, 0x55);
    }
    CHECK(ops::maskmovdqu(machine.ctx, ops) == Next::Continue);
    for (unsigned i = 0; i < 16; ++i) {
      u8 expected = selected >> i & 1 ? static_cast<u8>(0xa0 + i) : 0x55;
      CHECK(machine.memory.get<u8>(kAddress + i) == expected);
    }
  }
  check_sse_refusals(ops::maskmovdqu, ops);
}

TEST_CASE("a masked store that faults on its second page has written nothing") {
  VectorMachine machine;
  machine.state.vector[2].lanes[0] = machine.state.vector[2].lanes[1] = ~u64{0};
  machine.memory.put<u64>(kAddress, 0x1122334455667788);
  machine.memory.absent.insert((kAddress >> 12) + 1);
  Outcome outcome = ops::maskmovdqu(machine.ctx, masked(OperandKind::Xmm, 16));
  require_fault(outcome, Vector::Pf);
  CHECK(outcome.error().address == 0x6000);
  CHECK(machine.memory.get<u64>(kAddress) == 0x1122334455667788);
}

TEST_CASE("MASKMOVQ enters MMX and waits for the x87 unit") {
  VectorMachine machine;
  Operands ops = masked(OperandKind::Mmx, 8);
  machine.state.x87.set_top(5);
  machine.state.x87.tags = 0;
  machine.state.x87.registers[1].mantissa = 0x1122334455667788;
  machine.state.x87.registers[2].mantissa = 0x80000000000000ff;
  CHECK(ops::maskmovq(machine.ctx, ops) == Next::Continue);
  CHECK(machine.memory.get<u64>(kAddress) == 0x1100000000000088);
  CHECK(machine.state.x87.top() == 0);
  CHECK(machine.state.x87.tags == 0xff);

  machine.state.cr0 |= Cr0::kNe;
  machine.state.x87.status |= 0x80;
  require_fault(ops::maskmovq(machine.ctx, ops), Vector::Mf);
  machine.state.cr0 |= Cr0::kTs;
  require_fault(ops::maskmovq(machine.ctx, ops), Vector::Nm);
  machine.state.cr0 |= Cr0::kEm;
  require_fault(ops::maskmovq(machine.ctx, ops), Vector::Ud);
}

TEST_CASE("checked conversions raise #XM, or #UD where the system does not handle it") {
  VectorMachine machine;
  Operands ops = operands({reg(OperandKind::Mmx, 3, 8), memory(8)});
  machine.memory.put<u64>(kAddress, 0x3fc000003f800000);  // 1.0 and 1.5
  machine.state.mxcsr = Mxcsr::kDefault & ~(Mxcsr::kPe << Mxcsr::kMaskShift);
  require_fault(ops::checked_cvtps2pi(machine.ctx, ops), Vector::Xm);
  CHECK((machine.state.mxcsr & Mxcsr::kSticky) == Mxcsr::kPe);
  machine.state.cr4 &= ~Cr4::kOsxmmexcpt;
  require_fault(ops::checked_cvtps2pi(machine.ctx, ops), Vector::Ud);
  // An earlier sticky bit raises nothing.
  machine.memory.put<u64>(kAddress, 0xc00000003f800000);
  CHECK(ops::checked_cvtps2pi(machine.ctx, ops) == Next::Continue);
  CHECK(machine.state.x87.registers[3].mantissa == 0xfffffffe00000001);
  CHECK(machine.state.x87.registers[3].exponent == 0xffff);
}

TEST_CASE("CVTPI2PS keeps the upper half and leaves the x87 unit alone for memory") {
  VectorMachine machine;
  Operands ops = operands({reg(OperandKind::Xmm, 4, 16), memory(8)});
  machine.memory.put<u64>(kAddress, 0xfffffffe00000001);
  machine.state.vector[4].lanes[1] = 0x123456789;
  machine.state.x87.set_top(5);
  machine.state.x87.status |= 0x80;
  CHECK(ops::checked_cvtpi2ps(machine.ctx, ops) == Next::Continue);
  CHECK(machine.state.vector[4].lanes[0] == 0xc00000003f800000);
  CHECK(machine.state.vector[4].lanes[1] == 0x123456789);
  CHECK(machine.state.x87.top() == 5);
}

}  // namespace penumbra::cpu
