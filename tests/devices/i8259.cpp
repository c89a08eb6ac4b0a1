#include "devices/i8259.h"

#include <catch2/catch.hpp>

#include "tests/devices/board.h"

namespace penumbra::devices {
namespace {

struct Board {
  Board() {
    REQUIRE(bus.map(0x20, 2, pic.master_ports(), AccessSizes::Byte));
    REQUIRE(bus.map(0xa0, 2, pic.slave_ports(), AccessSizes::Byte));
    REQUIRE(bus.map(0x4d0, 2, pic.elcr_ports(), AccessSizes::Byte));
  }
  u64 in(u64 port) { return bus.read(port, 1); }
  void out(u64 port, u64 value) { bus.write(port, 1, value); }
  void initialise(u8 icw4 = 0x01) {
    for (auto [port, base, cascade] :
         {std::tuple{0x20, 0x30, 0x04}, std::tuple{0xa0, 0x38, 0x02}}) {
      out(port, 0x11);
      out(port + 1, base);
      out(port + 1, cascade);
      out(port + 1, icw4);
      out(port + 1, 0x00);
    }
  }
  void raise(u8 irq) { pic.input(irq).set(true); }
  void lower(u8 irq) { pic.input(irq).set(false); }
  u8 isr(u64 port) {
    out(port, 0x0b);
    return static_cast<u8>(in(port));
  }
  u8 irr(u64 port) {
    out(port, 0x0a);
    return static_cast<u8>(in(port));
  }

  FakeClock clock;
  FakeLine intr;
  I8259Pair pic{intr};
  Bus bus{Bus::Space::Port};
};

TEST_CASE("8259: an edge is acknowledged once") {
  Board board;
  board.initialise();
  board.raise(4);
  CHECK(board.intr.level());
  CHECK(board.irr(0x20) == 0x10);
  CHECK(board.pic.acknowledge() == 0x34);
  CHECK_FALSE(board.intr.level());
  CHECK(board.isr(0x20) == 0x10);
  CHECK(board.irr(0x20) == 0x00);
  board.out(0x20, 0x20);
  CHECK(board.isr(0x20) == 0x00);
  CHECK_FALSE(board.intr.level());  // still high, but no new edge
  board.lower(4);
  board.raise(4);
  CHECK(board.intr.level());
}

TEST_CASE("8259: the slave arrives through input 2 and needs both EOIs") {
  Board board;
  board.initialise();
  board.raise(12);
  CHECK(board.intr.level());
  CHECK(board.pic.acknowledge() == 0x3c);
  CHECK(board.isr(0x20) == 0x04);
  CHECK(board.isr(0xa0) == 0x10);
  board.raise(8);  // higher within the slave, but the master holds the cascade back
  CHECK_FALSE(board.intr.level());
  board.raise(1);
  CHECK(board.pic.acknowledge() == 0x31);
  board.out(0x20, 0x20);
  board.out(0xa0, 0x20);
  CHECK_FALSE(board.intr.level());
  board.out(0x20, 0x20);
  CHECK(board.pic.acknowledge() == 0x38);
}

TEST_CASE("8259: special fully nested mode lets the slave interrupt itself") {
  Board board;
  board.initialise(0x11);
  board.raise(12);
  CHECK(board.pic.acknowledge() == 0x3c);
  board.raise(8);
  CHECK(board.intr.level());
  CHECK(board.pic.acknowledge() == 0x38);
}

TEST_CASE("8259: fixed priority, and what is in service holds back lower ones") {
  Board board;
  board.initialise();
  board.raise(6);
  board.raise(3);
  CHECK(board.pic.acknowledge() == 0x33);
  CHECK_FALSE(board.intr.level());
  board.raise(1);
  CHECK(board.pic.acknowledge() == 0x31);
  board.out(0x20, 0x20);  // ends 1
  CHECK(board.isr(0x20) == 0x08);
  board.out(0x20, 0x63);  // specific EOI of 3
  CHECK(board.pic.acknowledge() == 0x36);
}

TEST_CASE("8259: masks") {
  Board board;
  board.initialise();
  board.out(0x21, 0xef);
  CHECK(board.in(0x21) == 0xef);
  board.raise(3);
  CHECK_FALSE(board.intr.level());
  CHECK(board.irr(0x20) == 0x08);
  board.raise(4);
  CHECK(board.pic.acknowledge() == 0x34);
  board.out(0x20, 0x20);
  board.out(0x21, 0x00);
  CHECK(board.pic.acknowledge() == 0x33);
}

TEST_CASE("8259: a request that is gone is answered with IRQ 7, without service") {
  Board board;
  board.initialise();
  board.raise(3);
  board.lower(3);
  CHECK_FALSE(board.intr.level());
  CHECK(board.pic.acknowledge() == 0x37);
  CHECK(board.isr(0x20) == 0);
}

TEST_CASE("8259: level-triggered inputs ask again after EOI") {
  Board board;
  board.initialise();
  board.out(0x4d0, 0xff);
  board.out(0x4d1, 0xff);
  CHECK(board.in(0x4d0) == 0xf8);
  CHECK(board.in(0x4d1) == 0xde);
  board.raise(10);
  CHECK(board.pic.acknowledge() == 0x3a);
  CHECK_FALSE(board.intr.level());
  board.out(0xa0, 0x20);
  board.out(0x20, 0x20);
  CHECK(board.intr.level());
  board.lower(10);
  CHECK_FALSE(board.intr.level());
}

TEST_CASE("8259: automatic EOI, with rotation") {
  Board board;
  board.initialise(0x03);
  board.raise(0);
  CHECK(board.pic.acknowledge() == 0x30);
  CHECK(board.isr(0x20) == 0);
  board.out(0x20, 0x80);  // rotate in automatic EOI mode
  board.lower(0);
  board.raise(0);
  CHECK(board.pic.acknowledge() == 0x30);  // 0 is now the lowest
  board.lower(0);
  board.raise(0);
  board.raise(7);
  CHECK(board.pic.acknowledge() == 0x37);
}

TEST_CASE("8259: rotation on EOI and set priority") {
  Board board;
  board.initialise();
  board.raise(4);
  board.pic.acknowledge();
  board.out(0x20, 0xa0);  // rotate on non-specific EOI: 4 becomes the lowest
  board.lower(4);
  board.raise(4);
  board.raise(5);
  CHECK(board.pic.acknowledge() == 0x35);
  board.out(0x20, 0x20);
  board.out(0x20, 0xc3);  // set priority: 3 lowest, 4 highest
  board.raise(0);
  CHECK(board.pic.acknowledge() == 0x34);
  board.out(0x20, 0xe4);  // rotate on specific EOI
  CHECK(board.pic.acknowledge() == 0x30);
}

TEST_CASE("8259: special mask mode admits lower priorities") {
  Board board;
  board.initialise();
  board.raise(1);
  board.pic.acknowledge();
  board.out(0x21, 0x02);
  board.out(0x20, 0x68);
  board.raise(5);
  CHECK(board.pic.acknowledge() == 0x35);
  board.out(0x20, 0x20);  // ends 5: 1 is masked and stays
  CHECK(board.isr(0x20) == 0x02);
  board.out(0x20, 0x48);  // back to normal
  board.raise(6);
  CHECK_FALSE(board.intr.level());
}

TEST_CASE("8259: poll acts as an acknowledge") {
  Board board;
  board.initialise();
  board.out(0x20, 0x0c);
  CHECK((board.in(0x20) & 0x80) == 0);
  board.raise(6);
  board.out(0x20, 0x0c);
  CHECK(board.in(0x20) == 0x86);
  CHECK(board.isr(0x20) == 0x40);
  CHECK_FALSE(board.intr.level());
}

TEST_CASE("8259: initialisation clears masks and service and wants a new edge") {
  Board board;
  board.initialise();
  board.raise(3);
  board.pic.acknowledge();
  board.out(0x21, 0xff);
  board.raise(5);
  board.initialise();
  CHECK(board.isr(0x20) == 0);
  CHECK(board.in(0x21) == 0);
  CHECK_FALSE(board.intr.level());
  board.lower(5);
  board.raise(5);
  CHECK(board.pic.acknowledge() == 0x35);
}

TEST_CASE("8259: ICW1 without ICW4 ends the sequence after ICW3") {
  Board board;
  board.out(0x20, 0x10);
  board.out(0x21, 0x50);
  board.out(0x21, 0x04);
  board.out(0x21, 0xfe);
  CHECK(board.in(0x21) == 0xfe);
}

TEST_CASE("8259: saved between interrupt and EOI") {
  Board board;
  board.initialise();
  board.raise(3);
  board.raise(12);
  board.pic.acknowledge();
  board.out(0x20, 0x11);  // amid the initialisation words
  auto bytes = save(board.pic);
  Board other;
  REQUIRE(load(other.pic, bytes));
  CHECK(save(other.pic) == bytes);
  CHECK(other.intr.level() == board.intr.level());
  for (Board* each : {&board, &other}) {
    each->out(0x21, 0x60);
    each->out(0x21, 0x04);
    each->out(0x21, 0x01);
    each->lower(3);
    each->raise(3);
  }
  CHECK(other.pic.acknowledge() == board.pic.acknowledge());
  CHECK(save(other.pic) == save(board.pic));
}

TEST_CASE("8259: what is in service when saved still is") {
  Board board;
  board.initialise();
  board.raise(3);
  board.pic.acknowledge();
  Board other;
  REQUIRE(load(other.pic, save(board.pic)));
  CHECK(other.isr(0x20) == 0x08);
  other.raise(5);
  CHECK_FALSE(other.intr.level());
  other.out(0x20, 0x20);
  CHECK(other.intr.level());
}

TEST_CASE("8259: garbage from the guest and from a file") {
  Board board;
  for (u32 seed = 0; seed < 200; ++seed) {
    load_garbage(board.pic, seed);
    for (u8 irq = 0; irq < 16; ++irq) board.pic.input(irq).set(seed >> (irq % 5) & 1);
    fuzz(board.bus, board.clock, 0x20, 2, seed, 100);
    fuzz(board.bus, board.clock, 0xa0, 2, seed, 100);
    fuzz(board.bus, board.clock, 0x4d0, 2, seed, 100);
    CHECK(board.intr.level() == board.pic.intr());
    board.pic.acknowledge();
  }
  board.pic.reset();
  board.initialise();
  board.lower(1);
  board.raise(1);
  CHECK(board.pic.acknowledge() == 0x31);
}

}  // namespace
}  // namespace penumbra::devices
