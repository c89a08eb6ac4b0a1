#include "machine/virtual_clock.h"

#include <catch2/catch.hpp>
#include <string>

namespace penumbra::machine {

using Mode = VirtualClock::Mode;

namespace {

struct Fixture {
  u64 ticks = 1000;
  VirtualClock clock;
  explicit Fixture(Mode mode) : clock(mode, [this] { return ticks; }) {}
};

}  // namespace

TEST_CASE("deterministic time counts instructions and skipped idle time") {
  Fixture f(Mode::Deterministic);
  CHECK(f.clock.now_ns() == 0);
  f.ticks += 250;
  CHECK(f.clock.now_ns() == 250);
  f.clock.skip_to(1'000);
  CHECK(f.clock.now_ns() == 1'000);
  CHECK(f.clock.skipped_ns() == 750);
  f.clock.skip_to(10);
  CHECK(f.clock.now_ns() == 1'000);
  f.ticks += 1;
  CHECK(f.clock.now_ns() == 1'001);
}

TEST_CASE("host time changes only when sampled and never goes back") {
  Fixture f(Mode::Host);
  f.ticks += 500;
  CHECK(f.clock.now_ns() == 0);
  f.clock.sample();
  CHECK(f.clock.now_ns() == 500);
  f.ticks -= 200;
  f.clock.sample();
  CHECK(f.clock.now_ns() == 500);
  f.ticks = 0;
  f.clock.sample();
  CHECK(f.clock.now_ns() == 500);
  f.clock.skip_to(10'000);
  CHECK(f.clock.now_ns() == 500);
}

TEST_CASE("timers expire in order of time, then of creation") {
  Fixture f(Mode::Deterministic);
  std::string order;
  auto a = f.clock.make_timer([&] { order += 'a'; });
  auto b = f.clock.make_timer([&] { order += 'b'; });
  auto c = f.clock.make_timer([&] { order += 'c'; });
  c->arm(10);
  b->arm(20);
  a->arm(20);
  CHECK(f.clock.next_deadline() == 10);
  f.ticks += 9;
  f.clock.run_due();
  CHECK(order.empty());
  f.ticks += 11;
  f.clock.run_due();
  CHECK(order == "cab");
  CHECK_FALSE(f.clock.next_deadline().has_value());
  CHECK(f.clock.expirations() == 3);
}

TEST_CASE("timers can be moved, cancelled, re-armed while they expire, and destroyed") {
  Fixture f(Mode::Deterministic);
  int fired = 0;
  std::unique_ptr<devices::Timer> timer;
  timer = f.clock.make_timer([&] {
    if (++fired < 3) timer->arm(f.clock.now_ns());
  });
  timer->arm(100);
  timer->arm(50);
  CHECK(f.clock.next_deadline() == 50);
  timer->cancel();
  CHECK_FALSE(f.clock.next_deadline().has_value());
  timer->arm(0);
  f.clock.run_due();
  CHECK(fired == 3);
  timer->arm(5);
  timer.reset();
  f.ticks += 100;
  f.clock.run_due();
  CHECK(fired == 3);
}

TEST_CASE("a timer that is always due again does not stop the machine") {
  Fixture f(Mode::Deterministic);
  u64 fired = 0;
  std::unique_ptr<devices::Timer> timer;
  timer = f.clock.make_timer([&] {
    ++fired;
    timer->arm(0);
  });
  timer->arm(0);
  f.clock.run_due();
  CHECK(fired > 0);
  CHECK(f.clock.next_deadline() == 0);
}

TEST_CASE("a callback may make timers") {
  Fixture f(Mode::Deterministic);
  std::vector<std::unique_ptr<devices::Timer>> made;
  int fired = 0;
  auto first = f.clock.make_timer([&] {
    for (int i = 0; i < 100; ++i) {
      made.push_back(f.clock.make_timer([&] { ++fired; }));
      made.back()->arm(0);
    }
  });
  first->arm(0);
  f.clock.run_due();
  CHECK(fired == 100);
}

TEST_CASE("the far future is an ordinary deadline") {
  Fixture f(Mode::Deterministic);
  auto timer = f.clock.make_timer([] {});
  timer->arm(~0ull);
  CHECK(f.clock.next_deadline() == ~0ull - 1);
}

TEST_CASE("a clock is restored with its time and deadlines") {
  Fixture original(Mode::Deterministic);
  auto first = original.clock.make_timer([] {});
  auto second = original.clock.make_timer([] {});
  original.ticks += 40;
  original.clock.skip_to(100);
  second->arm(130);
  Archive saved = Archive::saver();
  original.clock.serialize(saved);

  Fixture restored(Mode::Deterministic);
  restored.ticks = 77'777;
  int fired = 0;
  auto one = restored.clock.make_timer([] {});
  auto two = restored.clock.make_timer([&] { ++fired; });
  one->arm(5);
  Archive loaded = Archive::loader(saved.data());
  restored.clock.serialize(loaded);
  REQUIRE(loaded.exhausted());
  CHECK(restored.clock.now_ns() == 100);
  CHECK(restored.clock.next_deadline() == 130);
  CHECK(restored.clock.skipped_ns() == 60);
  restored.ticks += 30;
  restored.clock.run_due();
  CHECK(fired == 1);

  Archive again = Archive::saver();
  original.ticks += 30;
  original.clock.run_due();
  original.clock.serialize(again);
  Archive other = Archive::saver();
  restored.clock.serialize(other);
  CHECK(again.data() == other.data());
}

TEST_CASE("a clock refuses the deadlines of another board") {
  Fixture original(Mode::Deterministic), restored(Mode::Deterministic);
  auto timer = original.clock.make_timer([] {});
  Archive saved = Archive::saver();
  original.clock.serialize(saved);
  Archive loaded = Archive::loader(saved.data());
  restored.clock.serialize(loaded);
  CHECK(loaded.failed());
}

TEST_CASE("rebasing keeps the time over a counter that was set back") {
  Fixture f(Mode::Deterministic);
  f.ticks += 300;
  u64 before = f.clock.now_ns();
  f.clock.rebase();
  CHECK(f.clock.now_ns() == before);
  f.ticks += 5;
  CHECK(f.clock.now_ns() == before + 5);
}

}  // namespace penumbra::machine
