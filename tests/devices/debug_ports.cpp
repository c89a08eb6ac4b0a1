#include "devices/debug_ports.h"

#include <catch2/catch.hpp>

#include "tests/devices/board.h"

namespace penumbra::devices {
namespace {

TEST_CASE("debug exit: the status is odd and holds the value") {
  std::vector<u32> statuses;
  DebugExit device([&](u32 status) { statuses.push_back(status); });
  Bus bus(Bus::Space::Port);
  REQUIRE(bus.map(0xf4, 4, device, AccessSizes::ByteWordDword));
  bus.write(0xf4, 1, 0);
  bus.write(0xf4, 1, 0x10);
  bus.write(0xf4, 4, 0xffffffff);
  CHECK(statuses == std::vector<u32>{1, 0x21, 0xffffffff});
  CHECK(bus.read(0xf4, 4) == 0);
}

TEST_CASE("debug console: writes pass, reads identify it") {
  FakeSink sink;
  DebugConsole device(sink);
  Bus bus(Bus::Space::Port);
  REQUIRE(bus.map(0xe9, 1, device, AccessSizes::Byte));
  for (char letter : std::string("hi")) bus.write(0xe9, 1, static_cast<u8>(letter));
  CHECK(sink.text == "hi");
  CHECK(bus.read(0xe9, 1) == 0xe9);
}

}  // namespace
}  // namespace penumbra::devices
