#include "devices/port92.h"

#include <catch2/catch.hpp>

#include "tests/devices/board.h"

namespace penumbra::devices {
namespace {

struct Board {
  Board() { REQUIRE(bus.map(0x92, 1, port, AccessSizes::Byte)); }

  FakeClock clock;
  u32 resets = 0;
  std::vector<bool> changes;
  Port92 port{{[this] { ++resets; }, [this](bool enabled) { changes.push_back(enabled); }}};
  Bus bus{Bus::Space::Port};
};

TEST_CASE("port 92h: fast A20 tells of changes only") {
  Board board;
  CHECK_FALSE(board.port.a20());
  board.bus.write(0x92, 1, 2);
  board.bus.write(0x92, 1, 2);
  CHECK(board.bus.read(0x92, 1) == 2);
  board.bus.write(0x92, 1, 0);
  CHECK(board.changes == std::vector<bool>{true, false});
  CHECK(board.resets == 0);
}

TEST_CASE("port 92h: a step of bit 0 resets once") {
  Board board;
  board.bus.write(0x92, 1, 3);
  CHECK(board.resets == 1);
  board.bus.write(0x92, 1, 3);
  CHECK(board.resets == 1);
  board.port.reset();
  CHECK(board.bus.read(0x92, 1) == 0);
}

TEST_CASE("port 92h: save, load, garbage") {
  Board board;
  board.bus.write(0x92, 1, 0x82);
  auto bytes = save(board.port);
  Board other;
  REQUIRE(load(other.port, bytes));
  CHECK(other.bus.read(0x92, 1) == 0x82);
  fuzz(board.bus, board.clock, 0x90, 4, 23, 1000);
}

}  // namespace
}  // namespace penumbra::devices
