#include "devices/bus.h"

#include <catch2/catch.hpp>
#include <vector>

#include "tests/devices/board.h"

namespace penumbra::devices {
namespace {

struct Recorder final : BusDevice {
  struct Access {
    bool write;
    u64 offset;
    u32 size;
    u64 value;
    bool operator==(const Access&) const = default;
  };
  u64 read(u64 offset, u32 size) override {
    log.push_back({false, offset, size, 0});
    return 0x8877665544332211ull >> (8 * (offset & 7));
  }
  void write(u64 offset, u32 size, u64 value) override {
    log.push_back({true, offset, size, value});
  }
  std::vector<Access> log;
};

TEST_CASE("unmapped addresses read as all ones and swallow writes") {
  Bus ports(Bus::Space::Port), mmio(Bus::Space::Mmio);
  for (Bus* bus : {&ports, &mmio}) {
    CHECK(bus->read(0x80, 1) == 0xff);
    CHECK(bus->read(0x80, 2) == 0xffff);
    CHECK(bus->read(0xffff, 4) == 0xffffffff);
    bus->write(0x80, 4, 1);
  }
  CHECK(mmio.read(0xfee00000, 8) == ~0ull);
  CHECK(mmio.read(~0ull, 8) == ~0ull);
}

TEST_CASE("ranges that overlap or leave the space are refused") {
  Recorder device;
  Bus ports(Bus::Space::Port), mmio(Bus::Space::Mmio);
  CHECK(ports.map(0x100, 8, device, AccessSizes::Byte));
  CHECK_FALSE(ports.map(0x100, 8, device, AccessSizes::Byte));
  CHECK_FALSE(ports.map(0x107, 1, device, AccessSizes::Byte));
  CHECK_FALSE(ports.map(0xf8, 9, device, AccessSizes::Byte));
  CHECK_FALSE(ports.map(0x80, 0x1000, device, AccessSizes::Byte));
  CHECK_FALSE(ports.map(0x200, 0, device, AccessSizes::Byte));
  CHECK_FALSE(ports.map(0xffff, 2, device, AccessSizes::Byte));
  CHECK_FALSE(ports.map(0x10000, 1, device, AccessSizes::Byte));
  CHECK(ports.map(0xf8, 8, device, AccessSizes::Byte));
  CHECK(ports.map(0x108, 1, device, AccessSizes::Byte));
  CHECK_FALSE(mmio.map(~0ull, 2, device, AccessSizes::Any));
  CHECK(mmio.map(~0ull, 1, device, AccessSizes::Any));
}

TEST_CASE("accesses are cut to the sizes that a device takes") {
  Recorder device;
  Bus bus(Bus::Space::Port);
  REQUIRE(bus.map(0x100, 16, device, AccessSizes::ByteWord));
  CHECK(bus.read(0x100, 4) == 0x44332211);
  CHECK(device.log == std::vector<Recorder::Access>{{false, 0, 2, 0}, {false, 2, 2, 0}});
  device.log.clear();
  bus.write(0x101, 4, 0xddccbbaa);
  CHECK(device.log == std::vector<Recorder::Access>{
                          {true, 1, 1, 0xaa}, {true, 2, 2, 0xccbb}, {true, 4, 1, 0xdd}});
  device.log.clear();
  CHECK(bus.read(0x10f, 2) == 0xff88);
  CHECK(device.log == std::vector<Recorder::Access>{{false, 15, 1, 0}});
}

TEST_CASE("an access that begins before a range reaches it") {
  Recorder device;
  Bus bus(Bus::Space::Mmio);
  REQUIRE(bus.map(0x1000, 0x1000, device, AccessSizes::Any));
  CHECK(bus.read(0xffe, 4) == 0x2211ffff);
  bus.write(0x1ffc, 8, 0x1122334455667788);
  CHECK(device.log.back() == Recorder::Access{true, 0xffc, 4, 0x55667788});
}

TEST_CASE("a dword-only device: narrow reads are cut out, narrow writes dropped") {
  Recorder device;
  Bus bus(Bus::Space::Mmio);
  REQUIRE(bus.map(0x1000, 0x10, device, AccessSizes::Dword));
  CHECK(bus.read(0x1002, 1) == 0x33);
  CHECK(bus.read(0x1000, 8) == 0x8877665544332211);
  device.log.clear();
  bus.write(0x1000, 1, 0x12);
  CHECK(device.log.empty());
}

TEST_CASE("ranges move and go, also from inside an access") {
  struct Mover final : BusDevice {
    explicit Mover(Bus& owner) : bus(owner) {}
    u64 read(u64, u32) override { return 0x5a; }
    void write(u64, u32, u64 value) override {
      if (!bus.remap(at, value)) return;
      at = value;
    }
    Bus& bus;
    u64 at = 0x10;
  };
  Bus bus(Bus::Space::Port);
  Mover mover(bus);
  Recorder other;
  REQUIRE(bus.map(0x10, 2, mover, AccessSizes::Byte));
  REQUIRE(bus.map(0x40, 4, other, AccessSizes::Byte));
  bus.write(0x10, 1, 0x20);
  CHECK(bus.read(0x20, 1) == 0x5a);
  CHECK(bus.read(0x10, 1) == 0xff);
  bus.write(0x20, 1, 0x42);  // taken: stays
  CHECK(bus.read(0x20, 1) == 0x5a);
  CHECK(bus.is_mapped(0x43));
  CHECK(bus.unmap(0x40));
  CHECK_FALSE(bus.unmap(0x40));
  CHECK_FALSE(bus.is_mapped(0x43));
  CHECK_FALSE(bus.remap(0x40, 0x50));
}

TEST_CASE("MMIO lookup finds the right range among many") {
  Bus bus(Bus::Space::Mmio);
  std::vector<Recorder> devices(20);
  for (u64 i = 0; i < 20; ++i)
    REQUIRE(bus.map(0x10000 * (20 - i), 0x100, devices[i], AccessSizes::Any));
  for (u64 i = 0; i < 20; ++i) {
    bus.write(0x10000 * (20 - i) + i, 1, i);
    REQUIRE(devices[i].log.size() == 1);
    CHECK(devices[i].log[0].offset == i);
    CHECK_FALSE(bus.is_mapped(0x10000 * (20 - i) + 0x100));
  }
}

}  // namespace
}  // namespace penumbra::devices
