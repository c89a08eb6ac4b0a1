#include "cli/stats.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

namespace penumbra::cli {

namespace {

using Json = nlohmann::ordered_json;

Json cpu_counters(const machine::Vcpu& vcpu) {
  machine::VcpuCounters c = vcpu.counters();
  return {{"blocks_translated", c.blocks_translated},
          {"instructions_translated", c.instructions_translated},
          {"lookups", c.lookups},
          {"links", c.links},
          {"invalidations", c.invalidations},
          {"interrupts", c.interrupts},
          {"exceptions", c.exceptions},
          {"external_exits", c.external_exits}};
}

Json mmu_counters(const mmu::Mmu& mmu) {
  const mmu::Mmu::Counters& c = mmu.counters();
  return {{"fills", c.fills},
          {"walks", c.walks},
          {"slow_reads", c.slow_reads},
          {"slow_writes", c.slow_writes},
          {"table_writes", c.table_writes},
          {"tables", c.tables},
          {"evictions", c.evictions},
          {"flushes", c.flushes}};
}

Json clock_counters(const machine::VirtualClock& clock) {
  bool deterministic = clock.mode() == machine::VirtualClock::Mode::Deterministic;
  return {{"mode", deterministic ? "deterministic" : "host"},
          {"guest_ns", clock.now_ns()},
          {"skipped_ns", clock.skipped_ns()},
          {"timer_expirations", clock.expirations()}};
}

}  // namespace

std::expected<StatsFile, std::string> StatsFile::create(const std::string& path) {
  std::ofstream file(path);
  if (!file) return std::unexpected(fmt::format("{}: {}", path, std::strerror(errno)));
  return StatsFile(path);
}

std::expected<void, std::string> StatsFile::write(machine::Vm& vm, const std::string& end,
                                                  u64 wall_ns) const {
  double seconds = static_cast<double>(wall_ns) / 1e9;
  double mips = seconds > 0 ? static_cast<double>(vm.retired_here()) / seconds / 1e6 : 0;
  Json json = {{"end", end},
               {"instructions", vm.retired_here()},
               {"total_instructions", vm.retired()},
               {"wall_seconds", seconds},
               {"mips", mips},
               {"resets", vm.resets()},
               {"halts", vm.halts()},
               {"state_hash", fmt::format("{:016x}", vm.state_hash())},
               {"cpu", cpu_counters(vm.vcpu())},
               {"mmu", mmu_counters(vm.vcpu().mmu())},
               {"clock", clock_counters(vm.clock())}};
  std::ofstream file(path_);
  file << json.dump(2) << '\n';
  file.close();
  if (!file) return std::unexpected(fmt::format("{}: {}", path_, std::strerror(errno)));
  return {};
}

std::string end_name(machine::RunResult::Kind kind) {
  using Kind = machine::RunResult::Kind;
  switch (kind) {
    case Kind::PoweredOff:
      return "powered-off";
    case Kind::Reset:
      return "reset";
    case Kind::TripleFault:
      return "triple-fault";
    case Kind::DebugExit:
      return "debug-exit";
    case Kind::MaxInstructions:
      return "max-instructions";
    case Kind::Stopped:
      return "stopped";
    case Kind::Halted:
      return "halted";
  }
  return "unknown";
}

}  // namespace penumbra::cli
