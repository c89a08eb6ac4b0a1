#include "devices/io_apic.h"

#include <catch2/catch.hpp>

#include "devices/local_apic.h"
#include "tests/devices/board.h"

namespace penumbra::devices {
namespace {

constexpr u64 kBase = IoApic::kDefaultBase;
constexpr u32 kMasked = 1 << 16, kLevel = 1 << 15, kRemoteIrr = 1 << 14;

struct QuietHost final : LocalApicHost {
  void interrupt_changed() override {}
  void nmi() override { ++nmis; }
  void smi() override {}
  void init() override {}
  void startup(u8) override {}
  u8 acknowledge_external() override { return 0x77; }
  u64 tsc() override { return 0; }
  u64 tsc_to_ns(u64 tsc) override { return tsc; }
  u32 nmis = 0;
};

struct Board {
  Board() {
    REQUIRE(bus.map(kBase, IoApic::kPageBytes, io_apic, AccessSizes::ByteWordDword));
    REQUIRE(bus.map(LocalApic::kDefaultBase, LocalApic::kPageBytes, apic, AccessSizes::Any));
    bus.write(LocalApic::kDefaultBase + 0xf0, 4, 0x1ff);
  }
  u32 get(u8 index) {
    bus.write(kBase, 4, index);
    return static_cast<u32>(bus.read(kBase + 0x10, 4));
  }
  void set(u8 index, u32 value) {
    bus.write(kBase, 4, index);
    bus.write(kBase + 0x10, 4, value);
  }
  void route(u8 pin, u32 low) {
    set(0x11 + 2 * pin, 0);
    set(0x10 + 2 * pin, low);
  }
  void eoi() { bus.write(LocalApic::kDefaultBase + 0xb0, 4, 0); }

  FakeClock clock;
  ApicBus apic_bus;
  QuietHost host;
  LocalApic apic{0, LocalApic::Role::Bootstrap, clock, apic_bus, host};
  IoApic io_apic{2, apic_bus};
  Bus bus{Bus::Space::Mmio};
};

TEST_CASE("io apic: identity and reset state") {
  Board board;
  CHECK(board.get(0) == 0x02000000);
  CHECK(board.get(1) == 0x00170020);
  CHECK(board.get(2) == 0x02000000);
  for (u8 pin = 0; pin < 24; ++pin) {
    CHECK(board.get(0x10 + 2 * pin) == kMasked);
    CHECK(board.get(0x11 + 2 * pin) == 0);
  }
  CHECK(board.get(0x40) == 0);
  board.set(0, 0xff000000);
  CHECK(board.get(0) == 0x0f000000);
  board.set(0x10, 0xffffffff);
  CHECK(board.get(0x10) == 0x0001afff);
  board.bus.write(kBase, 1, 0x01);
  CHECK(board.bus.read(kBase + 0x10, 1) == 0x20);
  CHECK(board.bus.read(kBase, 1) == 0x01);
}

TEST_CASE("io apic: an edge pin sends once per rise, a masked edge is lost") {
  Board board;
  board.io_apic.input(4).pulse();
  board.route(4, 0x44);
  CHECK_FALSE(board.apic.interrupt_pending());
  board.io_apic.input(4).set(true);
  CHECK(board.apic.acknowledge() == 0x44);
  board.eoi();
  board.io_apic.input(4).set(true);
  CHECK_FALSE(board.apic.interrupt_pending());
  board.io_apic.input(4).set(false);
  board.io_apic.input(4).set(true);
  CHECK(board.apic.interrupt_pending());
}

TEST_CASE("io apic: a level pin holds remote IRR until EOI and asks again") {
  Board board;
  board.route(9, kLevel | 0x49);
  board.io_apic.input(9).set(true);
  CHECK(board.get(0x10 + 18) == (kLevel | kRemoteIrr | 0x49));
  CHECK(board.apic.acknowledge() == 0x49);
  CHECK_FALSE(board.apic.interrupt_pending());
  board.eoi();
  CHECK(board.apic.acknowledge() == 0x49);
  board.io_apic.input(9).set(false);
  board.eoi();
  CHECK_FALSE(board.apic.interrupt_pending());
  CHECK(board.get(0x10 + 18) == (kLevel | 0x49));
}

TEST_CASE("io apic: a level pin that is high interrupts when unmasked") {
  Board board;
  board.route(9, kMasked | kLevel | 0x49);
  board.io_apic.input(9).set(true);
  CHECK_FALSE(board.apic.interrupt_pending());
  board.route(9, kLevel | 0x49);
  CHECK(board.apic.interrupt_pending());
}

TEST_CASE("io apic: the EOI register ends what the broadcast would") {
  Board board;
  board.route(9, kLevel | 0x49);
  board.io_apic.input(9).set(true);
  board.io_apic.input(9).set(false);
  board.bus.write(kBase + 0x40, 4, 0x48);
  CHECK((board.get(0x10 + 18) & kRemoteIrr) == kRemoteIrr);
  board.bus.write(kBase + 0x40, 4, 0x49);
  CHECK((board.get(0x10 + 18) & kRemoteIrr) == 0);
}

TEST_CASE("io apic: making a pin edge-triggered clears remote IRR") {
  Board board;
  board.route(9, kLevel | 0x49);
  board.io_apic.input(9).set(true);
  board.set(0x10 + 18, kMasked | 0x49);
  board.set(0x10 + 18, kMasked | kLevel | 0x49);
  CHECK((board.get(0x10 + 18) & kRemoteIrr) == 0);
}

TEST_CASE("io apic: a message that nobody takes leaves no remote IRR") {
  Board board;
  board.set(0x11 + 18, 0x05000000);
  board.set(0x10 + 18, kLevel | 0x49);
  board.io_apic.input(9).set(true);
  CHECK((board.get(0x10 + 18) & kRemoteIrr) == 0);
}

TEST_CASE("io apic: the EOI of an edge is not broadcast") {
  Board board;
  board.route(9, kLevel | 0x49);
  board.io_apic.input(9).set(true);
  InterruptMessage edge;
  edge.vector = 0x49;
  REQUIRE(board.apic_bus.deliver(edge));  // the same vector, now marked as an edge
  board.io_apic.input(9).set(false);
  board.apic.acknowledge();
  board.eoi();
  CHECK((board.get(0x10 + 18) & kRemoteIrr) == kRemoteIrr);
}

TEST_CASE("io apic: NMI and ExtINT deliveries") {
  Board board;
  board.route(0, 0x700);
  board.io_apic.input(0).pulse();
  CHECK(board.apic.acknowledge() == 0x77);
  board.route(1, 0x400);
  board.io_apic.input(1).pulse();
  CHECK(board.host.nmis == 1);
}

TEST_CASE("io apic: saved between delivery and EOI") {
  Board board;
  board.route(9, kLevel | 0x49);
  board.io_apic.input(9).set(true);
  board.apic.acknowledge();
  auto io_bytes = save(board.io_apic), apic_bytes = save(board.apic);
  Board other;
  REQUIRE(load(other.io_apic, io_bytes));
  REQUIRE(load(other.apic, apic_bytes));
  CHECK(save(other.io_apic) == io_bytes);
  CHECK_FALSE(other.apic.interrupt_pending());
  other.eoi();
  CHECK(other.apic.acknowledge() == 0x49);
}

TEST_CASE("io apic: garbage from the guest and from a file") {
  Board board;
  std::mt19937 random(5);
  for (u32 i = 0; i < 20'000; ++i) {
    board.set(static_cast<u8>(random() % 0x50), static_cast<u32>(random()));
    board.io_apic.input(static_cast<u8>(random())).set(random() & 1);
    if (board.apic.interrupt_pending()) board.apic.acknowledge();
    board.eoi();
  }
  for (u32 seed = 0; seed < 200; ++seed) {
    load_garbage(board.io_apic, seed);
    fuzz(board.bus, board.clock, kBase, 0x100, seed, 100);
    board.io_apic.input(static_cast<u8>(seed)).pulse();
  }
}

}  // namespace
}  // namespace penumbra::devices
