#include "devices/i8042.h"

#include <catch2/catch.hpp>

#include "tests/devices/board.h"

namespace penumbra::devices {
namespace {

using Bytes = std::vector<u8>;

struct Board {
  explicit Board(I8042::AuxPort aux = I8042::AuxPort::Mouse)
      : controller(irq1, irq12, aux,
                   {[this] { ++resets; }, [this](bool enabled) { a20.push_back(enabled); }}) {
    REQUIRE(bus.map(0x60, 1, controller.data_port(), AccessSizes::Byte));
    REQUIRE(bus.map(0x64, 1, controller.command_port(), AccessSizes::Byte));
  }
  u8 status() { return static_cast<u8>(bus.read(0x64, 1)); }
  u8 data() { return static_cast<u8>(bus.read(0x60, 1)); }
  void command(u8 value) { bus.write(0x64, 1, value); }
  void write(u8 value) { bus.write(0x60, 1, value); }
  /// Everything that waits in the output buffer.
  Bytes drain() {
    Bytes bytes;
    while ((status() & 1) && bytes.size() < 1000) bytes.push_back(data());
    return bytes;
  }
  u8 ask(u8 value) {
    command(value);
    CHECK((status() & 1) == 1);
    return data();
  }
  Bytes keyboard(u8 value) {
    write(value);
    return drain();
  }
  Bytes mouse(u8 value) {
    command(0xd4);
    write(value);
    Bytes bytes;
    while (status() & 1) {
      CHECK((status() & 0x20) == 0x20);
      bytes.push_back(data());
    }
    return bytes;
  }
  void set_command_byte(u8 value) {
    command(0x60);
    write(value);
  }

  FakeClock clock;
  FakeLine irq1, irq12;
  u32 resets = 0;
  std::vector<bool> a20;
  I8042 controller;
  Bus bus{Bus::Space::Port};
};

TEST_CASE("8042: self tests and the command byte") {
  Board board;
  CHECK(board.ask(0xaa) == 0x55);
  CHECK(board.ask(0xab) == 0x00);
  CHECK(board.ask(0xa9) == 0x00);
  board.set_command_byte(0x47);
  CHECK(board.ask(0x20) == 0x47);
  board.command(0xad);
  CHECK(board.ask(0x20) == 0x57);
  board.command(0xa7);
  CHECK(board.ask(0x20) == 0x77);
  board.command(0xae);
  board.command(0xa8);
  CHECK(board.ask(0x20) == 0x47);
  CHECK((board.status() & 0x08) == 0x08);  // the last write was a command
}

TEST_CASE("8042: the system flag follows the command byte and the self test") {
  Board board;
  CHECK((board.status() & 0x04) == 0x04);
  board.set_command_byte(0x41);
  CHECK((board.status() & 0x04) == 0);
  CHECK(board.ask(0xaa) == 0x55);
  CHECK((board.status() & 0x04) == 0x04);
  CHECK(board.ask(0x20) == 0x45);
}

TEST_CASE("8042: status tells what is in the buffer, IRQ 1 stays until it is read") {
  Board board;
  board.set_command_byte(0x45);
  board.command(0xd2);
  board.write(0x33);
  CHECK((board.status() & 0x21) == 0x01);
  CHECK(board.irq1.level());
  CHECK(board.data() == 0x33);
  CHECK_FALSE(board.irq1.level());
  board.set_command_byte(0x46);
  board.command(0xd3);
  board.write(0x44);
  CHECK((board.status() & 0x21) == 0x21);
  CHECK(board.irq12.level());
  CHECK_FALSE(board.irq1.level());
  CHECK(board.data() == 0x44);
  CHECK_FALSE(board.irq12.level());
}

TEST_CASE("8042: keyboard commands") {
  Board board;
  board.set_command_byte(0x05);  // no translation
  CHECK(board.keyboard(0xff) == Bytes{0xfa, 0xaa});
  CHECK(board.keyboard(0xee) == Bytes{0xee});
  CHECK(board.keyboard(0xf2) == Bytes{0xfa, 0xab, 0x83});
  CHECK(board.keyboard(0xed) == Bytes{0xfa});
  CHECK(board.keyboard(0x05) == Bytes{0xfa});
  CHECK(board.keyboard(0xf3) == Bytes{0xfa});
  CHECK(board.keyboard(0x20) == Bytes{0xfa});
  CHECK(board.keyboard(0xf0) == Bytes{0xfa});
  CHECK(board.keyboard(0x00) == Bytes{0xfa, 0x02});
  CHECK(board.keyboard(0xf0) == Bytes{0xfa});
  CHECK(board.keyboard(0x03) == Bytes{0xfa});
  CHECK(board.keyboard(0xf0) == Bytes{0xfa});
  CHECK(board.keyboard(0x00) == Bytes{0xfa, 0x03});
  CHECK(board.keyboard(0xf6) == Bytes{0xfa});
  CHECK(board.keyboard(0xf8) == Bytes{0xfa});
  CHECK(board.keyboard(0x12) == Bytes{0xfe});
  CHECK(board.keyboard(0xfe) == Bytes{0xfe});
}

TEST_CASE("8042: scanning can be switched off and on") {
  Board board;
  board.set_command_byte(0x05);
  CHECK(board.keyboard(0xf5) == Bytes{0xfa});
  board.controller.push_scancode(0x1c);
  CHECK(board.drain().empty());
  CHECK(board.keyboard(0xf4) == Bytes{0xfa});
  board.controller.push_scancode(0x1c);
  CHECK(board.drain() == Bytes{0x1c});
}

TEST_CASE("8042: translation to set 1, with break codes and prefixes") {
  Board board;
  for (u8 byte : {0x1c, 0xf0, 0x1c, 0xe0, 0x75, 0xe0, 0xf0, 0x75, 0x83, 0x76, 0x05})
    board.controller.push_scancode(static_cast<u8>(byte));
  CHECK(board.drain() == Bytes{0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8, 0x41, 0x01, 0x3b});
}

TEST_CASE("8042: each byte of a device interrupts anew") {
  Board board;
  board.set_command_byte(0x05);
  board.write(0xf2);
  CHECK(board.irq1.take_rises() == 1);
  board.data();
  CHECK(board.irq1.take_rises() == 1);
  board.data();
  CHECK(board.irq1.take_rises() == 1);
  board.data();
  CHECK_FALSE(board.irq1.level());
}

TEST_CASE("8042: a disabled interface keeps the keys") {
  Board board;
  board.set_command_byte(0x55);
  board.controller.push_scancode(0x1c);
  CHECK(board.drain().empty());
  board.command(0xae);
  CHECK(board.drain() == Bytes{0x1e});
}

TEST_CASE("8042: keys do not crowd out answers") {
  Board board;
  board.set_command_byte(0x15);  // interface off
  for (int i = 0; i < 200; ++i) board.controller.push_scancode(0x1c);
  CHECK(board.keyboard(0xee).back() == 0xee);
}

TEST_CASE("8042: A20 and reset") {
  Board board;
  CHECK((board.ask(0xd0) & 0x03) == 0x03);
  board.command(0xd1);
  board.write(0xdd);
  CHECK(board.a20 == std::vector<bool>{false});
  board.command(0xd1);
  board.write(0xdf);
  CHECK(board.a20 == std::vector<bool>{false, true});
  CHECK(board.resets == 0);
  board.command(0xfe);
  CHECK(board.resets == 1);
  board.command(0xff);
  CHECK(board.resets == 1);
  board.command(0xd1);
  board.write(0xde);
  CHECK(board.resets == 2);
}

TEST_CASE("8042: controller RAM") {
  Board board;
  board.command(0x65);
  board.write(0x99);
  CHECK(board.ask(0x25) == 0x99);
}

TEST_CASE("8042: the mouse answers and reports") {
  Board board;
  board.set_command_byte(0x47);
  CHECK(board.mouse(0xff) == Bytes{0xfa, 0xaa, 0x00});
  CHECK(board.mouse(0xf2) == Bytes{0xfa, 0x00});
  CHECK(board.mouse(0xe8) == Bytes{0xfa});
  CHECK(board.mouse(0x03) == Bytes{0xfa});
  CHECK(board.mouse(0xf3) == Bytes{0xfa});
  CHECK(board.mouse(0x50) == Bytes{0xfa});
  CHECK(board.mouse(0xe7) == Bytes{0xfa});
  board.controller.push_mouse(5, 5, 1);
  CHECK(board.drain().empty());  // reporting is off
  CHECK(board.mouse(0xf4) == Bytes{0xfa});
  CHECK(board.mouse(0xe9) == Bytes{0xfa, 0x34, 0x03, 0x50});
  board.controller.push_mouse(-1, 2, 2);
  CHECK(board.irq12.level());
  CHECK(board.drain() == Bytes{0x1a, 0xff, 0x02});
  CHECK(board.mouse(0xe9) == Bytes{0xfa, 0x31, 0x03, 0x50});  // right button
  board.controller.push_mouse(0, 0, 4);
  board.drain();
  CHECK(board.mouse(0xe9) == Bytes{0xfa, 0x32, 0x03, 0x50});  // middle button
  board.controller.push_mouse(1000, -1000, 0);
  CHECK(board.drain() == Bytes{0xe8, 0xff, 0x00});
  CHECK(board.mouse(0xee) == Bytes{0xfa});
  CHECK(board.mouse(0x55) == Bytes{0x55});
  CHECK(board.mouse(0xec) == Bytes{0xfa});
  CHECK(board.mouse(0xf0) == Bytes{0xfa});
  board.controller.push_mouse(3, 0, 0);
  CHECK(board.drain().empty());
  CHECK(board.mouse(0xeb) == Bytes{0xfa, 0x08, 0x03, 0x00});
  CHECK(board.mouse(0x10) == Bytes{0xfe});
}

TEST_CASE("8042: without a mouse, auxiliary commands go unanswered") {
  Board board(I8042::AuxPort::Absent);
  board.command(0xa9);
  CHECK((board.status() & 1) == 0);
  board.command(0xd3);
  board.write(0x5a);
  CHECK((board.status() & 1) == 0);
  CHECK(board.mouse(0xff).empty());
  board.controller.push_mouse(1, 1, 1);
  CHECK(board.drain().empty());
}

TEST_CASE("8042: saved between bytes") {
  Board board;
  board.write(0xf2);
  board.command(0xd4);
  board.write(0xff);
  board.command(0xd4);
  auto bytes = save(board.controller);
  Board other;
  REQUIRE(load(other.controller, bytes));
  CHECK(save(other.controller) == bytes);
  CHECK(other.irq1.level() == board.irq1.level());
  for (Board* each : {&board, &other}) each->write(0xf2);
  Bytes expected = board.drain();
  CHECK(expected.size() > 4);
  CHECK(other.drain() == expected);
}

TEST_CASE("8042: garbage from the guest and from a file") {
  Board board;
  fuzz(board.bus, board.clock, 0x60, 5, 13);
  for (u32 seed = 0; seed < 300; ++seed) {
    load_garbage(board.controller, seed);
    fuzz(board.bus, board.clock, 0x60, 5, seed, 100);
    board.controller.push_scancode(static_cast<u8>(seed));
    board.controller.push_mouse(1 << 30, -(1 << 30), 7);
  }
  board.controller.reset();
  CHECK(board.ask(0xaa) == 0x55);
}

}  // namespace
}  // namespace penumbra::devices
