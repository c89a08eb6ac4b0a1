#include "machine/input_gate.h"

#include <catch2/catch.hpp>

namespace penumbra::machine {

namespace {

struct Fixture {
  u64 position = 0;
  InputGate gate{[this] { return position; }};
};

}  // namespace

TEST_CASE("without a log inputs pass straight through, in order") {
  Fixture f;
  CHECK(f.gate.ask(InputKind::Time, [] { return 42; }) == 42);
  CHECK_FALSE(f.gate.serial_channel().has_value());
  f.gate.offer_serial(0, 'a');
  f.gate.offer_serial(3, 0xff);
  CHECK(f.gate.serial_waiting() == 2);
  REQUIRE(f.gate.serial_channel() == 0);
  CHECK(f.gate.take_serial() == 'a');
  REQUIRE(f.gate.serial_channel() == 3);
  CHECK(f.gate.take_serial() == 0xff);
  CHECK_FALSE(f.gate.serial_channel().has_value());
}

TEST_CASE("a recording replays every input at its instruction, without asking the world") {
  InputRecording recording;
  Fixture first;
  first.gate.attach(&recording, nullptr);
  first.position = 10;
  first.gate.ask(InputKind::Time, [] { return 1111; });
  first.position = 20;
  first.gate.offer_serial(1, 'x');
  first.gate.take_serial();
  first.position = 30;
  first.gate.ask(InputKind::Entropy, [] { return 7; });
  REQUIRE(recording.size() == 3);

  Archive saved = Archive::saver();
  saved(recording);
  InputRecording copy;
  Archive loaded = Archive::loader(saved.take());
  loaded(copy);
  REQUIRE(loaded.exhausted());

  Fixture second;
  second.gate.attach(nullptr, &copy);
  auto forbidden = []() -> u64 { throw std::logic_error("the world was asked"); };
  second.position = 10;
  CHECK(second.gate.ask(InputKind::Time, forbidden) == 1111);
  CHECK(second.gate.next_position() == 20);
  CHECK_FALSE(second.gate.serial_channel().has_value());
  second.position = 20;
  REQUIRE(second.gate.serial_channel() == 1);
  CHECK(second.gate.take_serial() == 'x');
  CHECK_FALSE(second.gate.next_position().has_value());
  second.position = 30;
  CHECK(second.gate.ask(InputKind::Entropy, forbidden) == 7);
  CHECK_FALSE(second.gate.diverged());
}

TEST_CASE("a replay that asks elsewhere or for something else has diverged") {
  InputRecording recording;
  recording.record({InputKind::Time, 0, 10, 5});
  Fixture late;
  late.gate.attach(nullptr, &recording);
  late.position = 11;
  CHECK(late.gate.ask(InputKind::Time, [] { return 99; }) == 99);
  CHECK(late.gate.diverged());

  Fixture other;
  other.gate.attach(nullptr, &recording);
  other.position = 10;
  other.gate.ask(InputKind::Entropy, [] { return 1; });
  CHECK(other.gate.diverged());
}

TEST_CASE("while replaying, what is typed is not delivered") {
  InputRecording recording;
  Fixture f;
  f.gate.attach(nullptr, &recording);
  f.gate.offer_serial(0, 'a');
  CHECK_FALSE(f.gate.serial_channel().has_value());
}

TEST_CASE("waiting characters are part of the machine") {
  Fixture f;
  f.gate.offer_serial(2, 'q');
  Archive saved = Archive::saver();
  saved(f.gate);
  Fixture other;
  Archive loaded = Archive::loader(saved.take());
  loaded(other.gate);
  REQUIRE(loaded.exhausted());
  REQUIRE(other.gate.serial_channel() == 2);
  CHECK(other.gate.take_serial() == 'q');
}

}  // namespace penumbra::machine
