#include "devices/uart16550.h"

#include <catch2/catch.hpp>

#include "tests/devices/board.h"

namespace penumbra::devices {
namespace {

constexpr u64 kBase = 0x3f8;
enum Register : u64 { kData = kBase, kIer, kIir, kLcr, kMcr, kLsr, kMsr, kScr, kFcr = kIir };

struct Board {
  Board() { REQUIRE(bus.map(kBase, 8, uart, AccessSizes::Byte)); }
  u64 in(u64 port) { return bus.read(port, 1); }
  void out(u64 port, u64 value) { bus.write(port, 1, value); }
  void send(const std::string& text) {
    for (char letter : text) uart.receive(static_cast<u8>(letter));
  }

  FakeClock clock;
  FakeLine irq;
  FakeSink sink;
  Uart16550 uart{irq, clock, sink};
  Bus bus{Bus::Space::Port};
};

TEST_CASE("uart: power-on state") {
  Board board;
  CHECK(board.in(kIer) == 0);
  CHECK(board.in(kIir) == 0x01);
  CHECK(board.in(kLcr) == 0);
  CHECK(board.in(kMcr) == 0);
  CHECK(board.in(kLsr) == 0x60);
  CHECK(board.in(kMsr) == 0xb0);
  CHECK_FALSE(board.irq.level());
}

TEST_CASE("uart: transmitted bytes reach the backend in order") {
  Board board;
  for (char letter : std::string("boot")) board.out(kData, static_cast<u8>(letter));
  CHECK(board.sink.text == "boot");
  CHECK(board.in(kLsr) == 0x60);
}

TEST_CASE("uart: divisor latch hides data and IER, scratch keeps") {
  Board board;
  board.out(kLcr, 0x83);
  board.out(kData, 0x01);
  board.out(kIer, 0x02);
  CHECK(board.in(kData) == 0x01);
  CHECK(board.in(kIer) == 0x02);
  board.out(kLcr, 0x03);
  CHECK(board.in(kIer) == 0);
  CHECK(board.sink.text.empty());
  board.out(kScr, 0xa5);
  CHECK(board.in(kScr) == 0xa5);
}

// The steps of a 16550A detection: FIFO bits in IIR, IER keeps four bits, loopback of modem lines.
TEST_CASE("uart: is recognised as a 16550A with FIFOs") {
  Board board;
  board.out(kIer, 0xff);
  CHECK(board.in(kIer) == 0x0f);
  board.out(kIer, 0);
  board.out(kMcr, 0x10 | 0x0a);  // loop, OUT2, RTS
  CHECK((board.in(kMsr) & 0xf0) == 0x90);
  board.out(kMcr, 0);
  board.out(kFcr, 0x01);
  CHECK((board.in(kIir) >> 6) == 3);
  board.out(kFcr, 0);
  CHECK((board.in(kIir) >> 6) == 0);
}

TEST_CASE("uart: enabling the THRE interrupt raises it, each time") {
  Board board;
  board.out(kMcr, 0x08);
  for (int i = 0; i < 2; ++i) {
    board.out(kIer, 0x02);
    CHECK(board.irq.level());
    CHECK((board.in(kIir) & 0x0f) == 0x02);
    CHECK_FALSE(board.irq.level());
    CHECK((board.in(kIir) & 0x0f) == 0x01);
    board.out(kIer, 0x00);
  }
  board.out(kIer, 0x02);
  board.in(kIir);
  board.irq.take_rises();
  board.out(kData, 'x');
  CHECK(board.irq.take_rises() == 1);
}

TEST_CASE("uart: OUT2 gates the interrupt line") {
  Board board;
  board.out(kIer, 0x02);
  CHECK_FALSE(board.irq.level());
  board.out(kMcr, 0x08);
  CHECK(board.irq.level());
  board.out(kMcr, 0x18);
  CHECK_FALSE(board.irq.level());
}

TEST_CASE("uart: interrupt priorities") {
  Board board;
  board.out(kMcr, 0x08);
  board.out(kFcr, 0x01);
  board.uart.set_modem_inputs(0xa0);  // CTS falls
  board.uart.receive_break();
  board.out(kIer, 0x0f);
  CHECK((board.in(kIir) & 0x0f) == 0x06);
  CHECK((board.in(kLsr) & 0x1f) == 0x19);
  CHECK((board.in(kIir) & 0x0f) == 0x04);
  board.in(kData);
  CHECK((board.in(kIir) & 0x0f) == 0x02);
  CHECK((board.in(kIir) & 0x0f) == 0x00);
  CHECK(board.in(kMsr) == 0xa1);
  CHECK((board.in(kIir) & 0x0f) == 0x01);
  CHECK_FALSE(board.irq.level());
}

TEST_CASE("uart: receive without FIFO, overrun") {
  Board board;
  board.out(kMcr, 0x08);
  board.out(kIer, 0x01);
  CHECK(board.uart.can_receive());
  board.uart.receive('a');
  CHECK_FALSE(board.uart.can_receive());
  CHECK(board.irq.level());
  board.uart.receive('b');
  CHECK(board.in(kLsr) == 0x63);
  CHECK(board.in(kLsr) == 0x61);
  CHECK(board.in(kData) == 'b');
  CHECK(board.in(kLsr) == 0x60);
  CHECK_FALSE(board.irq.level());
}

TEST_CASE("uart: FIFO trigger level and order") {
  Board board;
  board.out(kMcr, 0x08);
  board.out(kFcr, 0x81);  // trigger at 8
  board.out(kIer, 0x01);
  board.send("1234567");
  CHECK_FALSE(board.irq.level());
  board.send("8");
  CHECK(board.irq.level());
  CHECK(board.in(kIir) == 0xc4);
  CHECK(board.in(kData) == '1');
  CHECK_FALSE(board.irq.level());
  board.send("9abcdefgh");
  CHECK_FALSE(board.uart.can_receive());
  board.send("lost");
  CHECK((board.in(kLsr) & 0x02) == 0x02);
  std::string text;
  while (board.in(kLsr) & 1) text.push_back(static_cast<char>(board.in(kData)));
  CHECK(text == "23456789abcdefgh");
}

TEST_CASE("uart: character timeout after four character times") {
  Board board;
  board.out(kMcr, 0x08);
  board.out(kLcr, 0x83);
  board.out(kData, 1);
  board.out(kIer, 0);
  board.out(kLcr, 0x03);  // 115,200 baud, 8N1: 10 bits a character
  board.out(kFcr, 0xc1);
  board.out(kIer, 0x01);
  board.send("x");
  u64 four_characters = 4ull * 10 * 1'000'000'000 / 115'200;
  board.clock.advance(four_characters - 1000);
  CHECK_FALSE(board.irq.level());
  board.clock.advance(2000);
  CHECK(board.irq.level());
  CHECK(board.in(kIir) == 0xcc);
  CHECK(board.in(kData) == 'x');
  CHECK(board.in(kIir) == 0xc1);
  CHECK_FALSE(board.irq.level());
  board.clock.advance(10 * four_characters);
  CHECK_FALSE(board.irq.level());
}

TEST_CASE("uart: clearing and switching the FIFO empties it") {
  Board board;
  board.out(kFcr, 0x01);
  board.send("abc");
  board.out(kFcr, 0x03);
  CHECK((board.in(kLsr) & 1) == 0);
  board.send("abc");
  board.out(kFcr, 0x00);
  CHECK((board.in(kLsr) & 1) == 0);
}

TEST_CASE("uart: loopback returns data and leaves the backend alone") {
  Board board;
  board.out(kMcr, 0x10);
  board.out(kData, 0x42);
  CHECK(board.sink.text.empty());
  CHECK((board.in(kLsr) & 1) == 1);
  CHECK(board.in(kData) == 0x42);
  CHECK_FALSE(board.uart.can_receive());
  board.uart.receive('x');
  CHECK((board.in(kLsr) & 1) == 0);
}

TEST_CASE("uart: ring indicator reports its trailing edge only") {
  Board board;
  board.in(kMsr);
  board.uart.set_modem_inputs(0xf0);
  CHECK(board.in(kMsr) == 0xf0);
  board.uart.set_modem_inputs(0xb0);
  CHECK(board.in(kMsr) == 0xb4);
}

TEST_CASE("uart: an error deep in the FIFO shows in LSR bit 7, then at the top") {
  Board board;
  board.out(kFcr, 0x01);
  board.send("a");
  board.uart.receive_break();
  CHECK(board.in(kLsr) == 0xe1);
  board.in(kData);
  CHECK(board.in(kLsr) == 0xf9);
  CHECK(board.in(kLsr) == 0x61);
}

TEST_CASE("uart: saved in the middle of a timeout, it goes on elsewhere") {
  Board board;
  board.out(kMcr, 0x08);
  board.out(kFcr, 0xc1);
  board.out(kIer, 0x01);
  board.send("xy");
  auto bytes = save(board.uart);
  Board other;
  REQUIRE(load(other.uart, bytes));
  CHECK(save(other.uart) == bytes);
  CHECK(other.irq.level() == board.irq.level());
  other.clock.advance(1'000'000'000);
  CHECK(other.irq.level());
  CHECK(other.in(kIir) == 0xcc);
  CHECK(other.in(kData) == 'x');
  CHECK(other.in(kData) == 'y');
}

TEST_CASE("uart: garbage from the guest and from a file") {
  Board board;
  fuzz(board.bus, board.clock, kBase, 8, 1);
  for (u32 seed = 0; seed < 200; ++seed) {
    load_garbage(board.uart, seed);
    board.send("0123456789");
    fuzz(board.bus, board.clock, kBase, 8, seed, 200);
  }
  board.uart.reset();
  CHECK(board.in(kLsr) == 0x60);
}

}  // namespace
}  // namespace penumbra::devices
