#include "machine/lockstep.h"

#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/machine/guests.h"

namespace penumbra::machine {

using namespace guests;
using Kind = RunResult::Kind;

namespace {

/// Counts in RAX and stores its low byte to 200000h, forever: four instructions a round.
Code counting() {
  return {0x48, 0xff, 0xc0, 0x88, 0x04, 0x25, 0x00, 0x00, 0x20, 0x00, 0x48, 0x89, 0xc3, 0xeb, 0xf1};
}
constexpr u64 kPowerOn = 0x100000;

/// The same with the RTC's periodic interrupt and the PIT running.
Code counting_with_timers() {
  return out(0x43, 0x34) + out(0x40, 0x10) + out(0x40, 0x00) + out(0x70, 0x0b) + out(0x71, 0x42) +
         counting();
}

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

std::unique_ptr<Lockstep> lockstep(devices::CharBackend& serial, const Code& code,
                                   LockstepConfig settings = {}) {
  auto made = Lockstep::create(config(serial), std::move(settings));
  REQUIRE(made);
  (*made)->machines().power_on(plan(code));
  return std::move(*made);
}

LockstepConfig with_fault(u64 at, std::function<void(Vm&)> apply) {
  LockstepConfig settings;
  settings.fault = {at, std::move(apply)};
  return settings;
}

LockstepConfig with_register_fault(u64 at) {
  return with_fault(at, [](Vm& vm) { vm.vcpu().state().reg(cpu::Reg::Rdi) ^= 0x40; });
}

}  // namespace

TEST_CASE("equal engines run to the limit, and everything is compared") {
  for (u64 seed : {1ull, 2ull, 3ull}) {
    Recorder serial;
    LockstepConfig settings;
    settings.seed = seed;
    settings.between_memory_comparisons = 100'000;
    auto both = lockstep(serial, print("hello") + counting_with_timers(), settings);
    LockstepResult result = both->run(1'000'000);
    CHECK(result.run.kind == Kind::MaxInstructions);
    CHECK_FALSE(result.divergence);
    CHECK(both->compared() == 1'000'000);
    CHECK(both->comparisons_of_memory() >= 5);
    CHECK(both->machines().subject().retired() == 1'000'000);
    CHECK(both->machines().subject().state_hash() == both->machines().reference().state_hash());
    CHECK(serial.text == "hello");
  }
}

TEST_CASE("lockstep changes nothing about a run") {
  Recorder alone, together;
  auto machine = vm(config(alone), print("x") + counting_with_timers());
  auto both = lockstep(together, print("x") + counting_with_timers());
  machine->run(300'000);
  CHECK_FALSE(both->run(100'000).divergence);
  CHECK_FALSE(both->run(200'000).divergence);
  CHECK(both->machines().subject().state_hash() == machine->state_hash());
}

TEST_CASE("a wrong register is traced to its instruction") {
  for (u64 at : {1ull, 2ull, 3ull, 77'777ull, 250'001ull, 299'999ull}) {
    CAPTURE(at);
    Recorder serial;
    auto both = lockstep(serial, counting(), with_register_fault(at));
    auto divergence = both->run(300'000).divergence;
    REQUIRE(divergence);
    CHECK(divergence->instructions == at);
    CHECK(divergence->fields == std::vector<std::string>{"rdi"});
    constexpr u64 kOffsets[] = {0, 3, 10, 13};
    CHECK(divergence->rip == kPowerOn + kOffsets[(at - 1) % 4]);
  }
}

TEST_CASE("a report shows both states, the instructions and their micro-ops") {
  Recorder serial;
  auto both = lockstep(serial, counting(), with_register_fault(40'002));
  auto divergence = both->run(300'000).divergence;
  REQUIRE(divergence);
  const std::string& report = divergence->report;
  CAPTURE(report);
  CHECK(
      report.starts_with("The engines differ after 40002 instructions, the last one at 100003\n"
                         "  rdi: reference 0000000000000000, subject 0000000000000040\n"));
  CHECK(report.find("* rdi ") != std::string::npos);
  CHECK(report.find("  rax ") != std::string::npos);
  CHECK(report.find("mov byte ptr [0x200000], al") != std::string::npos);
  CHECK(report.find("Micro-ops of the last block:\n+000") != std::string::npos);
}

TEST_CASE("wrong memory is traced to its instruction, though memory is compared rarely") {
  Recorder serial;
  auto settings = with_fault(33'333, [](Vm& vm) { vm.memory().write({0x300010}, "?", 1); });
  settings.between_memory_comparisons = 1'000'000;
  auto both = lockstep(serial, counting(), settings);
  auto divergence = both->run(5'000'000).divergence;
  REQUIRE(divergence);
  CHECK(divergence->instructions == 33'333);
  CHECK(divergence->fields == std::vector<std::string>{"memory 300010"});
  CHECK(both->machines().subject().retired() < 1'100'000);
}

TEST_CASE("a wrong device is traced to its instruction") {
  Recorder serial;
  auto both = lockstep(serial, counting(),
                       with_fault(12'345, [](Vm& vm) { vm.board().serial(0)->receive('?'); }));
  auto divergence = both->run(100'000).divergence;
  REQUIRE(divergence);
  CHECK(divergence->instructions == 12'345);
  REQUIRE_FALSE(divergence->fields.empty());
  CHECK(divergence->fields[0].starts_with("com1"));
}

TEST_CASE("wrong output is a difference") {
  Recorder serial;
  auto both = lockstep(serial, counting(), with_fault(5'000, [](Vm& vm) {
                         vm.board().write({ExternalAccess::Space::Port,
                                           ExternalAccess::Direction::Write, 1, 0x3f8, '!'});
                       }));
  auto divergence = both->run(100'000).divergence;
  REQUIRE(divergence);
  CHECK(divergence->fields.back() == "printed on COM1");
}

TEST_CASE("how flags came about makes no difference, what they are does") {
  auto flags_as_values = [](Vm& vm) {
    cpu::CpuState& state = vm.vcpu().state();
    state.set_flags(state.flags());
  };
  Recorder serial;
  auto equal = lockstep(serial, counting(), with_fault(1'001, flags_as_values));
  CHECK_FALSE(equal->run(50'000).divergence);
  auto wrong_flag = [](Vm& vm) {
    cpu::CpuState& state = vm.vcpu().state();
    state.set_flags(state.flags() ^ cpu::Flag::kZf);
  };
  auto wrong = lockstep(serial, spin(), with_fault(1'001, wrong_flag));
  auto divergence = wrong->run(50'000).divergence;
  REQUIRE(divergence);
  CHECK(divergence->instructions == 1'001);
  CHECK(divergence->fields == std::vector<std::string>{"rflags"});
}

TEST_CASE("input reaches both machines at the same instruction") {
  Recorder serial;
  auto both = lockstep(serial, echo());
  Typist typist(both->machines().subject(), "hello, worldq");
  both->set_host_events(&typist);
  LockstepResult result = both->run();
  CHECK_FALSE(result.divergence);
  CHECK(result.run.kind == Kind::PoweredOff);
  CHECK(serial.text == "hello, worldq");
}

TEST_CASE("the search for a difference repeats the input") {
  Recorder serial;
  auto both = lockstep(serial, echo(), with_fault(2'000'000, [](Vm& vm) {
                         cpu::CpuState& state = vm.vcpu().state();
                         state.reg(cpu::Reg::Rdi) = state.reg(cpu::Reg::Rdx) + 1;
                       }));
  Typist typist(both->machines().subject(), "hello");
  both->set_host_events(&typist);
  auto divergence = both->run(3'000'000).divergence;
  REQUIRE(divergence);
  CHECK(serial.text == "hello");
  CHECK(divergence->instructions == 2'000'000);
  CHECK(divergence->fields == std::vector<std::string>{"rdi"});
  CHECK(divergence->report.find("agreed") == std::string::npos);
}

TEST_CASE("a difference that does not come back is reported as such") {
  Recorder serial;
  pid_t original = ::getpid();
  auto both = lockstep(serial, counting(), with_fault(9'000, [original](Vm& vm) {
                         if (::getpid() == original) vm.vcpu().state().gpr[9] = 1;
                       }));
  auto divergence = both->run(100'000).divergence;
  REQUIRE(divergence);
  CHECK(divergence->fields == std::vector<std::string>{"r9"});
  CHECK(divergence->report.find("Run again from the last checkpoint, the engines agreed") !=
        std::string::npos);
}

TEST_CASE("a guest that only the user could wake waits for the user") {
  Recorder serial;
  auto both = lockstep(serial, Code{0xfb, 0xf4});
  Typist typist(both->machines().subject(), "abc");
  both->set_host_events(&typist);
  LockstepResult result = both->run();
  CHECK(result.run.kind == Kind::Halted);
  CHECK_FALSE(result.divergence);
  CHECK_FALSE(typist.can_wake());
}

TEST_CASE("windows of lockstep between stretches that the subject runs alone") {
  LockstepConfig settings;
  settings.window = 100'000;
  settings.alone = 400'000;
  Recorder serial;
  auto both = lockstep(serial, counting_with_timers(), settings);
  LockstepResult result = both->run(1'500'000);
  CHECK_FALSE(result.divergence);
  CHECK(both->machines().subject().retired() == 1'500'000);
  CHECK(both->compared() < 700'000);
  CHECK(both->compared() >= 300'000);

  // Between windows the reference takes over what the subject did.
  settings.fault = with_register_fault(300'000).fault;
  CHECK_FALSE(lockstep(serial, counting_with_timers(), settings)->run(1'500'000).divergence);
  settings.fault.at = 550'000;
  auto divergence = lockstep(serial, counting_with_timers(), settings)->run(1'500'000).divergence;
  REQUIRE(divergence);
  CHECK(divergence->instructions == 550'000);
}

TEST_CASE("slices are of all lengths, and a function of the seed") {
  SliceSchedule schedule{.seed = 7, .end = ~0ull};
  std::vector<u64> lengths;
  for (; schedule.next < 1000; ++schedule.next) lengths.push_back(schedule.length(0));
  CHECK(std::ranges::count(lengths, 1) > 20);
  CHECK(std::ranges::max(lengths) > 30'000);
  CHECK(std::ranges::max(lengths) <= 65'536);
  SliceSchedule other{.seed = 8, .end = ~0ull};
  size_t equal = 0;
  for (; other.next < 1000; ++other.next) equal += other.length(0) == lengths[other.next];
  CHECK(equal < 300);
  SliceSchedule ending{.seed = 7, .next = 5, .end = 100};
  CHECK(ending.length(99) == 1);
}

}  // namespace penumbra::machine
