#include "devices/acpi_pm.h"

#include <catch2/catch.hpp>

#include "tests/devices/board.h"

namespace penumbra::devices {
namespace {

enum Port : u64 {
  kStatus = 0x600,
  kEnable = 0x602,
  kControl = 0x604,
  kTimer = 0x608,
  kReset = 0x610,
  kGpeStatus = 0x620,
  kGpeEnable = 0x622,
  kSmi = 0xb2,
};
constexpr u64 kHz = 3'579'545;

u64 ns_of(u64 ticks) { return static_cast<u64>((u128{ticks} * 1'000'000'000 + kHz - 1) / kHz); }

struct Board {
  explicit Board(AcpiPm::TimerWidth width = AcpiPm::TimerWidth::Bits32)
      : pm(sci, clock, width, {[this] { ++power_offs; }, [this] { ++resets; }}) {
    REQUIRE(bus.map(0x600, 4, pm.pm1_event(), AccessSizes::ByteWordDword));
    REQUIRE(bus.map(0x604, 2, pm.pm1_control(), AccessSizes::ByteWord));
    REQUIRE(bus.map(0x608, 4, pm.pm_timer(), AccessSizes::ByteWordDword));
    REQUIRE(bus.map(0x610, 1, pm.reset_register(), AccessSizes::Byte));
    REQUIRE(bus.map(0x620, 4, pm.gpe0(), AccessSizes::ByteWordDword));
    REQUIRE(bus.map(0xb2, 2, pm.smi_command(), AccessSizes::Byte));
  }
  u64 in(u64 port, u32 size = 2) { return bus.read(port, size); }
  void out(u64 port, u64 value, u32 size = 2) { bus.write(port, size, value); }
  void enable_acpi() { out(kSmi, AcpiPm::kAcpiEnable, 1); }

  FakeClock clock;
  FakeLine sci;
  u32 power_offs = 0, resets = 0;
  AcpiPm pm;
  Bus bus{Bus::Space::Port};
};

TEST_CASE("acpi: SCI_EN follows the SMI commands alone") {
  Board board;
  CHECK(board.in(kControl) == 0);
  board.out(kControl, 1);
  CHECK(board.in(kControl) == 0);
  board.enable_acpi();
  CHECK(board.in(kControl) == 1);
  CHECK(board.in(kSmi, 1) == AcpiPm::kAcpiEnable);
  board.out(kControl, 0);
  CHECK(board.in(kControl) == 1);
  board.out(kSmi, AcpiPm::kAcpiDisable, 1);
  CHECK(board.in(kControl) == 0);
  board.out(kSmi + 1, 0x12, 1);
  CHECK(board.in(kSmi + 1, 1) == 0x12);
}

TEST_CASE("acpi: the power button raises SCI until its status is cleared") {
  Board board;
  board.enable_acpi();
  board.pm.press_power_button();
  CHECK_FALSE(board.sci.level());
  CHECK(board.in(kStatus) == 0x100);
  board.out(kEnable, 0x100);
  CHECK(board.sci.level());
  board.out(kStatus, 0xfeff);
  CHECK(board.sci.level());
  board.out(kStatus + 1, 0x01, 1);
  CHECK_FALSE(board.sci.level());
  CHECK(board.in(kStatus) == 0);
  CHECK(board.in(kEnable) == 0x100);
}

TEST_CASE("acpi: no SCI in legacy mode") {
  Board board;
  board.out(kEnable, 0x100);
  board.pm.press_power_button();
  CHECK_FALSE(board.sci.level());
  board.enable_acpi();
  CHECK(board.sci.level());
}

TEST_CASE("acpi: soft off needs SLP_EN and the type of S5") {
  Board board;
  board.out(kControl, AcpiPm::kSleepTypeS5 << 10);
  CHECK(board.power_offs == 0);
  board.out(kControl, 1 << 13 | 1 << 10);
  CHECK(board.power_offs == 0);
  board.out(kControl, 1 << 13 | AcpiPm::kSleepTypeS5 << 10);
  CHECK(board.power_offs == 1);
  CHECK((board.in(kControl) & 1 << 13) == 0);  // SLP_EN reads as 0
  board.out(kControl + 1, 0x20 | AcpiPm::kSleepTypeS5 << 2, 1);
  CHECK(board.power_offs == 2);
}

TEST_CASE("acpi: reset register") {
  Board board;
  board.out(kReset, 0x02, 1);
  CHECK(board.resets == 0);
  board.out(kReset, AcpiPm::kResetValue, 1);
  CHECK(board.resets == 1);
}

TEST_CASE("acpi: the timer counts at 3.579545 MHz and wraps") {
  Board board;
  board.clock.advance_to(1'000'000'000);
  CHECK(board.in(kTimer, 4) == kHz);
  CHECK(board.in(kTimer + 2, 1) == (kHz >> 16 & 0xff));
  board.out(kTimer, 0, 4);
  CHECK(board.in(kTimer, 4) == kHz);
  board.clock.advance_to(ns_of((1ull << 32) + 5));
  CHECK(board.in(kTimer, 4) == 5);
  Board narrow(AcpiPm::TimerWidth::Bits24);
  narrow.clock.advance_to(ns_of((1ull << 24) + 7));
  CHECK(narrow.in(kTimer, 4) == 7);
}

TEST_CASE("acpi: the timer's top bit sets its status and interrupts") {
  Board board(AcpiPm::TimerWidth::Bits24);
  board.clock.advance_to(ns_of(1 << 23) - 1);
  CHECK(board.in(kStatus) == 0);
  board.clock.advance(1);
  CHECK(board.in(kStatus) == 1);
  board.out(kStatus, 1);
  CHECK(board.in(kStatus) == 0);
  board.enable_acpi();
  board.out(kEnable, 1);
  board.clock.advance_to(ns_of(1 << 24) - 1);
  CHECK_FALSE(board.sci.level());
  board.clock.advance(1);
  CHECK(board.sci.level());
  board.out(kStatus, 1);
  CHECK_FALSE(board.sci.level());
  board.clock.advance_to(ns_of(3 << 23));
  CHECK(board.sci.level());
}

TEST_CASE("acpi: general-purpose events") {
  Board board;
  board.enable_acpi();
  board.out(kGpeEnable, 0x02, 1);
  board.pm.raise_gpe(9);
  CHECK_FALSE(board.sci.level());
  board.pm.raise_gpe(1);
  CHECK(board.sci.level());
  CHECK(board.in(kGpeStatus) == 0x202);
  board.out(kGpeStatus, 0x02, 1);
  CHECK_FALSE(board.sci.level());
  CHECK(board.in(kGpeStatus, 4) == 0x00020200);
}

TEST_CASE("acpi: saved while the timer's interrupt is awaited") {
  Board board;
  board.enable_acpi();
  board.out(kEnable, 0x101);
  board.clock.advance_to(ns_of(1000));
  auto bytes = save(board.pm);
  Board other;
  other.clock.jump_to(board.clock.now_ns());
  REQUIRE(load(other.pm, bytes));
  CHECK(save(other.pm) == bytes);
  CHECK(other.sci.level() == board.sci.level());
  other.clock.advance_to(ns_of(1ull << 31) - 1);
  CHECK_FALSE(other.sci.level());
  other.clock.advance(1);
  CHECK(other.sci.level());
}

TEST_CASE("acpi: garbage from the guest and from a file") {
  Board board;
  fuzz(board.bus, board.clock, 0x600, 0x30, 11);
  for (u32 seed = 0; seed < 200; ++seed) {
    load_garbage(board.pm, seed);
    fuzz(board.bus, board.clock, 0x600, 0x30, seed, 100);
    fuzz(board.bus, board.clock, 0xb2, 2, seed, 20);
  }
  board.pm.reset();
  CHECK(board.in(kStatus) == 0);
}

}  // namespace
}  // namespace penumbra::devices
