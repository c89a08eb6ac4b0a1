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
  Json json;
  for (const auto& entry : vcpu.counters().list()) json[entry.group][entry.name] = entry.value;
  return json;
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

Json report(machine::Vm& vm, const std::string& end, u64 wall_ns) {
  double seconds = static_cast<double>(wall_ns) / 1e9;
  double mips = seconds > 0 ? static_cast<double>(vm.retired_here()) / seconds / 1e6 : 0;
  return {{"end", end},
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
}

/// One line a number, under the names of its groups.
void print_table(const Json& json, size_t indent = 0) {
  for (const auto& [name, value] : json.items()) {
    if (value.is_object()) {
      fmt::print(stderr, "{:{}}{}\n", "", indent, name);
      print_table(value, indent + 2);
    } else {
      std::string text = value.is_string() ? value.get<std::string>() : value.dump();
      fmt::print(stderr, "{:{}}{:<{}} {:>20}\n", "", indent, name, 24 - indent, text);
    }
  }
}

u64 resident_bytes() {
  std::ifstream file("/proc/self/statm");
  u64 total = 0, resident = 0;
  file >> total >> resident;
  return resident * kPageSize;
}

}  // namespace

std::expected<StatsFile, std::string> StatsFile::create(const std::string& path) {
  if (path == kTable) return StatsFile(path);
  std::ofstream file(path);
  if (!file) return std::unexpected(fmt::format("{}: {}", path, std::strerror(errno)));
  return StatsFile(path);
}

std::expected<void, std::string> StatsFile::write(machine::Vm& vm, const std::string& end,
                                                  u64 wall_ns) const {
  Json json = report(vm, end, wall_ns);
  if (path_ == kTable) {
    print_table(json);
    return {};
  }
  std::ofstream file(path_);
  file << json.dump(2) << '\n';
  file.close();
  if (!file) return std::unexpected(fmt::format("{}: {}", path_, std::strerror(errno)));
  return {};
}

std::string progress_line(machine::Vm& vm, u64 compared, u64 wall_ns) {
  auto instructions = static_cast<double>(vm.retired_here());
  return fmt::format(
      "lockstep: {:.0f} million instructions, {:.0f} compared, {:.1f} MIPS, {} MiB resident, "
      "{} blocks translated",
      instructions / 1e6, static_cast<double>(compared) / 1e6,
      wall_ns > 0 ? instructions * 1e3 / static_cast<double>(wall_ns) : 0, resident_bytes() >> 20,
      vm.vcpu().counters().engine.blocks);
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
