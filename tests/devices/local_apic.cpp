#include "devices/local_apic.h"

#include <catch2/catch.hpp>

#include "tests/devices/board.h"

namespace penumbra::devices {
namespace {

constexpr u64 kBase = LocalApic::kDefaultBase;
constexpr u32 kSpurious = 0x1ff;
constexpr u32 kMasked = 1 << 16;
enum Register : u32 {
  kId = 0x20,
  kVersion = 0x30,
  kTpr = 0x80,
  kApr = 0x90,
  kPpr = 0xa0,
  kEoi = 0xb0,
  kLdr = 0xd0,
  kDfr = 0xe0,
  kSvr = 0xf0,
  kIsr = 0x100,
  kTmr = 0x180,
  kIrr = 0x200,
  kEsr = 0x280,
  kIcrLow = 0x300,
  kIcrHigh = 0x310,
  kLvtTimer = 0x320,
  kLvtLint0 = 0x350,
  kLvtLint1 = 0x360,
  kLvtError = 0x370,
  kInitial = 0x380,
  kCurrent = 0x390,
  kDivide = 0x3e0,
};

struct FakeHost final : LocalApicHost {
  explicit FakeHost(FakeClock& time) : clock(time) {}
  void interrupt_changed() override { ++changes; }
  void nmi() override { ++nmis; }
  void smi() override { ++smis; }
  void init() override { ++inits; }
  void startup(u8 vector) override { startups.push_back(vector); }
  u8 acknowledge_external() override { return external_vector; }
  u64 tsc() override { return clock.now_ns() + tsc_offset; }
  u64 tsc_to_ns(u64 tsc) override { return tsc - tsc_offset - early_ns; }

  FakeClock& clock;
  u32 changes = 0, nmis = 0, smis = 0, inits = 0;
  u8 external_vector = 0x77;
  u64 tsc_offset = 0, early_ns = 0;
  std::vector<u8> startups;
};

struct Processor {
  Processor(u8 id, FakeClock& clock, ApicBus& apic_bus)
      : host(clock),
        apic(id, id == 0 ? LocalApic::Role::Bootstrap : LocalApic::Role::Application, clock,
             apic_bus, host) {
    REQUIRE(bus.map(kBase, LocalApic::kPageBytes, apic, AccessSizes::Any));
  }
  u32 get(u32 offset) { return static_cast<u32>(bus.read(kBase + offset, 4)); }
  void set(u32 offset, u32 value) { bus.write(kBase + offset, 4, value); }
  void enable() { set(kSvr, kSpurious); }
  bool in_set(u32 base, u8 vector) { return get(base + vector / 32 * 16) >> (vector % 32) & 1; }

  Bus bus{Bus::Space::Mmio};
  FakeHost host;
  LocalApic apic;
};

struct Board {
  void send(u8 vector, u8 destination = 0, TriggerMode trigger = TriggerMode::Edge) {
    InterruptMessage message;
    message.vector = vector;
    message.destination = destination;
    message.trigger = trigger;
    apic_bus.deliver(message);
  }

  FakeClock clock;
  ApicBus apic_bus;
  Processor cpu{0, clock, apic_bus};
};

TEST_CASE("local apic: state after reset") {
  Board board;
  CHECK(board.cpu.get(kId) == 0);
  CHECK(board.cpu.get(kVersion) == 0x00050014);
  CHECK(board.cpu.get(kDfr) == 0xffffffff);
  CHECK(board.cpu.get(kSvr) == 0xff);
  for (u32 entry = kLvtTimer; entry <= kLvtError; entry += 16)
    CHECK(board.cpu.get(entry) == kMasked);
  CHECK(board.cpu.apic.read_msr(0x1b).value() == (kBase | 0x900));
  CHECK_FALSE(board.cpu.apic.interrupt_pending());
}

TEST_CASE("local apic: nothing fixed is taken while software-disabled") {
  Board board;
  board.send(0x40);
  CHECK_FALSE(board.cpu.apic.interrupt_pending());
  board.cpu.enable();
  board.send(0x40);
  CHECK(board.cpu.apic.interrupt_pending());
  CHECK(board.cpu.host.changes == 1);
  CHECK(board.cpu.in_set(kIrr, 0x40));
  CHECK(board.cpu.apic.acknowledge() == 0x40);
  CHECK_FALSE(board.cpu.in_set(kIrr, 0x40));
  CHECK(board.cpu.in_set(kIsr, 0x40));
}

TEST_CASE("local apic: disabling masks the local vectors") {
  Board board;
  board.cpu.enable();
  board.cpu.set(kLvtTimer, 0x30);
  board.cpu.set(kSvr, 0xff);
  CHECK(board.cpu.get(kLvtTimer) == (kMasked | 0x30));
  board.cpu.set(kLvtTimer, 0x31);
  CHECK(board.cpu.get(kLvtTimer) == (kMasked | 0x31));
}

TEST_CASE("local apic: priority classes, TPR and CR8") {
  Board board;
  board.cpu.enable();
  board.send(0x45);
  CHECK(board.cpu.apic.acknowledge() == 0x45);
  CHECK(board.cpu.get(kPpr) == 0x40);
  board.send(0x4f);  // same class: waits
  CHECK_FALSE(board.cpu.apic.interrupt_pending());
  board.send(0x51);
  CHECK(board.cpu.apic.acknowledge() == 0x51);
  board.cpu.set(kEoi, 0);
  CHECK(board.cpu.get(kPpr) == 0x40);
  board.cpu.set(kEoi, 0);
  board.cpu.apic.set_cr8(4);
  CHECK(board.cpu.get(kTpr) == 0x40);
  CHECK_FALSE(board.cpu.apic.interrupt_pending());
  board.cpu.set(kTpr, 0x3f);
  CHECK(board.cpu.apic.cr8() == 3);
  CHECK(board.cpu.get(kPpr) == 0x3f);
  CHECK(board.cpu.apic.interrupt_pending());
}

TEST_CASE("local apic: a request that TPR hides ends as spurious") {
  Board board;
  board.cpu.enable();
  board.send(0x45);
  board.cpu.set(kTpr, 0xf0);
  CHECK(board.cpu.apic.acknowledge() == 0xff);
  CHECK(board.cpu.get(kIsr + 0x70) == 0);
  CHECK(board.cpu.in_set(kIrr, 0x45));
}

TEST_CASE("local apic: illegal vectors are errors") {
  Board board;
  board.cpu.enable();
  board.cpu.set(kLvtError, 0xfe);
  board.send(0x0f);
  CHECK(board.cpu.get(kEsr) == 0);
  board.cpu.set(kEsr, 0);
  CHECK(board.cpu.get(kEsr) == 0x40);
  CHECK(board.cpu.apic.acknowledge() == 0xfe);
  board.cpu.set(kEsr, 0);
  CHECK(board.cpu.get(kEsr) == 0);
  board.cpu.set(kIcrLow, 0x40000 | 0x05);
  board.cpu.set(kEsr, 0);
  CHECK(board.cpu.get(kEsr) == 0x20);
  board.cpu.get(0x3f0);
  board.cpu.set(kEsr, 0);
  CHECK(board.cpu.get(kEsr) == 0x80);
}

TEST_CASE("local apic: only aligned dwords are written, reads may be narrow") {
  Board board;
  board.cpu.enable();
  board.cpu.bus.write(kBase + kTpr, 1, 0x50);
  board.cpu.bus.write(kBase + kTpr + 4, 4, 0x50);
  CHECK(board.cpu.get(kTpr) == 0);
  CHECK(board.cpu.bus.read(kBase + kVersion + 2, 1) == 0x05);
  CHECK(board.cpu.bus.read(kBase + kVersion, 8) == 0x00050014);
}

TEST_CASE("local apic: one-shot timer") {
  Board board;
  board.cpu.enable();
  board.cpu.set(kDivide, 0x3);  // by 16
  board.cpu.set(kLvtTimer, 0x60);
  board.cpu.set(kInitial, 1000);
  board.clock.advance(16 * 400);
  CHECK(board.cpu.get(kCurrent) == 600);
  board.clock.advance(16 * 600 - 1);
  CHECK_FALSE(board.cpu.apic.interrupt_pending());
  CHECK(board.cpu.get(kCurrent) == 1);
  board.clock.advance(1);
  CHECK(board.cpu.apic.acknowledge() == 0x60);
  CHECK(board.cpu.get(kCurrent) == 0);
  CHECK(board.cpu.get(kInitial) == 1000);
  board.cpu.set(kEoi, 0);
  board.clock.advance(1'000'000);
  CHECK_FALSE(board.cpu.apic.interrupt_pending());
}

TEST_CASE("local apic: every divisor") {
  constexpr u32 kCodes[] = {0xb, 0x0, 0x1, 0x2, 0x3, 0x8, 0x9, 0xa};  // 1, 2, 4 ... 128
  for (u32 i = 0; i < 8; ++i) {
    Board board;
    board.cpu.set(kDivide, kCodes[i]);
    CHECK(board.cpu.get(kDivide) == kCodes[i]);
    board.cpu.set(kInitial, 1000);
    board.clock.advance(u64{100} << i);
    CHECK(board.cpu.get(kCurrent) == 900);
  }
}

TEST_CASE("local apic: periodic timer keeps its phase, also when late") {
  Board board;
  board.cpu.enable();
  board.cpu.set(kDivide, 0xb);
  board.cpu.set(kLvtTimer, 0x20060);
  board.cpu.set(kInitial, 1000);
  for (int i = 1; i <= 5; ++i) {
    board.clock.advance_to(1000u * i - 1);
    CHECK_FALSE(board.cpu.apic.interrupt_pending());
    board.clock.advance(1);
    CHECK(board.cpu.apic.acknowledge() == 0x60);
    board.cpu.set(kEoi, 0);
  }
  board.clock.jump_to(9'300);
  board.clock.advance(0);
  CHECK(board.cpu.apic.acknowledge() == 0x60);
  board.cpu.set(kEoi, 0);
  CHECK(board.cpu.get(kCurrent) == 700);
  board.clock.advance_to(9'999);
  CHECK_FALSE(board.cpu.apic.interrupt_pending());
  board.clock.advance(1);
  CHECK(board.cpu.apic.interrupt_pending());
  board.cpu.set(kInitial, 0);
  CHECK_FALSE(board.clock.has_armed_timer());
}

TEST_CASE("local apic: a masked timer counts without interrupting") {
  Board board;
  board.cpu.enable();
  board.cpu.set(kLvtTimer, kMasked | 0x60);
  board.cpu.set(kInitial, 100);
  board.clock.advance(1000);
  CHECK_FALSE(board.cpu.apic.interrupt_pending());
  CHECK(board.cpu.get(kCurrent) == 0);
}

TEST_CASE("local apic: changing the divisor keeps the count") {
  Board board;
  board.cpu.set(kDivide, 0xb);
  board.cpu.set(kInitial, 1000);
  board.clock.advance(400);
  board.cpu.set(kDivide, 0x0);
  CHECK(board.cpu.get(kCurrent) == 600);
  board.clock.advance(200);
  CHECK(board.cpu.get(kCurrent) == 500);
}

TEST_CASE("local apic: TSC deadline") {
  Board board;
  board.cpu.enable();
  board.cpu.host.tsc_offset = 5000;
  CHECK(board.cpu.apic.write_msr(0x6e0, 7000).has_value());
  CHECK(board.cpu.apic.read_msr(0x6e0).value() == 0);  // not in this mode
  board.cpu.set(kLvtTimer, 0x40060);
  board.cpu.set(kInitial, 10);
  CHECK(board.cpu.get(kCurrent) == 0);
  REQUIRE(board.cpu.apic.write_msr(0x6e0, 7000).has_value());
  CHECK(board.cpu.apic.read_msr(0x6e0).value() == 7000);
  board.clock.advance_to(1999);
  CHECK_FALSE(board.cpu.apic.interrupt_pending());
  board.clock.advance_to(2000);
  CHECK(board.cpu.apic.acknowledge() == 0x60);
  board.cpu.set(kEoi, 0);
  CHECK(board.cpu.apic.read_msr(0x6e0).value() == 0);
  REQUIRE(board.cpu.apic.write_msr(0x6e0, 6000).has_value());  // past: at once
  CHECK(board.cpu.apic.acknowledge() == 0x60);
  board.cpu.set(kEoi, 0);
  REQUIRE(board.cpu.apic.write_msr(0x6e0, 9000).has_value());
  board.cpu.host.tsc_offset = 6000;
  board.cpu.apic.tsc_changed();
  board.clock.advance_to(3000);
  CHECK(board.cpu.apic.interrupt_pending());
  REQUIRE(board.cpu.apic.write_msr(0x6e0, 1 << 30).has_value());
  board.cpu.set(kLvtTimer, 0x60);  // leaving the mode disarms
  CHECK_FALSE(board.clock.has_armed_timer());
}

TEST_CASE("local apic: LINT0 as ExtINT falls through to the PIC") {
  Board board;
  board.cpu.apic.lint0().set(true);
  CHECK_FALSE(board.cpu.apic.interrupt_pending());  // masked after reset
  board.cpu.apic.enter_virtual_wire_mode();
  CHECK(board.cpu.apic.interrupt_pending());
  CHECK(board.cpu.apic.acknowledge() == 0x77);
  CHECK(board.cpu.get(kIsr + 0x30) == 0);  // an ExtINT is never in service here
  board.send(0x90);
  CHECK(board.cpu.apic.acknowledge() == 0x90);
  CHECK(board.cpu.apic.interrupt_pending());  // not held back by what is in service
  board.cpu.apic.lint0().set(false);
  CHECK_FALSE(board.cpu.apic.interrupt_pending());
}

TEST_CASE("local apic: an ExtINT message is taken once") {
  Board board;
  board.cpu.enable();
  InterruptMessage message;
  message.delivery = DeliveryMode::ExtInt;
  CHECK(board.apic_bus.deliver(message));
  CHECK(board.cpu.apic.acknowledge() == 0x77);
  CHECK_FALSE(board.cpu.apic.interrupt_pending());
}

TEST_CASE("local apic: LINT1 is NMI, by edges") {
  Board board;
  board.cpu.apic.enter_virtual_wire_mode();
  board.cpu.apic.lint1().set(true);
  board.cpu.apic.lint1().set(true);
  CHECK(board.cpu.host.nmis == 1);
  board.cpu.apic.lint1().pulse();
  CHECK(board.cpu.host.nmis == 1);
  board.cpu.apic.lint1().pulse();
  CHECK(board.cpu.host.nmis == 2);
}

TEST_CASE("local apic: a level-triggered LINT0 waits for EOI") {
  Board board;
  board.cpu.enable();
  board.cpu.set(kLvtLint0, 0x8050);
  board.cpu.apic.lint0().set(true);
  CHECK(board.cpu.get(kLvtLint0) == 0xc050);
  CHECK(board.cpu.apic.acknowledge() == 0x50);
  CHECK_FALSE(board.cpu.apic.interrupt_pending());
  board.cpu.set(kEoi, 0);
  CHECK(board.cpu.apic.acknowledge() == 0x50);
  board.cpu.apic.lint0().set(false);
  board.cpu.set(kEoi, 0);
  CHECK_FALSE(board.cpu.apic.interrupt_pending());
  CHECK(board.cpu.get(kLvtLint0) == 0x8050);
}

TEST_CASE("local apic: globally disabled, LINT0 is INTR and LINT1 is NMI") {
  Board board;
  board.cpu.enable();
  CHECK(board.cpu.apic.write_msr(0x1b, kBase | 0x100).has_value());
  CHECK_FALSE(board.cpu.apic.globally_enabled());
  CHECK(board.cpu.get(kVersion) == 0xffffffff);
  board.cpu.apic.lint0().set(true);
  CHECK(board.cpu.apic.acknowledge() == 0x77);
  board.cpu.apic.lint1().pulse();
  CHECK(board.cpu.host.nmis == 1);
  board.send(0x40);
  CHECK(board.cpu.apic.write_msr(0x1b, kBase | 0x900).has_value());
  CHECK(board.cpu.get(kSvr) == 0xff);
  CHECK(board.cpu.get(kIrr + 0x20) == 0);
}

TEST_CASE("local apic: reserved MSR bits and unknown MSRs are refused") {
  Board board;
  CHECK_FALSE(board.cpu.apic.write_msr(0x1b, kBase | 0xd00));  // x2APIC
  CHECK_FALSE(board.cpu.apic.write_msr(0x1b, kBase | 0x901));
  CHECK_FALSE(board.cpu.apic.write_msr(0x1b, 1ull << 40 | 0x900));
  CHECK_FALSE(board.cpu.apic.read_msr(0x802));
  CHECK_FALSE(board.cpu.apic.write_msr(0x80b, 0));
  CHECK(board.cpu.apic.write_msr(0x1b, 0xfed00900).has_value());
  CHECK(board.cpu.apic.base() == 0xfed00000);
}

struct Machine {
  FakeClock clock;
  ApicBus bus;
  Processor cpus[4] = {{0, clock, bus}, {1, clock, bus}, {2, clock, bus}, {3, clock, bus}};
  /// Processors at which `vector` waits, as a bit mask; they forget it.
  u32 receivers(u8 vector) {
    u32 mask = 0;
    for (u32 i = 0; i < 4; ++i) {
      if (!cpus[i].apic.interrupt_pending()) continue;
      mask |= u32{cpus[i].apic.acknowledge() == vector} << i;
      cpus[i].set(kEoi, 0);
    }
    return mask;
  }
  void ipi(u32 low, u8 destination = 0) {
    cpus[0].set(kIcrHigh, u32{destination} << 24);
    cpus[0].set(kIcrLow, low);
  }
};

TEST_CASE("local apic: IPI destinations") {
  Machine machine;
  for (auto& cpu : machine.cpus) cpu.enable();
  machine.ipi(0x4080, 2);
  CHECK(machine.receivers(0x80) == 4);
  machine.ipi(0x4080, 0xff);
  CHECK(machine.receivers(0x80) == 15);
  machine.ipi(0x44080);
  CHECK(machine.receivers(0x80) == 1);
  machine.ipi(0x84080);
  CHECK(machine.receivers(0x80) == 15);
  machine.ipi(0xc4080);
  CHECK(machine.receivers(0x80) == 14);
  machine.ipi(0x4080, 9);
  CHECK(machine.receivers(0x80) == 0);
  CHECK((machine.cpus[0].get(kIcrLow) & 0x1000) == 0);  // delivery status: idle
}

TEST_CASE("local apic: logical destinations, flat and cluster") {
  Machine machine;
  for (u32 i = 0; i < 4; ++i) {
    machine.cpus[i].enable();
    machine.cpus[i].set(kLdr, 1u << (24 + i));
  }
  machine.ipi(0x4880, 0x0a);
  CHECK(machine.receivers(0x80) == 0x0a);
  for (u32 i = 0; i < 4; ++i) {
    machine.cpus[i].set(kDfr, 0x0fffffff);
    machine.cpus[i].set(kLdr, (i / 2) << 28 | 1u << (24 + i % 2));
  }
  machine.ipi(0x4880, 0x12);
  CHECK(machine.receivers(0x80) == 0x08);
  machine.ipi(0x4880, 0x03);
  CHECK(machine.receivers(0x80) == 0x03);
  machine.ipi(0x4880, 0xff);
  CHECK(machine.receivers(0x80) == 0x0f);
}

TEST_CASE("local apic: lowest priority goes to the least busy enabled one") {
  Machine machine;
  for (u32 i = 0; i < 4; ++i) machine.cpus[i].set(kLdr, 1u << (24 + i));
  for (u32 i = 1; i < 4; ++i) machine.cpus[i].enable();  // 0 stays disabled
  machine.cpus[1].set(kTpr, 0x50);
  machine.cpus[2].set(kTpr, 0x20);
  machine.cpus[3].set(kTpr, 0x30);
  machine.ipi(0x4980, 0x0f);
  CHECK(machine.receivers(0x80) == 4);
}

TEST_CASE("local apic: INIT, start-up, NMI and SMI") {
  Machine machine;
  machine.cpus[1].enable();
  machine.ipi(0x4500, 1);
  CHECK(machine.cpus[1].host.inits == 1);
  CHECK(machine.cpus[1].get(kSvr) == 0xff);
  CHECK(machine.cpus[1].get(kId) == 0x01000000);
  machine.ipi(0x8500, 1);  // level de-assert
  CHECK(machine.cpus[1].host.inits == 1);
  machine.ipi(0x4699, 1);
  CHECK(machine.cpus[1].host.startups == std::vector<u8>{0x99});
  machine.ipi(0xc4400);
  for (u32 i = 0; i < 4; ++i) CHECK(machine.cpus[i].host.nmis == (i != 0));
  machine.ipi(0x4200, 3);
  CHECK(machine.cpus[3].host.smis == 1);
}

TEST_CASE("apic bus: message signalled interrupts") {
  auto message = InterruptMessage::from_msi(0xfee0300c, 0x8131);
  CHECK(message.vector == 0x31);
  CHECK(message.destination == 3);
  CHECK(message.destination_mode == DestinationMode::Logical);
  CHECK(message.delivery == DeliveryMode::LowestPriority);
  CHECK(message.trigger == TriggerMode::Level);
  CHECK(InterruptMessage::from_msi(0xfee02004, 0x41).destination_mode == DestinationMode::Logical);
  CHECK(InterruptMessage::from_msi(0xfee02000, 0x41).destination_mode == DestinationMode::Physical);
}

TEST_CASE("local apic: saved with a running timer and interrupts in flight") {
  Board board;
  board.cpu.enable();
  board.cpu.set(kDivide, 0x3);
  board.cpu.set(kLvtTimer, 0x20060);
  board.cpu.set(kInitial, 1000);
  board.send(0x70);
  board.cpu.apic.acknowledge();
  board.send(0x80, 0, TriggerMode::Level);
  board.clock.advance(5000);
  auto bytes = save(board.cpu.apic);
  Board other;
  other.clock.jump_to(board.clock.now_ns());
  REQUIRE(load(other.cpu.apic, bytes));
  CHECK(save(other.cpu.apic) == bytes);
  CHECK(other.cpu.apic.interrupt_pending());
  CHECK(other.cpu.apic.acknowledge() == 0x80);
  CHECK(other.cpu.in_set(kTmr, 0x80));
  other.cpu.set(kEoi, 0);
  other.cpu.set(kEoi, 0);
  other.clock.advance_to(15'999);
  CHECK_FALSE(other.cpu.apic.interrupt_pending());
  other.clock.advance_to(16'000);
  CHECK(other.cpu.apic.acknowledge() == 0x60);
}

TEST_CASE("local apic: a deadline that was due when saved is due at once") {
  Board board;
  board.cpu.enable();
  board.cpu.set(kLvtTimer, 0x40060);
  REQUIRE(board.cpu.apic.write_msr(0x6e0, 5000).has_value());
  board.clock.jump_to(6000);
  Board other;
  other.clock.jump_to(6000);
  REQUIRE(load(other.cpu.apic, save(board.cpu.apic)));
  other.clock.advance(0);
  CHECK(other.cpu.apic.acknowledge() == 0x60);
}

TEST_CASE("local apic: a conversion that is early does not end in a loop") {
  Board board;
  board.cpu.enable();
  board.cpu.host.early_ns = 3;
  board.cpu.set(kLvtTimer, 0x40060);
  REQUIRE(board.cpu.apic.write_msr(0x6e0, 5000).has_value());
  board.clock.advance_to(4999);
  CHECK_FALSE(board.cpu.apic.interrupt_pending());
  board.clock.advance_to(5000);
  CHECK(board.cpu.apic.acknowledge() == 0x60);
}

TEST_CASE("local apic: garbage from the guest and from a file") {
  Board board;
  board.cpu.enable();
  auto accesses = [&](u32 seed, u32 rounds) {
    std::mt19937 random(seed);
    for (u32 i = 0; i < rounds; ++i) {
      u32 offset = (random() % 0x40) * 16;
      // A tiny periodic count is legal and slow: keep the fuzzer out of it.
      u32 value =
          offset == kInitial ? static_cast<u32>(random()) | 0x4000 : static_cast<u32>(random());
      board.cpu.set(offset, value);
      board.cpu.get((random() % 0x40) * 16);
      if (random() % 4 == 0) board.clock.advance(random() % 10'000);
      if (board.cpu.apic.interrupt_pending()) board.cpu.apic.acknowledge();
      if (random() % 16 == 0) (void)board.cpu.apic.write_msr(0x6e0, random());
      if (random() % 16 == 0) (void)board.cpu.apic.write_msr(0x1b, random() & 0xfffff900);
      board.send(static_cast<u8>(random()), static_cast<u8>(random() & 1));
    }
  };
  accesses(1, 20'000);
  for (u32 seed = 0; seed < 200; ++seed) {
    load_garbage(board.cpu.apic, seed);
    if (board.cpu.get(kInitial) < 0x4000) board.cpu.set(kInitial, 0);
    accesses(seed, 100);
  }
}

}  // namespace
}  // namespace penumbra::devices
