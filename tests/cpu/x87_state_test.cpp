// Availability, pending exceptions, tags, and the state images of the manual and of the host.
#include <immintrin.h>

#include <catch2/catch.hpp>
#include <random>

#include "cpu/ops.h"
#include "cpu/x87/unit.h"
#include "integer_native.h"
#include "integer_world.h"
#include "x87_encodings.h"

namespace penumbra::cpu::test {
namespace {

using x87::Status;

constexpr u64 kBase = 0x10000, kSize = 4 * kPageSize;

Operands memory_operand(u16 size, Width width = Width::W32) {
  Operands operands;
  operands.at[0] = {OperandKind::Memory, 0, size};
  operands.count = 1;
  operands.width = width;
  operands.memory.base = 6;
  return operands;
}

struct Fpu : World {
  explicit Fpu(Mode mode = Mode::Long) : World(mode, kBase, kSize) { state.reg(Reg::Rsi) = kBase; }

  Outcome memory_form(NamedOperation operation, u16 size, Width width = Width::W32) {
    return run(operation, memory_operand(size, width));
  }
  template <class T>
  T at(u64 offset) {
    return load_from<T>(memory.at(kBase + offset));
  }
  /// A state in which every field is different.
  void fill(u32 seed) {
    std::mt19937_64 random(seed);
    for (X87Register& reg : state.x87.registers) reg = {random(), static_cast<u16>(random())};
    for (VectorRegister& reg : state.vector)
      for (u64& lane : reg.lanes) lane = random();
    x87::set_control(state.x87, static_cast<u16>(random() | 0x3f));
    state.x87.status = random() & 0x7f3f;
    state.x87.tags = static_cast<u8>(random());
    state.x87.opcode = random() & 0x7ff;
    state.x87.ip = random() & 0xffffffff;
    state.x87.dp = random() & 0xffffffff;
    state.x87.cs = static_cast<u16>(random());
    state.x87.ds = static_cast<u16>(random());
    state.mxcsr = 0x1fa5;
    x87::update_summary(state.x87);
  }
};

bool same_registers(const X87State& a, const X87State& b) {
  for (unsigned i = 0; i < 8; ++i)
    if (a.registers[i].mantissa != b.registers[i].mantissa ||
        a.registers[i].exponent != b.registers[i].exponent)
      return false;
  return a.control == b.control && a.status == b.status && a.tags == b.tags;
}

bool same_pointers(const X87State& a, const X87State& b) {
  return a.opcode == b.opcode && a.ip == b.ip && a.dp == b.dp && a.cs == b.cs && a.ds == b.ds;
}

bool same_vectors(const CpuState& a, const CpuState& b, unsigned lanes) {
  for (unsigned i = 0; i < 16; ++i)
    if (std::memcmp(a.vector[i].lanes, b.vector[i].lanes, 8 * lanes) != 0) return false;
  return true;
}

Fault fault_of(const Outcome& outcome) {
  REQUIRE(!outcome);
  return outcome.error();
}

TEST_CASE("every x87 instruction is #NM with TS or EM", "[x87]") {
  for (u64 bit : {Cr0::kTs, Cr0::kEm}) {
    Fpu fpu;
    fpu.state.cr0 |= bit;
    for (const X87Encoding& e : x87_encodings()) {
      INFO(e.name);
      CHECK(fault_of(fpu.run(e.operation, e.operands)) == Fault::of(Vector::Nm));
    }
  }
}

TEST_CASE("FWAIT is #NM only with both MP and TS", "[x87]") {
  for (u64 bits : {u64{0}, Cr0::kTs, Cr0::kMp, Cr0::kEm, Cr0::kMp | Cr0::kEm}) {
    Fpu fpu;
    fpu.state.cr0 |= bits;
    CHECK(fpu.run(ops::fwait, {}).has_value());
  }
  Fpu fpu;
  fpu.state.cr0 |= Cr0::kMp | Cr0::kTs;
  CHECK(fault_of(fpu.run(ops::fwait, {})) == Fault::of(Vector::Nm));
}

TEST_CASE("a pending exception is #MF in the next instruction that waits", "[x87]") {
  unsigned waiting = 0, not_waiting = 0;
  for (const X87Encoding& e : x87_encodings()) {
    Fpu fpu;
    fpu.state.x87.control = 0x340;
    fpu.state.x87.status = Status::kZe | Status::kEs | Status::kBusy;
    std::string name = e.name;
    bool waits = name != "fninit" && name != "fnclex" && name.substr(0, 3) != "fns";
    INFO(name);
    Outcome outcome = fpu.run(e.operation, e.operands);
    CHECK(outcome.has_value() == !waits);
    if (!outcome) CHECK(outcome.error() == Fault::of(Vector::Mf));
    waits ? ++waiting : ++not_waiting;
  }
  CHECK(not_waiting == 7);
  CHECK(waiting > 300);
}

TEST_CASE("without NE a pending exception stops nothing", "[x87]") {
  Fpu fpu;
  fpu.state.cr0 &= ~Cr0::kNe;
  fpu.state.x87.control = 0x340;
  fpu.state.x87.status = Status::kZe | Status::kEs | Status::kBusy;
  CHECK(fpu.run(ops::fwait, {}).has_value());
  CHECK(fpu.run(ops::fld1, {}).has_value());
}

TEST_CASE("unmasking by FLDCW makes an old exception pending", "[x87]") {
  Fpu fpu;
  fpu.state.x87.status = Status::kPe;
  store_to<u16>(fpu.memory.at(kBase), 0x35f);
  REQUIRE(fpu.memory_form(ops::fldcw, 2));
  CHECK(fpu.state.x87.status == (Status::kPe | Status::kEs | Status::kBusy));
  CHECK(fault_of(fpu.run(ops::fwait, {})) == Fault::of(Vector::Mf));
}

TEST_CASE("a store that faults leaves the unit alone", "[x87]") {
  for (const X87Encoding& e : x87_encodings()) {
    std::string name = e.name;
    bool stores = name.substr(0, 3) == "fst" || name.substr(0, 4) == "fist" || name == "fbstp" ||
                  name.substr(0, 3) == "fns";
    if (!stores || !e.operands.at[0].is_memory()) continue;
    Fpu fpu;
    fpu.fill(4);
    fpu.state.x87.tags = 0xff;
    fpu.memory.set(kBase, PageKind::ReadOnly);
    X87State before = fpu.state.x87;
    INFO(name << " " << e.operands.at[0].size);
    CHECK(fault_of(fpu.run(e.operation, e.operands)).vector == Vector::Pf);
    CHECK(same_registers(before, fpu.state.x87));
    CHECK(same_pointers(before, fpu.state.x87));
  }
}

TEST_CASE("an unmasked numeric exception keeps FST from memory, precision does not", "[x87]") {
  Fpu fpu;
  fpu.state.x87.control = 0x340;
  fpu.state.x87.tags = 1;
  fpu.state.x87.registers[0] = {1ull << 63, 0x7ffe};
  store_to<u32>(fpu.memory.at(kBase), 0x5a5a5a5a);
  REQUIRE(fpu.memory_form(ops::fstp, 4));
  CHECK(fpu.at<u32>(0) == 0x5a5a5a5a);
  CHECK(fpu.state.x87.tags == 1);
  CHECK((fpu.state.x87.status & Status::kOe));
  fpu.state.x87.status = 0;
  fpu.state.x87.registers[0] = {~0ull, 0x3fff};
  REQUIRE(fpu.memory_form(ops::fstp, 4));
  CHECK(fpu.at<u32>(0) == 0x40000000);
  CHECK(fpu.state.x87.tags == 0);
  CHECK((fpu.state.x87.status & (Status::kPe | Status::kEs)) == (Status::kPe | Status::kEs));
}

TEST_CASE("the four formats of FNSTENV", "[x87]") {
  auto prepared = [](Mode mode) {
    Fpu fpu(mode);
    fpu.state.x87 = X87State{};
    fpu.state.x87.control = 0x340;
    fpu.state.x87.status = 0x3800;
    fpu.state.x87.tags = 0x80;
    fpu.state.x87.registers[7] = {1ull << 63, 0x3fff};
    fpu.state.x87.opcode = 0x5c1;
    fpu.state.x87.ip = 0x12345;
    fpu.state.x87.cs = 0x1000;
    fpu.state.x87.dp = 0x6789;
    fpu.state.x87.ds = 0x2000;
    return fpu;
  };
  constexpr u16 kTags = 0x3fff;
  {
    Fpu fpu = prepared(Mode::Protected32);
    REQUIRE(fpu.memory_form(ops::fnstenv, 28));
    const u32 expected[7] = {0xffff0340, 0xffff3800, 0xffff0000 | kTags, 0x12345,
                             0x05c11000, 0x6789,     0xffff2000};
    for (unsigned i = 0; i < 7; ++i) CHECK(fpu.at<u32>(4 * i) == expected[i]);
    CHECK(fpu.state.x87.control == 0x37f);
  }
  {
    Fpu fpu = prepared(Mode::Protected32);
    REQUIRE(fpu.memory_form(ops::fnstenv, 14, Width::W16));
    const u16 expected[8] = {0x340, 0x3800, kTags, 0x2345, 0x1000, 0x6789, 0x2000, 0};
    for (unsigned i = 0; i < 8; ++i) CHECK(fpu.at<u16>(2 * i) == expected[i]);
  }
  {
    Fpu fpu = prepared(Mode::Real);
    fpu.state.seg(Segment::Ds).base = kBase;
    fpu.state.reg(Reg::Rsi) = 0;
    REQUIRE(fpu.memory_form(ops::fnstenv, 14, Width::W16));
    const u16 expected[8] = {0x340, 0x3800, kTags, 0x2345, 0x25c1, 0x6789, 0x2000, 0};
    for (unsigned i = 0; i < 8; ++i) CHECK(fpu.at<u16>(2 * i) == expected[i]);
  }
  {
    Fpu fpu = prepared(Mode::Real);
    fpu.state.seg(Segment::Ds).base = kBase;
    fpu.state.reg(Reg::Rsi) = 0;
    REQUIRE(fpu.memory_form(ops::fnstenv, 28, Width::W32));
    const u32 expected[7] = {0xffff0340, 0xffff3800, 0xffff0000 | kTags, 0x2345, 0x25c1,
                             0x6789,     0x2000};
    for (unsigned i = 0; i < 7; ++i) CHECK(fpu.at<u32>(4 * i) == expected[i]);
  }
}

TEST_CASE("FNSAVE and FRSTOR in all formats give the registers back", "[x87]") {
  for (Width width : {Width::W16, Width::W32}) {
    Fpu fpu(Mode::Protected32);
    fpu.fill(11);
    CpuState before = fpu.state;
    REQUIRE(fpu.memory_form(ops::fnsave, 108, width));
    CHECK(fpu.state.x87.control == 0x37f);
    CHECK(fpu.state.x87.status == 0);
    CHECK(fpu.state.x87.tags == 0);
    for (X87Register& reg : fpu.state.x87.registers) reg = {};
    REQUIRE(fpu.memory_form(ops::frstor, 108, width));
    CHECK(same_registers(before.x87, fpu.state.x87));
    CHECK(fpu.state.x87.cs == before.x87.cs);
    if (width == Width::W32) CHECK(same_pointers(before.x87, fpu.state.x87));
  }
}

TEST_CASE("FXSAVE keeps pointers only while an exception is pending", "[x87]") {
  Fpu fpu;
  fpu.fill(5);
  std::memset(fpu.memory.at(kBase), 0xcc, 512);
  REQUIRE(fpu.memory_form(ops::fxsave, 512));
  CHECK(fpu.at<u16>(0) == fpu.state.x87.control);
  CHECK(fpu.at<u16>(2) == fpu.state.x87.status);
  CHECK(fpu.at<u8>(4) == fpu.state.x87.tags);
  for (u64 offset : {u64{8}, u64{16}}) CHECK(fpu.at<u64>(offset) == 0);
  CHECK(fpu.at<u32>(24) == fpu.state.mxcsr);
  CHECK(fpu.at<u32>(28) == 0xffff);  // no misaligned SSE mode
  CHECK(fpu.at<u64>(160 + 15 * 16) == fpu.state.vector[15].lanes[0]);
  for (u64 offset = 416; offset < 512; ++offset) CHECK(fpu.at<u8>(offset) == 0xcc);

  fpu.state.x87.control &= ~1;
  fpu.state.x87.status |= 1;
  x87::update_summary(fpu.state.x87);
  REQUIRE(fpu.memory_form(ops::fxsave, 512));
  CHECK(fpu.at<u16>(6) == fpu.state.x87.opcode);
  CHECK(fpu.at<u32>(8) == fpu.state.x87.ip);
  CHECK(fpu.at<u16>(12) == fpu.state.x87.cs);
  CHECK(fpu.at<u32>(16) == fpu.state.x87.dp);
  CHECK(fpu.at<u16>(20) == fpu.state.x87.ds);
}

TEST_CASE("an image of ours means the same to the host, and the host's to us", "[x87]") {
  if (!host_is_reference()) return;
  alignas(64) u8 image[512] = {}, again[512] = {};
  for (u32 seed = 0; seed < 200; ++seed) {
    Fpu fpu;
    fpu.fill(seed);
    REQUIRE(fpu.memory_form(ops::fxsave64, 512));
    std::memcpy(image, fpu.memory.at(kBase), 512);
    alignas(64) u8 host[512];
    _fxsave64(host);
    _fxrstor64(image);
    _fxsave64(again);
    _fxrstor64(host);
    std::memcpy(again + 28, image + 28, 4);  // MXCSR_MASK is the model's
    CHECK(std::memcmp(image, again, 416) == 0);
    CpuState before = fpu.state;
    fpu.fill(seed + 1);
    std::memcpy(fpu.memory.at(kBase), again, 512);
    CHECK(fpu.memory_form(ops::fxrstor64, 512) == Outcome(Next::EndBlock));
    CHECK(same_registers(before.x87, fpu.state.x87));
    CHECK(same_vectors(before, fpu.state, 2));
    CHECK(fpu.state.mxcsr == before.mxcsr);
  }
}

TEST_CASE("FXSAVE and FXRSTOR refuse misaligned images and reserved MXCSR bits", "[x87]") {
  Fpu fpu;
  fpu.state.reg(Reg::Rsi) = kBase + 8;
  CHECK(fault_of(fpu.memory_form(ops::fxsave, 512)) == Fault::gp(0));
  CHECK(fault_of(fpu.memory_form(ops::fxrstor, 512)) == Fault::gp(0));
  fpu.state.reg(Reg::Rsi) = kBase;
  store_to<u32>(fpu.memory.at(kBase + 24), 0x20000);
  fpu.fill(1);
  X87State before = fpu.state.x87;
  CHECK(fault_of(fpu.memory_form(ops::fxrstor, 512)) == Fault::gp(0));
  CHECK(same_registers(before, fpu.state.x87));
}

/// XSAVE areas; EDX:EAX is the requested mask.
struct Extended : Fpu {
  explicit Extended(u64 xcr0 = 7) {
    state.xcr0 = xcr0;
    request(7);
    fill(3);
  }
  void request(u64 mask) {
    state.reg(Reg::Rax) = mask & 0xffffffff;
    state.reg(Reg::Rdx) = mask >> 32;
  }
  Outcome save(NamedOperation operation = ops::xsave64) { return memory_form(operation, 512); }
  Outcome restore() { return memory_form(ops::xrstor64, 512); }
};

TEST_CASE("XSAVE and XRSTOR give every component back", "[x87]") {
  Extended x;
  std::memset(x.memory.at(kBase), 0, 1024);
  REQUIRE(x.save());
  CHECK(x.at<u64>(512) == 7);
  CpuState before = x.state;
  x.fill(99);
  x.request(7);
  CHECK(x.restore() == Outcome(Next::EndBlock));
  CHECK(same_registers(before.x87, x.state.x87));
  CHECK(same_vectors(before, x.state, 4));
  CHECK(x.state.mxcsr == before.mxcsr);
}

TEST_CASE("XSAVE writes and XRSTOR reads what is requested and enabled", "[x87]") {
  for (u64 mask = 0; mask < 8; ++mask) {
    Extended x;
    x.request(mask | 0xf0);
    std::memset(x.memory.at(kBase), 0xcc, 1024);
    store_to<u64>(x.memory.at(kBase + 512), 7);
    REQUIRE(x.save());
    CHECK((x.at<u8>(0) != 0xcc || x.at<u64>(32) != 0xcccccccccccccccc) == ((mask & 1) != 0));
    CHECK((x.at<u32>(24) == x.state.mxcsr) == ((mask & 6) != 0));
    CHECK((x.at<u64>(160) == x.state.vector[0].lanes[0]) == ((mask & 2) != 0));
    CHECK((x.at<u64>(576) == x.state.vector[0].lanes[2]) == ((mask & 4) != 0));
    CHECK(x.at<u64>(512) == 7);
    CHECK(x.at<u64>(520) == 0xcccccccccccccccc);
    CHECK(x.at<u64>(416) == 0xcccccccccccccccc);
  }
}

TEST_CASE("XRSTOR initializes what the header leaves out", "[x87]") {
  Extended x;
  std::memset(x.memory.at(kBase), 0, 1024);
  store_to<u32>(x.memory.at(kBase + 24), 0x1f80);
  REQUIRE(x.restore());
  CpuState initial;
  CHECK(same_registers(initial.x87, x.state.x87));
  CHECK(same_pointers(initial.x87, x.state.x87));
  CHECK(same_vectors(initial, x.state, 4));
  CHECK(x.state.mxcsr == 0x1f80);
}

TEST_CASE("XSAVEOPT leaves initial components out", "[x87]") {
  Extended x;
  x.state.x87 = X87State{};
  for (VectorRegister& reg : x.state.vector) reg = {};
  x.state.vector[3].lanes[3] = 1;
  std::memset(x.memory.at(kBase), 0xcc, 512);
  std::memset(x.memory.at(kBase + 512), 0, 512);
  REQUIRE(x.save(ops::xsaveopt64));
  CHECK(x.at<u64>(512) == 4);
  CHECK(x.at<u64>(0) == 0xcccccccccccccccc);
  CHECK(x.at<u64>(160) == 0xcccccccccccccccc);
  CHECK(x.at<u64>(576 + 3 * 16 + 8) == 1);
}

TEST_CASE("XSAVEC writes what is in use, and XRSTOR reads it", "[x87]") {
  for (u64 mask = 0; mask < 8; ++mask) {
    Extended x;
    x.request(mask);
    std::memset(x.memory.at(kBase), 0xcc, 512);
    std::memset(x.memory.at(kBase + 512), 0, 512);
    for (VectorRegister& reg : x.state.vector) reg.lanes[2] = reg.lanes[3] = 0;
    x.state.mxcsr = 0x1f82;
    REQUIRE(x.save(ops::xsavec64));
    CHECK(x.at<u64>(512) == (mask & 3));
    CHECK(x.at<u64>(520) == (bit(63) | mask));
    CHECK((x.at<u32>(24) == 0x1f82) == ((mask & 2) != 0));
    CpuState before = x.state;
    x.fill(99);
    x.request(7);
    REQUIRE(x.restore());
    CHECK(x.state.mxcsr == (mask & 2 ? 0x1f82 : 0x1f80));
    CHECK(same_registers((mask & 1 ? before : CpuState{}).x87, x.state.x87));
    CHECK(same_vectors(mask & 2 ? before : CpuState{}, x.state, 4));
  }
}

TEST_CASE("MXCSR counts as SSE state in a compacted image", "[x87]") {
  Extended x;
  for (VectorRegister& reg : x.state.vector) reg = {};
  x.state.mxcsr = 0x1f80;
  REQUIRE(x.save(ops::xsavec64));
  CHECK((x.at<u64>(512) & 6) == 0);
  x.state.mxcsr = 0x1fa0;
  REQUIRE(x.save(ops::xsaves64));
  CHECK((x.at<u64>(512) & 6) == 2);
}

TEST_CASE("what XSAVES and XRSTORS refuse", "[x87]") {
  Extended x;
  REQUIRE(x.save(ops::xsaves64));
  CHECK(x.memory_form(ops::xrstors64, 512) == Outcome(Next::EndBlock));
  struct Bad {
    u32 at;
    u64 value;
  };
  // XSTATE_BV beyond XCOMP_BV, XCOMP_BV beyond XCR0, a standard image, the reserved rest.
  for (Bad bad : {Bad{512, 8}, Bad{520, bit(63) | 0xf}, Bad{520, bit(63) | 1}, Bad{520, 0},
                  Bad{528, 1}, Bad{536, 1}, Bad{568, 1}}) {
    Extended y;
    REQUIRE(y.save(ops::xsaves64));
    store_to<u64>(y.memory.at(kBase + bad.at), bad.value);
    CHECK(fault_of(y.memory_form(ops::xrstors64, 512)) == Fault::gp(0));
  }
  x.state.cpl = 3;
  CHECK(fault_of(x.save(ops::xsaves64)) == Fault::gp(0));
  CHECK(fault_of(x.memory_form(ops::xrstors64, 512)) == Fault::gp(0));
}

TEST_CASE("what XSAVE and XRSTOR refuse", "[x87]") {
  Extended x;
  x.state.reg(Reg::Rsi) = kBase + 32;
  CHECK(fault_of(x.save()) == Fault::gp(0));
  x.state.reg(Reg::Rsi) = kBase;
  for (u64 header : {u64{512}, u64{520}, u64{528}}) {
    std::memset(x.memory.at(kBase), 0, 1024);
    store_to<u64>(x.memory.at(kBase + header), header == 512 ? 8 : 1);
    CHECK(fault_of(x.restore()) == Fault::gp(0));
  }
  std::memset(x.memory.at(kBase), 0, 1024);
  store_to<u32>(x.memory.at(kBase + 24), 0xffffffff);
  CHECK(fault_of(x.restore()) == Fault::gp(0));
  x.request(1);
  CHECK(x.restore().has_value());
  x.state.cr0 |= Cr0::kTs;
  CHECK(fault_of(x.save()) == Fault::of(Vector::Nm));
  x.state.cr4 &= ~Cr4::kOsxsave;
  CHECK(fault_of(x.save()) == Fault::ud());
}

}  // namespace
}  // namespace penumbra::cpu::test
