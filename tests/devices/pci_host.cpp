#include "devices/pci_host.h"

#include <catch2/catch.hpp>

#include "tests/devices/board.h"

namespace penumbra::devices {
namespace {

struct Registers final : BusDevice {
  u64 read(u64 offset, u32) override { return 0xa0 + offset; }
  void write(u64, u32, u64) override {}
};

struct Card final : PciDevice {
  Card(Bus& ports, Bus& mmio) : PciDevice(0x1234, 0x5678, 0x020000, 3) {
    add_bar(0, 0x20, ports, Bus::Space::Port, port_registers, AccessSizes::ByteWordDword);
    add_bar(1, 0x1000, mmio, Bus::Space::Mmio, memory_registers, AccessSizes::Any);
    set_config(kInterruptPin, 1, 1);
  }
  Registers port_registers, memory_registers;
};

struct Board {
  Board() {
    REQUIRE(ports.map(0xcf8, 4, host.address_port(), AccessSizes::ByteWordDword));
    REQUIRE(ports.map(0xcfc, 4, host.data_port(), AccessSizes::ByteWordDword));
    REQUIRE(host.attach(3, 0, card));
  }
  void select(u8 device, u8 function, u8 offset, u8 bus = 0) {
    ports.write(0xcf8, 4,
                1u << 31 | u32{bus} << 16 | u32{device} << 11 | u32{function} << 8 | offset);
  }
  u32 get(u8 device, u8 offset, u32 size = 4) {
    select(device, 0, offset & 0xfc);
    return static_cast<u32>(ports.read(0xcfc + (offset & 3), size));
  }
  void set(u8 device, u8 offset, u32 value, u32 size = 4) {
    select(device, 0, offset & 0xfc);
    ports.write(0xcfc + (offset & 3), size, value);
  }

  FakeClock clock;
  Bus ports{Bus::Space::Port}, mmio{Bus::Space::Mmio};
  u32 resets = 0;
  PciHost host{[this] { ++resets; }};
  Card card{ports, mmio};
};

TEST_CASE("pci: the host bridge answers, absent functions read as ones") {
  Board board;
  CHECK(board.get(0, 0) == 0x12378086);
  CHECK(board.get(0, 8) == 0x06000002);
  CHECK(board.get(0, 2, 2) == 0x1237);
  CHECK(board.get(0, 3, 1) == 0x12);
  CHECK(board.get(1, 0) == 0xffffffff);
  CHECK(board.get(1, 0, 2) == 0xffff);
  board.select(0, 1, 0);
  CHECK(board.ports.read(0xcfc, 4) == 0xffffffff);
  board.select(0, 0, 0, 1);
  CHECK(board.ports.read(0xcfc, 4) == 0xffffffff);
  board.ports.write(0xcf8, 4, 0);  // not enabled
  CHECK(board.ports.read(0xcfc, 4) == 0xffffffff);
}

TEST_CASE("pci: the address register is dword only and keeps its bits") {
  Board board;
  board.ports.write(0xcf8, 4, 0xffffffff);
  CHECK(board.ports.read(0xcf8, 4) == 0x80fffffc);
  board.ports.write(0xcf8, 1, 0);
  CHECK(board.ports.read(0xcf8, 4) == 0x80fffffc);
  CHECK(board.ports.read(0xcf8, 1) == 0xff);
}

TEST_CASE("pci: read-only bits stay") {
  Board board;
  board.set(3, 0, 0);
  CHECK(board.get(3, 0) == 0x56781234);
  CHECK(board.get(3, 8) == 0x02000003);
  board.set(3, 0x3c, 0x0b, 1);
  CHECK(board.get(3, 0x3c) == 0x0000010b);
}

TEST_CASE("pci: BAR sizing and placement") {
  Board board;
  board.set(3, 4, 3, 2);
  board.set(3, 0x10, 0xffffffff);
  board.set(3, 0x14, 0xffffffff);
  CHECK(board.get(3, 0x10) == 0xffffffe1);
  CHECK(board.get(3, 0x14) == 0xfffff000);
  board.set(3, 0x18, 0xffffffff);
  CHECK(board.get(3, 0x18) == 0);
  board.set(3, 0x10, 0xc000);
  board.set(3, 0x14, 0xe0000000);
  CHECK(board.ports.read(0xc004, 1) == 0xa4);
  CHECK(board.mmio.read(0xe0000010, 1) == 0xb0);
  board.set(3, 0x14, 0xe0010000);
  CHECK_FALSE(board.mmio.is_mapped(0xe0000010));
  CHECK(board.mmio.is_mapped(0xe0010fff));
  board.set(3, 4, 1, 2);  // memory off
  CHECK_FALSE(board.mmio.is_mapped(0xe0010000));
  CHECK(board.ports.is_mapped(0xc000));
  board.host.reset();
  CHECK_FALSE(board.ports.is_mapped(0xc000));
}

TEST_CASE("pci: a BAR on top of another range is not decoded") {
  Board board;
  board.set(3, 4, 1, 2);
  board.set(3, 0x10, 0xce0);  // would cover CF8h
  CHECK(board.get(3, 0) == 0x56781234);
  board.set(3, 0x10, 0xd000);
  CHECK(board.ports.is_mapped(0xd000));
}

TEST_CASE("pci: memory attributes reach their hook") {
  Board board;
  u32 changes = 0;
  board.host.bridge().on_memory_attributes = [&] { ++changes; };
  board.set(0, 0x59, 0x30, 1);
  board.set(0, 0x5a, 0x33, 1);
  board.set(0, 0x40, 0x33, 1);
  CHECK(changes == 2);
  CHECK(board.host.bridge().pam(0) == 0x30);
  CHECK(board.host.bridge().pam(1) == 0x33);
}

TEST_CASE("pci: places are taken once") {
  Board board;
  Card other(board.ports, board.mmio);
  CHECK_FALSE(board.host.attach(3, 0, other));
  CHECK_FALSE(board.host.attach(0, 0, other));
  CHECK_FALSE(board.host.attach(32, 0, other));
  CHECK_FALSE(board.host.attach(4, 8, other));
  CHECK(board.host.attach(3, 1, other));
}

TEST_CASE("pci: reset control register CF9h") {
  Board board;
  board.ports.write(0xcf9, 1, 0x02);
  CHECK(board.resets == 0);
  board.ports.write(0xcf9, 1, 0x06);
  CHECK(board.resets == 1);
  CHECK(board.ports.read(0xcf9, 1) == 0x06);
  board.ports.write(0xcf9, 1, 0x06);
  CHECK(board.resets == 1);
}

TEST_CASE("pci: saved with ranges mapped") {
  Board board;
  board.set(3, 4, 3, 2);
  board.set(3, 0x14, 0xe0000000);
  board.set(0, 0x72, 0x0a, 1);
  auto host_bytes = save(board.host), card_bytes = save(board.card);
  Board other;
  REQUIRE(load(other.host, host_bytes));
  REQUIRE(load(other.card, card_bytes));
  CHECK(save(other.host) == host_bytes);
  CHECK(save(other.card) == card_bytes);
  CHECK(other.mmio.is_mapped(0xe0000000));
  CHECK(other.host.bridge().smram() == 0x0a);
}

TEST_CASE("pci: garbage from the guest and from a file") {
  Board board;
  std::mt19937 random(17);
  for (u32 i = 0; i < 20'000; ++i) {
    board.set(static_cast<u8>(random() % 4), static_cast<u8>(random() % 64),
              static_cast<u32>(random()), 1u << random() % 3);
    board.get(static_cast<u8>(random() % 4), static_cast<u8>(random()));
  }
  fuzz(board.ports, board.clock, 0xcf8, 8, 19);
  for (u32 seed = 0; seed < 200; ++seed) {
    load_garbage(board.host, seed);
    load_garbage(board.card, seed);
    CHECK(board.get(0, 0) == 0x12378086);
    CHECK(board.get(3, 0) == 0x56781234);
  }
}

}  // namespace
}  // namespace penumbra::devices
