// Repeated MOVS and STOS through the real MMU: two linear windows on the same pages, any overlap,
// lines with translated code among the data. The model is one element after the other; code that is
// written to has to be dropped.
#include <algorithm>
#include <random>

#include "tests/jit/bare_guest.h"

namespace penumbra::jit {
namespace {

using cpu::Reg;

constexpr u64 kRegion = 0x30000, kRegionSize = 4 * kPageSize;
constexpr u8 kHlt = 0xf4;

struct Case {
  bool moves = false, backward = false;
  Width width = Width::W8;
  u64 source = 0, destination = 0, count = 0, value = 0;
};

/// Where a linear address of either window lies in the region.
u64 place(u64 linear) { return linear % BareGuest::kAlias - kRegion; }

void run_model(const Case& c, std::vector<u8>& memory) {
  u64 size = bytes(c.width), step = c.backward ? 0 - size : size;
  for (u64 i = 0; i < c.count; ++i) {
    u64 value = c.value;
    if (c.moves) std::memcpy(&value, &memory[place(c.source + i * step)], size);
    std::memcpy(&memory[place(c.destination + i * step)], &value, size);
  }
}

/// Whether the stores of a case touch [lowest, lowest + size) of the region.
bool touches(const Case& c, u64 lowest, u64 size) {
  u64 width = bytes(c.width), first = place(c.destination);
  u64 start = c.backward ? first - (c.count - 1) * width : first;
  return start < lowest + size && lowest < start + c.count * width;
}

class Runner {
 public:
  /// Executes a HLT in the region, so that its line holds code.
  void plant_code(u64 place) {
    guest_.load(kRegion + place, {kHlt});
    run_at(kRegion + place);
    code_.push_back(place);
  }

  /// Whether a case writes to planted code; forgets all code in lines that it touches.
  bool overwrites_code(const Case& c) {
    auto written = [&](u64 place) { return touches(c, place, 1); };
    bool any = std::any_of(code_.begin(), code_.end(), written);
    std::erase_if(code_, [&](u64 place) { return touches(c, place & ~63ull, 64); });
    return any;
  }

  /// Blocks that were dropped meanwhile.
  u64 run(const Case& c) {
    std::vector<u8> code = {c.backward ? u8{0xfd} : u8{0xfc}, 0xf3};
    if (c.width == Width::W16) code.insert(code.begin() + 1, 0x66);
    if (c.width == Width::W64) code.push_back(0x48);
    u8 byte_form = c.width == Width::W8 ? 0 : 1;
    code.push_back(static_cast<u8>((c.moves ? 0xa4 : 0xaa) | byte_form));
    code.push_back(kHlt);
    guest_.load(BareGuest::kCode, code);
    guest_.reg(Reg::Rsi) = c.source;
    guest_.reg(Reg::Rdi) = c.destination;
    guest_.reg(Reg::Rcx) = c.count;
    guest_.reg(Reg::Rax) = c.value;
    u64 before = guest_.vcpu.counters().engine.invalidations;
    run_at(BareGuest::kCode);
    return guest_.vcpu.counters().engine.invalidations - before;
  }

  std::vector<u8> memory() {
    std::vector<u8> all(kRegionSize);
    guest_.space->read({kRegion}, all.data(), all.size());
    return all;
  }
  void set_memory(const std::vector<u8>& all) { guest_.load(kRegion, all); }
  BareGuest& guest() { return guest_; }

 private:
  void run_at(u64 rip) {
    guest_.vcpu.state().rip = rip;
    guest_.vcpu.state().activity = cpu::Activity::Running;
    guest_.run_to_halt();
  }
  BareGuest guest_;
  std::vector<u64> code_;
};

class Generator {
 public:
  u64 below(u64 n) { return random_() % n; }

  Case next() {
    Case c;
    c.moves = below(3) != 0;
    c.backward = below(2);
    c.width = static_cast<Width>(below(4));
    c.value = below(2) ? random_() : 0;
    u64 size = bytes(c.width);
    u64 room = kRegionSize / 3;
    c.count = 1 + below(below(2) ? 24 : room / size - 1);
    u64 reach = c.count * size, span = kRegionSize - reach;
    u64 destination = below(span), source = below(span);
    if (below(2)) source = std::min(span - 1, destination + below(2 * size + 40));
    if (below(3) == 0) source = destination - std::min(destination, below(2 * size + 40));
    c.source = start(c, source);
    c.destination = start(c, destination);
    return c;
  }
  std::vector<u8> bytes_of_region() {
    std::vector<u8> all(kRegionSize);
    for (u8& byte : all) byte = static_cast<u8>(random_());
    return all;
  }

 private:
  /// The first element's address, in one of the windows.
  u64 start(const Case& c, u64 lowest) {
    u64 above = c.backward ? (c.count - 1) * bytes(c.width) : 0;
    return kRegion + lowest + above + (below(2) ? BareGuest::kAlias : 0);
  }
  std::mt19937_64 random_{0xa11a5};
};

TEST_CASE("repeated string stores through aliases and over code agree with single elements",
          "[strings]") {
  Generator generator;
  for (unsigned round = 0; round < 60; ++round) {
    Runner runner;
    runner.set_memory(generator.bytes_of_region());
    for (unsigned i = 0; i < 20; ++i) {
      runner.plant_code(generator.below(kRegionSize));
      Case c = generator.next();
      std::vector<u8> expected = runner.memory();
      run_model(c, expected);
      bool overwrites = runner.overwrites_code(c);
      u64 dropped = runner.run(c);
      INFO("round " << round << " case " << i << " moves " << c.moves << " backward " << c.backward
                    << " width " << int(c.width) << " count " << c.count << std::hex << " source "
                    << c.source << " destination " << c.destination);
      REQUIRE((runner.memory() == expected));
      if (overwrites) CHECK(dropped > 0);
      u64 step = c.count * bytes(c.width);
      CHECK(runner.guest().reg(Reg::Rcx) == 0);
      CHECK(runner.guest().reg(Reg::Rdi) == c.destination + (c.backward ? 0 - step : step));
    }
  }
}

}  // namespace
}  // namespace penumbra::jit
