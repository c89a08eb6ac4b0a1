#include "devices/mc146818.h"

#include <catch2/catch.hpp>

#include "tests/devices/board.h"

namespace penumbra::devices {
namespace {

constexpr u64 kSecond = 1'000'000'000;
constexpr i64 kLeapEve = 1'709'164'799;  // 2024-02-28 23:59:59 UTC, a Wednesday

struct Board {
  explicit Board(i64 time = kLeapEve) : rtc(irq, clock, time) {
    REQUIRE(bus.map(0x70, 2, rtc, AccessSizes::Byte));
  }
  u8 get(u8 index) {
    bus.write(0x70, 1, index);
    return static_cast<u8>(bus.read(0x71, 1));
  }
  void set(u8 index, u8 value) {
    bus.write(0x70, 1, index);
    bus.write(0x71, 1, value);
  }
  std::vector<u8> date() {
    return {get(0x32), get(9), get(8), get(7), get(6), get(4), get(2), get(0)};
  }

  FakeClock clock;
  FakeLine irq;
  Mc146818 rtc;
  Bus bus{Bus::Space::Port};
};

using Date = std::vector<u8>;

TEST_CASE("rtc: starts at the given time in BCD and 24 hours") {
  Board board;
  CHECK(board.get(0x0a) == 0x26);
  CHECK(board.get(0x0b) == 0x02);
  CHECK(board.get(0x0d) == 0x80);
  CHECK(board.date() == Date{0x20, 0x24, 0x02, 0x28, 4, 0x23, 0x59, 0x59});
}

TEST_CASE("rtc: a leap day, and a year's end") {
  Board board;
  board.clock.advance(kSecond);
  CHECK(board.date() == Date{0x20, 0x24, 0x02, 0x29, 5, 0x00, 0x00, 0x00});
  board.clock.advance(86'400 * kSecond);
  CHECK(board.date() == Date{0x20, 0x24, 0x03, 0x01, 6, 0x00, 0x00, 0x00});
  Board century(946'684'799);  // 1999-12-31 23:59:59
  century.clock.advance(kSecond);
  CHECK(century.date() == Date{0x20, 0x00, 0x01, 0x01, 7, 0x00, 0x00, 0x00});
}

TEST_CASE("rtc: before 1970 too") {
  Board board(-1);
  CHECK(board.date() == Date{0x19, 0x69, 0x12, 0x31, 4, 0x23, 0x59, 0x59});
}

TEST_CASE("rtc: binary and 12-hour formats") {
  Board board(1'709'164'800 + 13 * 3600 + 45 * 60 + 30);
  board.set(0x0b, 0x80);  // SET, BCD, 12 hours
  board.set(4, 0x81);
  board.set(0x0b, 0x00);
  CHECK(board.get(4) == 0x81);
  board.clock.advance(11ull * 3600 * kSecond);
  CHECK(board.get(4) == 0x12);  // 00:45 is 12 AM
  board.set(0x0b, 0x86);
  board.set(0, 59);
  board.set(2, 59);
  board.set(4, 11);
  board.set(7, 15);
  board.set(8, 10);
  board.set(9, 26);
  board.set(0x32, 20);
  board.set(0x0b, 0x06);
  board.clock.advance(kSecond);
  CHECK(board.date() == Date{20, 26, 10, 15, 5, 12, 0, 0});
}

TEST_CASE("rtc: SET freezes the time") {
  Board board;
  board.set(0x0b, 0x82);
  board.clock.advance(10 * kSecond);
  CHECK(board.get(0) == 0x59);
  board.set(0, 0x30);
  board.set(0x0b, 0x02);
  board.clock.advance(kSecond);
  CHECK(board.get(0) == 0x31);
}

TEST_CASE("rtc: update in progress comes before the update") {
  Board board;
  board.clock.advance_to(kSecond - 244'001);
  CHECK(board.get(0x0a) == 0x26);
  board.clock.advance(1);
  CHECK(board.get(0x0a) == 0xa6);
  CHECK(board.get(0) == 0x59);
  board.clock.advance_to(kSecond);
  CHECK(board.get(0x0a) == 0x26);
  CHECK(board.get(0) == 0x00);
}

TEST_CASE("rtc: the divider reset delays the next update to half a second") {
  Board board;
  board.clock.advance(kSecond / 4);
  board.set(0x0a, 0x76);
  board.clock.advance(5 * kSecond);
  CHECK(board.get(0) == 0x59);
  board.set(0x0a, 0x26);
  board.clock.advance(kSecond / 2 - 1);
  CHECK(board.get(0) == 0x59);
  board.clock.advance(1);
  CHECK(board.get(0) == 0x00);
}

TEST_CASE("rtc: update-ended interrupt") {
  Board board;
  board.get(0x0c);
  CHECK_FALSE(board.clock.has_armed_timer());
  board.set(0x0b, 0x12);
  board.clock.advance_to(kSecond - 1);
  CHECK_FALSE(board.irq.level());
  board.clock.advance_to(kSecond);
  CHECK(board.irq.level());
  CHECK((board.get(0x0c) & 0xd0) == 0xd0);
  CHECK_FALSE(board.irq.level());
  CHECK(board.get(0x0c) == 0x00);
  board.clock.advance_to(2 * kSecond);
  CHECK(board.irq.level());
}

TEST_CASE("rtc: alarm at an exact time, and with wildcards") {
  Board board;  // 23:59:59
  board.set(1, 0x10);
  board.set(3, 0x02);
  board.set(5, 0x00);
  board.set(0x0b, 0x22);
  board.clock.advance(131 * kSecond - 1);  // 00:02:10 is 131 s away
  CHECK_FALSE(board.irq.level());
  board.clock.advance(1);
  CHECK(board.irq.level());
  CHECK(board.get(0x0c) == 0xf0);
  board.set(3, 0xff);
  board.set(5, 0xc0);
  board.clock.advance(60 * kSecond);
  CHECK(board.irq.level());
  CHECK((board.get(0x0c) & 0xa0) == 0xa0);
  board.set(1, 0x77);  // never
  board.clock.advance(200'000 * kSecond);
  CHECK((board.get(0x0c) & 0x20) == 0);
}

TEST_CASE("rtc: a match that passed unwatched is flagged, without interrupt") {
  Board board;
  board.get(0x0c);
  board.set(1, 0x05);
  board.set(3, 0x00);
  board.set(5, 0x00);
  board.clock.advance(3600 * kSecond);
  CHECK_FALSE(board.irq.level());
  CHECK(board.get(0x0c) == (0x40 | 0x20 | 0x10));
}

TEST_CASE("rtc: periodic interrupts at all rates") {
  for (u32 rate = 1; rate < 16; ++rate) {
    Board board;
    board.set(0x0a, static_cast<u8>(0x20 | rate));
    board.set(0x0b, 0x42);
    board.get(0x0c);
    u64 hertz = rate < 3 ? 256u >> (rate - 1) : 32768u >> (rate - 1);
    for (u64 tick = 1; tick <= 10; ++tick) {
      u64 due = (tick * kSecond + hertz - 1) / hertz;
      board.clock.advance_to(due - 1);
      CHECK_FALSE(board.irq.level());
      board.clock.advance_to(due);
      CHECK(board.irq.level());
      CHECK((board.get(0x0c) & 0xc0) == 0xc0);
      CHECK_FALSE(board.irq.level());
    }
  }
}

TEST_CASE("rtc: no more than one timer event per unanswered interrupt") {
  Board board;
  board.set(0x0b, 0x72);
  board.clock.advance(100 * kSecond);
  CHECK(board.clock.expirations() < 10);
  CHECK(board.irq.level());
}

TEST_CASE("rtc: RAM, NMI mask and read-only registers") {
  Board board;
  board.set(0x40, 0x5a);
  CHECK(board.get(0x40) == 0x5a);
  CHECK_FALSE(board.rtc.nmi_masked());
  board.bus.write(0x70, 1, 0x8f);
  CHECK(board.rtc.nmi_masked());
  CHECK(board.bus.read(0x70, 1) == 0xff);
  board.set(0x0d, 0);
  board.set(0x0c, 0xff);
  CHECK(board.get(0x0d) == 0x80);
  CHECK((board.get(0x0c) & 0x8f) == 0);
  board.rtc.set_cmos(0x15, 0x80);
  board.rtc.set_cmos(0x00, 0x11);  // the time is not firmware's
  CHECK(board.get(0x15) == 0x80);
  CHECK(board.get(0x00) == 0x59);
}

TEST_CASE("rtc: saved while an alarm is awaited") {
  Board board;
  board.set(1, 0x30);
  board.set(3, 0xff);
  board.set(5, 0xff);
  board.set(0x0b, 0x22);
  board.clock.advance(kSecond * 7 / 2);
  auto bytes = save(board.rtc);
  Board other(0);
  other.clock.jump_to(board.clock.now_ns());
  REQUIRE(load(other.rtc, bytes));
  CHECK(save(other.rtc) == bytes);
  CHECK(other.irq.level() == board.irq.level());
  other.clock.advance_to(31 * kSecond - 1);
  CHECK_FALSE(other.irq.level());
  other.clock.advance_to(31 * kSecond);
  CHECK(other.irq.level());
  CHECK(other.date() == Date{0x20, 0x24, 0x02, 0x29, 5, 0x00, 0x00, 0x30});
}

TEST_CASE("rtc: garbage from the guest and from a file") {
  Board board;
  std::mt19937 random(3);
  for (u32 i = 0; i < 20'000; ++i) {
    board.set(static_cast<u8>(random() % 20), static_cast<u8>(random()));
    board.get(static_cast<u8>(random()));
    board.clock.advance(random());
  }
  for (u32 seed = 0; seed < 300; ++seed) {
    load_garbage(board.rtc, seed);
    board.clock.advance(1000);  // a deadline that never passes would not let this end
    fuzz(board.bus, board.clock, 0x70, 2, seed, 50);
    board.clock.advance(kSecond * seed);
    board.get(0);
  }
}

}  // namespace
}  // namespace penumbra::devices
