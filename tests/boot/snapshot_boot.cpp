// Snapshots taken in the middle of a boot: in decompression, with an interrupt pending, in user
// mode. At each point the machine is saved, restored into a new one, and both run on: after 100
// million instructions the state hashes must be equal, and so must what the console said.
// Usage: snapshot_boot KERNEL INITRD FILE, where FILE is the snapshot to write.
#include <fmt/format.h>

#include <cstdlib>
#include <functional>

#include "machine/host_file.h"
#include "machine/linux_loader.h"
#include "machine/vm.h"

namespace penumbra::machine {

namespace {

constexpr u64 kLargestFile = 1ull << 30;
constexpr u64 kFurther = 100'000'000;
constexpr int kSkipped = 77;

[[noreturn]] void fail(const std::string& message) {
  fmt::print("FAILED: {}\n", message);
  std::exit(1);
}

template <class T>
T checked(std::expected<T, std::string> result) {
  if (!result) fail(result.error());
  return std::move(*result);
}

void checked(std::expected<void, std::string> result) {
  if (!result) fail(result.error());
}

class Console final : public devices::CharBackend {
 public:
  void write(u8 byte) override { text_ += static_cast<char>(byte); }
  const std::string& text() const { return text_; }
  bool contains(const char* what) const { return text_.find(what) != std::string::npos; }

 private:
  std::string text_;
};

/// A machine with its console; deterministic.
struct Machine {
  Console console;
  std::unique_ptr<Vm> vm;

  Machine() {
    VmConfig config;
    config.clock = VirtualClock::Mode::Deterministic;
    config.board.serial[0] = &console;
    vm = checked(Vm::create(config));
  }
  void run(u64 instructions) {
    RunResult result = vm->run(instructions);
    if (result.kind == RunResult::Kind::MaxInstructions) return;
    fail(fmt::format("the run ended at {} instructions, way {}: {}", vm->retired(),
                     static_cast<int>(result.kind), console.text()));
  }
  /// Runs in steps until the condition holds.
  void run_until(const std::function<bool()>& reached, const std::function<u64()>& step) {
    while (!reached()) run(step());
  }
  const cpu::CpuState& cpu() { return vm->vcpu().state(); }
};

void power_on(Machine& machine, const char* kernel_file, const char* initrd_file) {
  auto kernel = checked(read_host_file(kernel_file, kLargestFile));
  auto initrd = checked(read_host_file(initrd_file, kLargestFile));
  machine.vm->power_on(checked(plan_linux_boot({.kernel = kernel,
                                                .initrd = initrd,
                                                .command_line = "console=ttyS0 quiet",
                                                .rsdp = machine.vm->rsdp(),
                                                .map = machine.vm->memory_map()})));
}

/// Saves here, runs the original and a restored copy further, and compares.
void compare_from_here(Machine& original, const char* point, const char* file) {
  checked(original.vm->save(file));
  Machine copy;
  checked(copy.vm->restore(checked(snapshot::Container::read(file))));
  u64 start = original.vm->retired(), hash = original.vm->state_hash();
  if (copy.vm->state_hash() != hash) fail(fmt::format("{}: restored with another hash", point));
  size_t said = original.console.text().size();
  original.run(kFurther);
  copy.run(kFurther);
  u64 expected = original.vm->state_hash(), found = copy.vm->state_hash();
  fmt::print("{}: at {} instructions {:016x}; {} later {:016x} and, restored, {:016x}\n", point,
             start, hash, kFurther, expected, found);
  if (expected != found) fail(fmt::format("{}: the restored machine went another way", point));
  if (expected == hash) fail(fmt::format("{}: the hash does not see that time passed", point));
  if (original.console.text().substr(said) != copy.console.text()) {
    fail(fmt::format("{}: the restored machine printed something else", point));
  }
}

u64 until_next_timer(Machine& machine) {
  constexpr u64 kWithoutTimers = 100'000;
  auto deadline = machine.vm->clock().next_deadline();
  u64 now = machine.vm->clock().now_ns();
  return deadline && *deadline > now ? *deadline - now : kWithoutTimers;
}

void compare_at_all_points(const char* kernel, const char* initrd, const char* file) {
  constexpr u64 kIntoDecompression = 20'000'000;
  Machine machine;
  power_on(machine, kernel, initrd);
  machine.run(kIntoDecompression);
  constexpr u64 kKernelHalf = 0xffff'8000'0000'0000;
  if (machine.cpu().rip >= kKernelHalf) fail("decompression is already over");
  compare_from_here(machine, "in decompression", file);

  machine.run_until(
      [&] {
        return machine.vm->board().local_apic().interrupt_pending() &&
               !machine.cpu().flag(cpu::Flag::kIf);
      },
      [&] { return until_next_timer(machine); });
  compare_from_here(machine, "with an interrupt pending and IF = 0", file);

  machine.run_until(
      [&] { return machine.console.contains("selftest: begin") && machine.cpu().cpl == 3; },
      [] { return u64{10'007}; });
  compare_from_here(machine, "in user mode", file);
}

}  // namespace

}  // namespace penumbra::machine

int main(int argc, char** argv) {
  if (argc != 4) {
    fmt::print(stderr, "usage: snapshot_boot KERNEL INITRD FILE\n");
    return 2;
  }
  for (const char* file : {argv[1], argv[2]}) {
    if (FILE* opened = std::fopen(file, "rb")) {
      std::fclose(opened);
      continue;
    }
    fmt::print("skipped: there is no {}\n", file);
    return penumbra::machine::kSkipped;
  }
  penumbra::machine::compare_at_all_points(argv[1], argv[2], argv[3]);
  return 0;
}
