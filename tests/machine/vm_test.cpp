#include "machine/vm.h"

#include <catch2/catch.hpp>

#include "guests.h"

namespace penumbra::machine {

using namespace guests;
using Kind = RunResult::Kind;

namespace {

/// Types one character of `text` whenever it is polled, and again when nothing else happens.
class Typist final : public HostEvents {
 public:
  Typist(Vm& vm, std::string text) : vm_(vm), text_(std::move(text)) {}
  void poll() override {
    if (typed_ < text_.size()) vm_.offer_serial(0, static_cast<u8>(text_[typed_++]));
  }
  void wait(std::optional<u64>) override { poll(); }
  bool can_wake() const override { return typed_ < text_.size(); }

 private:
  Vm& vm_;
  std::string text_;
  size_t typed_ = 0;
};

/// Programs the RTC's periodic interrupt (or nothing) and halts with interrupts on, forever.
Code halt_loop() { return {0xfb, 0xf4, 0xeb, 0xfd}; }

}  // namespace

TEST_CASE("max_instructions is exact and a run goes on from there") {
  Recorder serial;
  auto machine = vm(config(serial), spin());
  for (u64 count : {1ull, 2ull, 1000ull, 1'234'567ull}) {
    u64 before = machine->retired();
    CHECK(machine->run(count).kind == Kind::MaxInstructions);
    CHECK(machine->retired() == before + count);
  }
  CHECK(machine->run(0).kind == Kind::MaxInstructions);
  CHECK(machine->clock().now_ns() == machine->retired());
}

TEST_CASE("splitting a run into pieces does not change it") {
  Recorder one, other;
  auto whole = vm(config(one), print("hello") + spin());
  auto pieces = vm(config(other), print("hello") + spin());
  whole->run(50'000);
  for (u64 done = 0, piece = 1; done < 50'000; piece = piece * 3 % 1009 + 1) {
    u64 count = std::min<u64>(piece, 50'000 - done);
    pieces->run(count);
    done += count;
  }
  CHECK(one.text == "hello");
  CHECK(whole->state_hash() == pieces->state_hash());
}

TEST_CASE("an instruction that a stop request holds up is traced once") {
  Recorder serial;
  auto machine = vm(config(serial), spin());
  struct Stopper {
    Vcpu& vcpu;
    int traced = 0;
  } stopper{machine->vcpu()};
  machine->vcpu().set_trace(
      [](void* user, const cpu::CpuState&) {
        auto& self = *static_cast<Stopper*>(user);
        ++self.traced;
        self.vcpu.request_exit();
      },
      &stopper);
  CHECK(machine->run(100).kind == Kind::MaxInstructions);
  CHECK(stopper.traced == 100);
}

TEST_CASE("a stop request ends the run, and only once") {
  Recorder serial;
  auto machine = vm(config(serial), spin());
  machine->request_stop();
  CHECK(machine->run().kind == Kind::Stopped);
  CHECK(machine->run(100).kind == Kind::MaxInstructions);
}

TEST_CASE("port 92h, CF9h, the keyboard controller and the ACPI register reset the machine") {
  for (const Code& reset :
       {out(0x92, 1), out(0xcf9, 2) + out(0xcf9, 6), out(0x64, 0xfe), out(0x610, 1)}) {
    Recorder serial;
    VmConfig without = config(serial);
    without.reboot = false;
    auto machine = vm(without, print("once") + reset + spin());
    CHECK(machine->run(10'000).kind == Kind::Reset);
    CHECK(serial.text == "once");

    Recorder again;
    auto rebooting = vm(config(again), print("x") + reset + spin());
    CHECK(rebooting->run(1'000).kind == Kind::MaxInstructions);
    CHECK(rebooting->resets() > 1);
    CHECK(rebooting->retired() == 1'000);
    CHECK(again.text.size() >= rebooting->resets());
  }
}

TEST_CASE("time goes on over a reset") {
  Recorder serial;
  auto machine = vm(config(serial), out(0x92, 1) + spin());
  u64 last = 0;
  for (int i = 0; i < 20; ++i) {
    machine->run(7);
    CHECK(machine->clock().now_ns() > last);
    last = machine->clock().now_ns();
  }
  CHECK(machine->clock().now_ns() == machine->retired());
}

TEST_CASE("a halted machine that nothing can wake ends") {
  Recorder serial;
  for (const Code& code : {halt_loop(), Code{0xfa, 0xf4}}) {
    auto machine = vm(config(serial), code);
    CHECK(machine->run(1'000'000).kind == Kind::Halted);
  }
}

TEST_CASE("a halted machine waits for input that may come") {
  Recorder serial;
  auto machine = vm(config(serial), halt_loop());
  Typist typist(*machine, "abc");
  machine->set_host_events(&typist);
  CHECK(machine->run(1'000'000).kind == Kind::Halted);
  CHECK_FALSE(typist.can_wake());
}

TEST_CASE("typed characters reach the guest in order, however many wait") {
  Recorder serial;
  auto machine = vm(config(serial), echo());
  std::string text;
  for (int i = 0; i < 300; ++i) text.push_back(static_cast<char>('A' + i % 26));
  text += 'q';
  for (char c : text) machine->offer_serial(0, static_cast<u8>(c));
  CHECK(machine->run(1'000'000).kind == Kind::PoweredOff);
  CHECK(serial.text == text);
}

TEST_CASE("a recorded run with input replays to the same state, without the input") {
  Recorder first_serial, second_serial;
  InputRecording recording;
  auto first = vm(config(first_serial), echo());
  Typist typist(*first, "some text, typed at moments that nobody chose");
  first->set_host_events(&typist);
  first->input_gate().attach(&recording, nullptr);
  for (int i = 0; i < 60 && typist.can_wake(); ++i) first->run(10'001 + i);
  first->run(5'000'000 - first->retired());
  REQUIRE(first_serial.text.size() > 3);

  auto second = vm(config(second_serial), echo());
  second->input_gate().attach(nullptr, &recording);
  second->run(5'000'000);
  CHECK(second_serial.text == first_serial.text);
  CHECK_FALSE(second->input_gate().diverged());
  second->input_gate().attach(nullptr, nullptr);
  CHECK(second->state_hash() == first->state_hash());
}

TEST_CASE("host time runs with the host and never backwards") {
  Recorder serial;
  auto machine = vm(config(serial, VirtualClock::Mode::Host), spin());
  u64 last = 0, start = host_monotonic_ns();
  for (int i = 0; i < 50; ++i) {
    machine->run(100'000);
    CHECK(machine->clock().now_ns() >= last);
    last = machine->clock().now_ns();
  }
  CHECK(last > 0);
  CHECK(last <= host_monotonic_ns() - start + 10'000'000'000);
}

TEST_CASE("writing the debug exit port ends the run with its status, where it is there") {
  Recorder serial;
  VmConfig with = config(serial);
  with.board.debug_exit = true;
  RunResult result = vm(with, out(0xf4, 0x21))->run(100);
  CHECK(result.kind == Kind::DebugExit);
  CHECK(result.status == 0x43);
  CHECK(vm(config(serial), out(0xf4, 0x21) + spin())->run(100).kind == Kind::MaxInstructions);
}

TEST_CASE("triple faults reset, and end the run when they follow each other") {
  Recorder serial;
  const Code fault = {0x0f, 0x01, 0x1c, 0x25, 0x00, 0x08, 0x10, 0x00, 0x0f, 0x0b};
  auto machine = vm(config(serial), print("t") + fault);
  RunResult result = machine->run(10'000'000);
  CHECK(result.kind == Kind::TripleFault);
  CHECK(result.detail.find("triple fault") != std::string::npos);
  CHECK(serial.text == "ttt");

  // Slow enough faults are an ordinary reset loop: mov ecx, 600000; dec ecx; jnz
  Recorder slow;
  const Code delay = {0xb9, 0xc0, 0x27, 0x09, 0x00, 0xff, 0xc9, 0x75, 0xfc};
  auto patient = vm(config(slow), delay + print("t") + fault);
  CHECK(patient->run(10'000'000).kind == Kind::MaxInstructions);
  CHECK(slow.text.size() > 4);
}

}  // namespace penumbra::machine
