// A register is corrupted in one machine in the middle of a boot in lockstep: the report must name
// that instruction and that register, from among hundreds of millions.
// Usage: lockstep_fault KERNEL INITRD.
#include <fmt/format.h>

#include <cstdlib>

#include "machine/host_file.h"
#include "machine/linux_loader.h"
#include "machine/lockstep.h"

namespace penumbra::machine {

namespace {

constexpr u64 kLargestFile = 1ull << 30;
constexpr u64 kFaultAt = 250'012'345, kLimit = 400'000'000;
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

LoadPlan kernel_plan(Vm& vm, const char* kernel_file, const char* initrd_file) {
  auto kernel = checked(read_host_file(kernel_file, kLargestFile));
  auto initrd = checked(read_host_file(initrd_file, kLargestFile));
  return checked(plan_linux_boot({.kernel = kernel,
                                  .initrd = initrd,
                                  .command_line = "console=ttyS0 quiet",
                                  .rsdp = vm.rsdp(),
                                  .map = vm.memory_map()}));
}

Divergence boot_with_fault(const char* kernel, const char* initrd) {
  VmConfig config;
  config.clock = VirtualClock::Mode::Deterministic;
  config.engine = EngineKind::Baseline;
  LockstepConfig settings;
  settings.fault = {kFaultAt, [](Vm& vm) { vm.vcpu().state().reg(cpu::Reg::Rbx) += 1; }};
  auto both = checked(Lockstep::create(config, settings));
  MachinePair& machines = both->machines();
  machines.power_on(kernel_plan(machines.subject(), kernel, initrd));
  LockstepResult result = both->run(kLimit);
  if (!result.divergence) fail("no difference was found");
  return *result.divergence;
}

void check(const Divergence& divergence) {
  fmt::print("{}", divergence.report);
  if (divergence.instructions != kFaultAt) {
    fail(fmt::format("it was put at {} instructions", divergence.instructions));
  }
  if (divergence.fields != std::vector<std::string>{"rbx"}) fail("more differs than rbx");
}

}  // namespace

}  // namespace penumbra::machine

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: lockstep_fault KERNEL INITRD\n");
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
  penumbra::machine::check(penumbra::machine::boot_with_fault(argv[1], argv[2]));
  return 0;
}
