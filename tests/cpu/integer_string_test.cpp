// String instructions against the manual's iteration written out naively: all widths, directions,
// address sizes and prefixes, over RAM, code, device, read-only and absent pages, stopped anywhere.
#include <catch2/catch.hpp>
#include <random>

#include "cpu/integer/strings.h"
#include "integer_world.h"

namespace penumbra::cpu::test {
namespace {

constexpr u64 kBase = 0x40000, kSize = 6 * kPageSize;

enum class Kind : u8 { Movs, Stos, Lods, Scas, Cmps };
constexpr NamedOperation kOperations[] = {ops::movs_string, ops::stos_string, ops::lods_string,
                                          ops::scas_string, ops::cmps_string};

using Accesses = std::vector<std::pair<u64, u64>>;

struct Case {
  Kind kind = Kind::Movs;
  Operands operands;
  CpuState state;
  std::vector<u8> bytes;
  PageKind pages[kSize / kPageSize] = {};
};

/// What a run leaves behind.
struct Result {
  CpuState state;
  std::vector<u8> bytes;
  Accesses device;  ///< address and data of every device access, in order
  bool faulted = false;
  Fault fault;
  u64 elements = 0;
};

/// One element after the other, from the manual alone.
class Naive {
 public:
  explicit Naive(const Case& c) : case_(c), size_(bytes(c.operands.width)) {
    result_.state = c.state;
    result_.bytes = c.bytes;
  }

  Result run() {
    bool repeats = case_.operands.repeat != Repeat::None;
    while (!result_.faulted && (!repeats || get(Reg::Rcx) != 0)) {
      stop_ = false;
      if (!element()) break;
      ++result_.elements;
      if (!repeats) break;
      put(Reg::Rcx, get(Reg::Rcx) - 1);
      if (stop_) break;
    }
    return result_;
  }

 private:
  u64 get(Reg reg) const { return result_.state.reg(reg) & mask(case_.operands.address_width); }
  void put(Reg reg, u64 value) {
    u64& whole = result_.state.reg(reg);
    whole = value & mask(case_.operands.address_width);
  }
  void step(Reg reg) {
    put(reg, result_.state.flag(Flag::kDf) ? get(reg) - size_ : get(reg) + size_);
  }

  bool element() {
    u64 accumulator = result_.state.reg(Reg::Rax) & mask(case_.operands.width);
    u64 a = accumulator, b = 0;
    bool from_si = case_.kind == Kind::Movs || case_.kind == Kind::Lods || case_.kind == Kind::Cmps;
    if (from_si && !load(get(Reg::Rsi), a)) return false;
    bool compares = case_.kind == Kind::Scas || case_.kind == Kind::Cmps;
    if (compares && !load(get(Reg::Rdi), b)) return false;
    bool stores = case_.kind == Kind::Movs || case_.kind == Kind::Stos;
    if (stores && !store(get(Reg::Rdi), a)) return false;
    if (case_.kind == Kind::Lods) load_accumulator(a);
    if (compares) compare(a, b);
    if (from_si) step(Reg::Rsi);
    if (case_.kind != Kind::Lods) step(Reg::Rdi);
    return true;
  }

  void load_accumulator(u64 value) {
    u64& rax = result_.state.reg(Reg::Rax);
    u64 kept = size_ >= 4 ? 0 : rax & ~mask(case_.operands.width);
    rax = kept | value;
  }

  void compare(u64 a, u64 b) {
    unsigned top = 8 * size_ - 1;
    u64 difference = (a - b) & mask(case_.operands.width);
    u32 flags = (a < b ? Flag::kCf : 0) | (difference == 0 ? Flag::kZf : 0) |
                (difference >> top & 1 ? Flag::kSf : 0) | ((a & 15) < (b & 15) ? Flag::kAf : 0) |
                (__builtin_popcount(difference & 0xff) % 2 == 0 ? Flag::kPf : 0);
    bool sign_a = a >> top & 1, sign_b = b >> top & 1, sign_d = difference >> top & 1;
    if (sign_a != sign_b && sign_d != sign_a) flags |= Flag::kOf;
    result_.state.set_arithmetic_flags(flags);
    stop_ = case_.operands.repeat == Repeat::Rep ? a != b : a == b;
  }

  /// The first byte whose page refuses the access faults.
  bool allowed(u64 address, bool write) {
    for (u64 i = 0; i < size_; ++i) {
      u64 byte = address + i;
      bool inside = byte >= kBase && byte < kBase + kSize;
      PageKind page = inside ? page_at(byte) : PageKind::Absent;
      u32 code = write ? PageFaultCode::kWrite : 0;
      if (page == PageKind::ReadOnly && write)
        code |= PageFaultCode::kPresent;
      else if (page != PageKind::Absent)
        continue;
      result_.faulted = true;
      result_.fault = Fault::page(byte, code);
      return false;
    }
    return true;
  }
  PageKind page_at(u64 address) const { return case_.pages[(address - kBase) / kPageSize]; }
  bool load(u64 address, u64& value) {
    if (!allowed(address, false)) return false;
    value = 0;
    std::memcpy(&value, &result_.bytes[address - kBase], size_);
    if (page_at(address) == PageKind::Device) result_.device.emplace_back(address, value);
    return true;
  }
  bool store(u64 address, u64 value) {
    if (!allowed(address, true)) return false;
    std::memcpy(&result_.bytes[address - kBase], &value, size_);
    if (page_at(address) == PageKind::Device) result_.device.emplace_back(address, value);
    return true;
  }

  const Case& case_;
  u32 size_;
  bool stop_ = false;
  Result result_;
};

/// The operation under test, restarted as an engine would, with devices that remember.
class Restarting {
 public:
  Restarting(const Case& c, u64 budget) : case_(c), world_(Mode::Long, kBase, kSize) {
    world_.state = c.state;
    std::memcpy(world_.memory.at(kBase), c.bytes.data(), kSize);
    for (u64 i = 0; i < kSize / kPageSize; ++i)
      world_.memory.set(kBase + i * kPageSize, c.pages[i]);
    world_.environment.budget = budget;
  }

  Result run() {
    for (;;) {
      Outcome outcome = world_.run(kOperations[static_cast<u8>(case_.kind)], case_.operands);
      if (outcome && *outcome == Next::Repeat) continue;
      if (!outcome && outcome.error().kind == Fault::Kind::External) {
        complete();
        continue;
      }
      result_.faulted = !outcome;
      if (!outcome) result_.fault = outcome.error();
      break;
    }
    result_.state = world_.state;
    result_.bytes.assign(world_.memory.at(kBase), world_.memory.at(kBase) + kSize);
    result_.elements = world_.environment.charged / bytes(case_.operands.width);
    return result_;
  }

 private:
  void complete() {
    ExternalAccess access = world_.memory.external.pending();
    u8* place = world_.memory.at(access.address);
    u64 data = access.data;
    if (access.direction == ExternalAccess::Direction::Read) {
      data = 0;
      std::memcpy(&data, place, access.size);
    } else {
      std::memcpy(place, &data, access.size);
    }
    result_.device.emplace_back(access.address, data);
    world_.memory.external.complete(data);
  }

  const Case& case_;
  World world_;
  Result result_;
};

class Generator {
 public:
  explicit Generator(u32 seed) : random_(seed) {}
  u64 below(u64 n) { return random_() % n; }

  Case next() {
    Case c;
    c.kind = static_cast<Kind>(below(5));
    c.operands.width = static_cast<Width>(below(4));
    c.operands.address_width = below(2) ? Width::W32 : Width::W64;
    c.operands.repeat = static_cast<Repeat>(below(3));
    c.operands.memory.segment = Segment::Ds;
    c.state = make_state(Mode::Long);
    pages(c);
    contents(c);
    registers(c);
    return c;
  }

 private:
  /// No element may cross between a device and something else: the model has one access for it.
  void pages(Case& c) {
    for (PageKind& page : c.pages) {
      u64 pick = below(12);
      page = pick == 0   ? PageKind::ReadOnly
             : pick == 1 ? PageKind::Absent
             : pick == 2 ? PageKind::Device
             : pick < 5  ? PageKind::Code
                         : PageKind::Ram;
    }
  }
  bool has_device(const Case& c) const {
    return std::find(std::begin(c.pages), std::end(c.pages), PageKind::Device) != std::end(c.pages);
  }
  void contents(Case& c) {
    c.bytes.resize(kSize);
    u64 variety = below(3);
    for (u8& byte : c.bytes)
      byte = variety == 0 ? 0 : static_cast<u8>(below(variety == 1 ? 2 : 256));
    if (variety == 0)
      for (unsigned i = 0; i < 4; ++i) c.bytes[below(kSize)] = 1;
  }
  void registers(Case& c) {
    u64 size = bytes(c.operands.width);
    u64 rsi = kBase + kPageSize + below(4 * kPageSize),
        rdi = kBase + kPageSize + below(4 * kPageSize);
    if (below(3) == 0) rdi = rsi + below(40) - 20;
    if (has_device(c)) rsi &= ~(size - 1), rdi &= ~(size - 1);
    u64 high = c.operands.address_width == Width::W64 ? 0 : below(2) << 40;
    c.state.reg(Reg::Rsi) = rsi | high;
    c.state.reg(Reg::Rdi) = rdi | high;
    c.state.reg(Reg::Rcx) = below(4) == 0 ? below(6) : below(3000);
    c.state.reg(Reg::Rax) =
        below(2) ? 0x1122334455667700 | below(256) : below(2) * 0x0101010101010101;
    c.state.set_flags(0x202 | (below(2) ? Flag::kDf : 0) | (below(2) ? Flag::kZf : 0));
  }

  std::mt19937_64 random_;
};

void check_same(const Result& expected, const Result& got) {
  CHECK(got.faulted == expected.faulted);
  if (expected.faulted && got.faulted) CHECK(got.fault == expected.fault);
  for (Reg reg : {Reg::Rax, Reg::Rcx, Reg::Rsi, Reg::Rdi})
    CHECK(got.state.reg(reg) == expected.state.reg(reg));
  CHECK(got.state.flags() == expected.state.flags());
  CHECK((got.bytes == expected.bytes));
  CHECK((got.device == expected.device));
}

TEST_CASE("string instructions do what the iteration does", "[integer]") {
  Generator generator(0xf3);
  unsigned faults = 0, device_runs = 0;
  for (unsigned i = 0; i < 6000; ++i) {
    Case c = generator.next();
    Result expected = Naive(c).run();
    u64 budget = generator.below(3) == 0 ? 1 + generator.below(40) : ~0ull;
    Result got = Restarting(c, budget).run();
    INFO("case " << i << " kind " << int(c.kind) << " width " << int(c.operands.width) << " repeat "
                 << int(c.operands.repeat) << " flags " << c.state.flags());
    check_same(expected, got);
    if (c.operands.repeat != Repeat::None) CHECK(got.elements == expected.elements);
    faults += expected.faulted;
    device_runs += !expected.device.empty();
  }
  CHECK(faults > 500);
  CHECK(device_runs > 300);
}

/// A repeated instruction in 16-bit real mode with both segments at the window.
struct RealMode {
  World world{Mode::Real, kBase, 16 * kPageSize + kPageSize};
  Operands operands;

  RealMode() {
    world.state.seg(Segment::Ds).base = world.state.seg(Segment::Es).base = kBase;
    operands.address_width = Width::W16;
    operands.width = Width::W8;
    operands.repeat = Repeat::Rep;
  }
};

TEST_CASE("16-bit pointers wrap within their segment", "[integer]") {
  RealMode real;
  real.world.state.reg(Reg::Rax) = 0x5a;
  real.world.state.reg(Reg::Rdi) = 0xfffe;
  real.world.state.reg(Reg::Rcx) = 0x77770004;
  CHECK(real.world.run(ops::stos_string, real.operands) == Outcome(Next::Continue));
  CHECK(real.world.state.reg(Reg::Rdi) == 2);
  CHECK(real.world.state.reg(Reg::Rcx) == 0x77770000);
  for (u64 offset : {0xfffeu, 0xffffu, 0u, 1u})
    CHECK(*real.world.memory.at(kBase + offset) == 0x5a);
  CHECK(*real.world.memory.at(kBase + 2) == 0);
  CHECK(*real.world.memory.at(kBase + 0x10000) == 0);
}

TEST_CASE("an element across the segment's limit faults after the elements before it",
          "[integer]") {
  RealMode real;
  real.operands.width = Width::W32;
  real.world.state.reg(Reg::Rax) = 0x11223344;
  real.world.state.reg(Reg::Rdi) = 0xfff5;
  real.world.state.reg(Reg::Rcx) = 5;
  Outcome outcome = real.world.run(ops::stos_string, real.operands);
  REQUIRE(!outcome);
  CHECK(outcome.error() == Fault::gp(0));
  CHECK(real.world.state.reg(Reg::Rdi) == 0xfffd);
  CHECK(real.world.state.reg(Reg::Rcx) == 3);
}

TEST_CASE("single-stepping sees every iteration", "[integer]") {
  RealMode real;
  real.world.state.set_flags(2 | Flag::kTf);
  real.world.state.reg(Reg::Rcx) = 3;
  for (u64 left : {2u, 1u}) {
    CHECK(real.world.run(ops::stos_string, real.operands) == Outcome(Next::Repeat));
    CHECK(real.world.state.reg(Reg::Rcx) == left);
  }
  CHECK(real.world.run(ops::stos_string, real.operands) == Outcome(Next::Continue));
}

TEST_CASE("a count of zero touches nothing", "[integer]") {
  RealMode real;
  real.operands.address_width = Width::W32;
  real.world.state.reg(Reg::Rdi) = 0xffffffff;
  real.world.state.reg(Reg::Rcx) = 0x100000000;
  CHECK(real.world.run(ops::stos_string, real.operands) == Outcome(Next::Continue));
  CHECK(real.world.state.reg(Reg::Rcx) == 0x100000000);
}

TEST_CASE("REP INSB reads the port once an element, REP OUTSB writes it so", "[integer]") {
  World world(Mode::Protected32, kBase, kSize);
  Operands operands;
  operands.width = Width::W8;
  operands.address_width = Width::W32;
  operands.repeat = Repeat::Rep;
  world.state.reg(Reg::Rdx) = 0x1f0;
  world.state.reg(Reg::Rdi) = world.state.reg(Reg::Rsi) = kBase + kPageSize - 2;
  for (bool in : {true, false}) {
    world.state.reg(Reg::Rcx) = 5;
    std::vector<u64> data;
    for (unsigned rounds = 0; rounds < 40; ++rounds) {
      Outcome outcome = world.run(in ? ops::ins_string : ops::outs_string, operands);
      if (outcome && *outcome == Next::EndBlock) break;
      if (outcome) continue;
      REQUIRE(outcome.error().kind == Fault::Kind::External);
      CHECK(world.memory.external.pending().address == 0x1f0);
      data.push_back(world.memory.external.pending().data);
      world.memory.external.complete(0x40 + data.size());
    }
    CHECK(data.size() == 5);
    CHECK(world.state.reg(Reg::Rcx) == 0);
    if (!in) CHECK((data == std::vector<u64>{0x41, 0x42, 0x43, 0x44, 0x45}));
  }
}

TEST_CASE("INS to a page that cannot be written does not read the port", "[integer]") {
  World world(Mode::Protected32, kBase, kSize);
  world.memory.set(kBase, PageKind::ReadOnly);
  Operands operands;
  operands.width = Width::W16;
  operands.address_width = Width::W32;
  world.state.reg(Reg::Rdi) = kBase;
  Outcome outcome = world.run(ops::ins_string, operands);
  REQUIRE(!outcome);
  CHECK(outcome.error().vector == Vector::Pf);
  CHECK(!world.memory.external.has_pending());
}

}  // namespace
}  // namespace penumbra::cpu::test
