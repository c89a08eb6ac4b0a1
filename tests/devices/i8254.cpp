#include "devices/i8254.h"

#include <catch2/catch.hpp>

#include "tests/devices/board.h"

namespace penumbra::devices {
namespace {

constexpr u64 kHz = 1'193'182;

struct Board {
  Board() {
    REQUIRE(bus.map(0x40, 4, pit.ports(), AccessSizes::Byte));
    REQUIRE(bus.map(0x61, 1, pit.port61(), AccessSizes::Byte));
  }
  u64 in(u64 port) { return bus.read(port, 1); }
  void out(u64 port, u64 value) { bus.write(port, 1, value); }
  /// To the first nanosecond of a tick.
  void to_tick(u64 tick) {
    clock.advance_to(static_cast<u64>((u128{tick} * 1'000'000'000 + kHz - 1) / kHz));
  }
  void program(u8 counter, u8 mode, u16 count, bool bcd = false) {
    out(0x43, counter << 6 | 0x30 | mode << 1 | bcd);
    out(0x40 + counter, count & 0xff);
    out(0x40 + counter, count >> 8);
  }
  u32 latched(u8 counter) {
    out(0x43, counter << 6);
    u64 low = in(0x40 + counter);
    return static_cast<u32>(low | in(0x40 + counter) << 8);
  }
  u8 status(u8 counter) {
    out(0x43, 0xe0 | 2u << counter);
    return static_cast<u8>(in(0x40 + counter));
  }
  bool out_pin(u8 counter) { return status(counter) & 0x80; }
  /// Gate of counter 2.
  void gate(bool level) { out(0x61, level); }

  FakeClock clock;
  FakeLine irq;
  I8254 pit{irq, clock};
  Bus bus{Bus::Space::Port};
};

/// The ticks in [first, last) at which OUT of `counter` is low.
std::vector<u64> low_ticks(Board& board, u8 counter, u64 first, u64 last) {
  std::vector<u64> low;
  for (u64 tick = first; tick < last; ++tick) {
    board.to_tick(tick);
    if (!board.out_pin(counter)) low.push_back(tick);
  }
  return low;
}

std::vector<u64> range(u64 first, u64 last) {
  std::vector<u64> ticks;
  for (u64 tick = first; tick < last; ++tick) ticks.push_back(tick);
  return ticks;
}

// 8254 datasheet, "Mode 0": N + 1 CLKs after the count is written OUT goes high.
TEST_CASE("8254 mode 0: interrupt on terminal count") {
  Board board;
  board.to_tick(100);
  board.program(0, 0, 4);
  CHECK(low_ticks(board, 0, 100, 110) == range(100, 105));
  CHECK(board.irq.take_rises() == 1);
  board.to_tick(200);
  CHECK(board.irq.take_rises() == 0);
  CHECK(board.latched(0) == static_cast<u16>(4 - 99));  // goes on counting, modulo 2^16
}

TEST_CASE("8254 mode 0: gate holds the count up") {
  Board board;
  board.gate(true);
  board.to_tick(10);
  board.program(2, 0, 5);
  board.to_tick(13);
  CHECK(board.latched(2) == 3);
  board.gate(false);
  board.to_tick(30);
  CHECK(board.latched(2) == 3);
  board.gate(true);
  board.to_tick(32);
  CHECK(board.latched(2) == 1);
  CHECK_FALSE(board.out_pin(2));
  board.to_tick(33);
  CHECK(board.out_pin(2));
}

TEST_CASE("8254 mode 0: the first byte of a new count stops counting") {
  Board board;
  board.program(0, 0, 1000);
  board.to_tick(5);
  board.out(0x40, 10);
  board.to_tick(2000);
  CHECK_FALSE(board.out_pin(0));
  board.out(0x40, 0);
  CHECK(low_ticks(board, 0, 2000, 2020) == range(2000, 2011));
}

TEST_CASE("8254 mode 1: retriggerable one-shot") {
  Board board;
  board.program(2, 1, 3);
  board.to_tick(10);
  CHECK(board.out_pin(2));
  CHECK((board.status(2) & 0x40) == 0x40);  // null count: not loaded before the trigger
  board.gate(true);
  CHECK(low_ticks(board, 2, 10, 20) == range(11, 14));
  board.gate(false);
  board.gate(true);
  board.to_tick(22);
  board.gate(false);
  board.gate(true);  // again, before the end: 23 + 3
  CHECK(low_ticks(board, 2, 22, 30) == range(22, 26));
}

TEST_CASE("8254 mode 2: rate generator") {
  Board board;
  board.program(0, 2, 5);  // loaded at tick 1
  CHECK(low_ticks(board, 0, 0, 17) == std::vector<u64>{5, 10, 15});
  board.to_tick(17);
  CHECK(board.latched(0) == 4);
  CHECK(board.irq.take_rises() == 4);  // when programmed, and after each period
}

TEST_CASE("8254 mode 2: a new count is loaded at the end of the period") {
  Board board;
  board.program(0, 2, 5);
  board.to_tick(3);
  board.out(0x40, 3);
  board.out(0x40, 0);
  CHECK(low_ticks(board, 0, 3, 14) == std::vector<u64>{5, 8, 11});
}

TEST_CASE("8254 mode 2: gate low forces OUT high, gate high restarts") {
  Board board;
  board.gate(true);
  board.program(2, 2, 4);  // loaded at 1, low at 4
  board.to_tick(4);
  CHECK_FALSE(board.out_pin(2));
  board.gate(false);
  CHECK(board.out_pin(2));
  CHECK(low_ticks(board, 2, 4, 20).empty());
  board.to_tick(20);
  board.gate(true);
  CHECK(low_ticks(board, 2, 20, 30) == std::vector<u64>{24, 28});
}

TEST_CASE("8254 mode 3: square wave, even and odd") {
  Board board;
  board.program(0, 3, 4);  // loaded at 1: high 1..2, low 3..4
  CHECK(low_ticks(board, 0, 0, 12) == std::vector<u64>{3, 4, 7, 8, 11});
  board.to_tick(100);
  board.program(0, 3, 5);  // loaded at 101: high for 3, low for 2
  CHECK(low_ticks(board, 0, 100, 112) == std::vector<u64>{104, 105, 109, 110});
}

TEST_CASE("8254 mode 3: counts by two, a new count comes at the half cycle") {
  Board board;
  board.program(0, 3, 8);
  board.to_tick(1);
  CHECK(board.latched(0) == 8);
  board.to_tick(3);
  CHECK(board.latched(0) == 4);
  board.to_tick(6);
  CHECK(board.latched(0) == 6);
  board.out(0x40, 4);
  board.out(0x40, 0);
  // The low half 5..8 ends as it was; then high 9..10, low 11..12.
  CHECK(low_ticks(board, 0, 6, 15) == std::vector<u64>{6, 7, 8, 11, 12});
}

TEST_CASE("8254 mode 4: software strobe") {
  Board board;
  board.program(0, 4, 3);  // N + 1 CLKs later, for one CLK
  CHECK(low_ticks(board, 0, 0, 20) == std::vector<u64>{4});
  board.to_tick(70'000);
  CHECK(board.irq.take_rises() == 2);
}

TEST_CASE("8254 mode 5: hardware strobe") {
  Board board;
  board.program(2, 5, 3);
  CHECK(low_ticks(board, 2, 0, 10).empty());
  board.to_tick(10);
  board.gate(true);
  CHECK(low_ticks(board, 2, 10, 20) == std::vector<u64>{14});
}

TEST_CASE("8254: BCD counting and the count 0") {
  Board board;
  board.program(0, 0, 0x1000, true);
  board.to_tick(2);
  CHECK(board.latched(0) == 0x0999);
  board.to_tick(1001);
  CHECK(board.out_pin(0));
  board.to_tick(1002);
  CHECK(board.latched(0) == 0x9999);
  board.program(1, 2, 0);
  board.to_tick(1003);
  CHECK(board.latched(1) == 0x0000);
  board.to_tick(1004);
  CHECK(board.latched(1) == 0xffff);
}

TEST_CASE("8254: low-only and high-only access") {
  Board board;
  board.out(0x43, 0x14);
  board.out(0x40, 200);
  board.to_tick(11);
  CHECK(board.in(0x40) == 190);
  CHECK(board.in(0x40) == 190);
  board.out(0x43, 0x24);
  board.out(0x40, 2);
  board.to_tick(12);
  CHECK(board.in(0x40) == 2);
}

TEST_CASE("8254: latches hold until read, read-back latches both") {
  Board board;
  board.program(0, 2, 0x1234);
  board.to_tick(1);
  board.out(0x43, 0x00);
  board.to_tick(50);
  board.out(0x43, 0x00);  // ignored: already latched
  CHECK(board.in(0x40) == 0x34);
  CHECK(board.in(0x40) == 0x12);
  board.out(0x43, 0xc2);  // status and count of counter 0
  board.to_tick(60);
  CHECK(board.in(0x40) == 0xb4);
  CHECK(board.in(0x40) == ((0x1234 - 49) & 0xff));
  CHECK(board.in(0x40) == 0x12);
  CHECK(board.in(0x43) == 0xff);
}

TEST_CASE("8254: null count while a count waits") {
  Board board;
  board.program(0, 2, 100);
  CHECK((board.status(0) & 0x40) == 0x40);
  board.to_tick(1);
  CHECK((board.status(0) & 0x40) == 0);
}

TEST_CASE("8254: 1,193,182 ticks are one second, for ever") {
  Board board;
  board.program(0, 2, 11932);
  board.irq.take_rises();
  board.clock.advance_to(1000ull * 1'000'000'000);
  CHECK(board.irq.take_rises() == (1000ull * kHz - 1) / 11932);
}

TEST_CASE("8254: a late host loses edges but not the next one") {
  Board board;
  board.program(0, 2, 1000);
  board.irq.take_rises();
  board.clock.jump_to(10'000'000);
  board.clock.advance(0);
  CHECK(board.irq.take_rises() == 1);
  board.clock.advance(1000ull * 1'000'000'000 / kHz);
  CHECK(board.irq.take_rises() == 1);
}

// How kernels calibrate: counter 2 in mode 0, gate on, wait for 61h bit 5.
TEST_CASE("8254: port 61h shows counter 2 and the refresh toggle") {
  Board board;
  board.out(0x61, 0x01);
  board.out(0x43, 0xb0);
  board.out(0x42, 11931 & 0xff);
  board.out(0x42, 11931 >> 8);
  board.to_tick(11931);
  CHECK((board.in(0x61) & 0x20) == 0);
  board.to_tick(11932);
  CHECK((board.in(0x61) & 0x20) == 0x20);
  u64 before = board.in(0x61) & 0x10;
  board.clock.advance(15'086);
  CHECK((board.in(0x61) & 0x10) != before);
  CHECK_FALSE(board.pit.speaker());
  board.out(0x61, 0x03);
  CHECK(board.pit.speaker());
  CHECK((board.in(0x61) & 0x0f) == 0x03);
}

TEST_CASE("8254: a count that is read back before it is loaded is the one written") {
  Board board;
  board.program(2, 0, 0xffff);
  board.in(0x42);
  CHECK(board.in(0x42) == 0xff);
}

TEST_CASE("8254: saved in the middle of everything") {
  Board board;
  board.out(0x61, 0x01);
  board.program(0, 3, 1001);
  board.program(1, 2, 18);
  board.program(2, 4, 5000);
  board.to_tick(700);
  board.out(0x40, 77);  // half a count
  board.out(0x43, 0xc4);
  auto bytes = save(board.pit);
  Board other;
  other.clock.jump_to(board.clock.now_ns());
  REQUIRE(load(other.pit, bytes));
  CHECK(save(other.pit) == bytes);
  CHECK(other.irq.level() == board.irq.level());
  board.irq.take_rises();
  for (Board* each : {&board, &other}) {
    each->out(0x40, 0);
    each->to_tick(20'000);
  }
  CHECK(other.irq.take_rises() == board.irq.take_rises());
  CHECK(other.in(0x41) == board.in(0x41));
  CHECK(save(other.pit) == save(board.pit));
}

TEST_CASE("8254: garbage from the guest and from a file") {
  Board board;
  fuzz(board.bus, board.clock, 0x40, 4, 7);
  for (u32 seed = 0; seed < 300; ++seed) {
    load_garbage(board.pit, seed);
    fuzz(board.bus, board.clock, 0x40, 4, seed, 100);
    board.clock.advance(1'000'000);
    fuzz(board.bus, board.clock, 0x61, 1, seed, 10);
  }
}

}  // namespace
}  // namespace penumbra::devices
