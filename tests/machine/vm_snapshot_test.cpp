#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <random>

#include "guests.h"
#include "machine/vm.h"

namespace penumbra::machine {

using namespace guests;

namespace {

struct TemporaryFile {
  std::string path = (std::filesystem::temp_directory_path() / "machine.XXXXXX").string();
  TemporaryFile() {
    int descriptor = ::mkstemp(path.data());
    REQUIRE(descriptor >= 0);
    ::close(descriptor);
  }
  ~TemporaryFile() { std::filesystem::remove(path); }
};

/// Starts PIT, RTC and local APIC timers, then counts forever.
Code busy() {
  // mov eax, imm32; mov [fee00000h + reg], eax by its 64-bit address form
  auto apic = [](u8 high, u8 low, u32 value) {
    return Code{0xb8,
                static_cast<u8>(value),
                static_cast<u8>(value >> 8),
                static_cast<u8>(value >> 16),
                static_cast<u8>(value >> 24),
                0xa3,
                low,
                high,
                0xe0,
                0xfe,
                0,
                0,
                0,
                0};
  };
  return out(0x43, 0x34) + out(0x40, 0x10) + out(0x40, 0x00) + out(0x70, 0x0b) + out(0x71, 0x42) +
         apic(0x00, 0xf0, 0x1ff) + apic(0x03, 0x20, 0x20030) + apic(0x03, 0xe0, 0xb) +
         apic(0x03, 0x80, 777) + out(0x3f9, 0x0f) + out(0x64, 0xd4) + out(0x60, 0xf4) +
         Code{0x48, 0xff, 0xc0, 0x88, 0x04, 0x25, 0x00, 0x00, 0x20, 0x00, 0xeb, 0xf4};
}

snapshot::Container saved(Vm& machine) {
  TemporaryFile file;
  REQUIRE(machine.save(file.path));
  auto container = snapshot::Container::read(file.path);
  REQUIRE(container);
  return *container;
}

/// The container with one section's contents changed, and a right checksum.
template <class Change>
snapshot::Container changed(const snapshot::Container& container, const std::string& name,
                            Change change) {
  snapshot::Container result;
  for (const snapshot::Section& section : container.sections()) {
    if (section.name != name) {
      result.add(section);
      continue;
    }
    auto bytes = snapshot::unpack(section, 1ull << 32);
    REQUIRE(bytes);
    change(*bytes);
    result.add(snapshot::pack(section.name, section.version, *bytes));
  }
  return result;
}

}  // namespace

TEST_CASE("a restored machine is the saved one, and stays it") {
  Recorder serial;
  auto original = vm(config(serial), print("hi") + busy());
  for (u64 at : {1ull, 40ull, 5'000ull, 123'457ull}) {
    original->run(at);
    snapshot::Container container = saved(*original);
    Recorder other_serial;
    auto restored = Vm::create(config(other_serial));
    REQUIRE(restored);
    auto done = (*restored)->restore(container);
    REQUIRE(done);
    CHECK((*restored)->state_hash() == original->state_hash());
    CHECK(saved(**restored).encode() == container.encode());
    original->run(100'000);
    (*restored)->run(100'000);
    CHECK((*restored)->state_hash() == original->state_hash());
    CHECK((*restored)->clock().now_ns() == original->clock().now_ns());
  }
}

TEST_CASE("a machine that has run can be restored in place") {
  Recorder serial;
  auto machine = vm(config(serial), busy());
  machine->run(5'000);
  u64 hash = machine->state_hash();
  snapshot::Container container = saved(*machine);
  machine->run(77'777);
  CHECK(machine->state_hash() != hash);
  REQUIRE(machine->restore(container));
  CHECK(machine->state_hash() == hash);
}

TEST_CASE("the state hash covers every section and RAM") {
  Recorder serial;
  auto machine = vm(config(serial), busy());
  machine->run(10'000);
  u64 hash = machine->state_hash();
  for (StateSection& section : machine->sections()) {
    Archive saver = Archive::saver();
    section.serialize(saver);
    std::vector<u8> bytes = saver.take();
    auto load = [&] {
      Archive loader = Archive::loader(bytes);
      section.serialize(loader);
    };
    bool noticed = false;
    for (size_t i = 0; i < bytes.size() && !noticed; ++i) {
      bytes[i] ^= 1;
      load();
      noticed = machine->state_hash() != hash;
      bytes[i] ^= 1;
      load();
    }
    CAPTURE(section.name);
    CHECK(noticed);
    CHECK(machine->state_hash() == hash);
  }
  u8 byte = 0x5a;
  machine->memory().write({0x300000}, &byte, 1);
  CHECK(machine->state_hash() != hash);
  byte = 0;
  machine->memory().write({0x300000}, &byte, 1);
  CHECK(machine->state_hash() == hash);
  machine->vcpu().state().reg(cpu::Reg::R9) ^= 1;
  CHECK(machine->state_hash() != hash);
}

TEST_CASE("sections with a byte too few or too many are refused") {
  Recorder serial;
  auto machine = vm(config(serial), busy());
  machine->run(1'000);
  snapshot::Container container = saved(*machine);
  for (const snapshot::Section& section : container.sections()) {
    CAPTURE(section.name);
    auto shorter = changed(container, section.name, [](auto& bytes) { bytes.pop_back(); });
    auto longer = changed(container, section.name, [](auto& bytes) { bytes.push_back(0); });
    auto fresh = Vm::create(config(serial));
    CHECK_FALSE((*fresh)->restore(shorter));
    CHECK_FALSE((*fresh)->restore(longer));
  }
}

TEST_CASE("whatever a snapshot holds, restoring and running it stays inside the machine") {
  Recorder serial;
  auto machine = vm(config(serial), busy());
  machine->run(20'000);
  snapshot::Container container = saved(*machine);
  std::mt19937_64 random(7);
  int restored = 0;
  for (const snapshot::Section& section : container.sections()) {
    if (section.name == "ram" || section.name == "config") continue;
    for (int round = 0; round < 40; ++round) {
      auto damaged = changed(container, section.name, [&](std::vector<u8>& bytes) {
        for (int i = 0; i < 1 + round % 4; ++i) {
          u8 value = random() % 2 ? static_cast<u8>(random()) : 0xff;
          bytes[random() % bytes.size()] = value;
        }
      });
      Recorder other;
      auto fresh = Vm::create(config(other));
      REQUIRE(fresh);
      if (!(*fresh)->restore(damaged)) continue;
      ++restored;
      (*fresh)->run(20'000);
    }
  }
  CHECK(restored > 100);
}

}  // namespace penumbra::machine
