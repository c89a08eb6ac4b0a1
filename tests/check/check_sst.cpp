// check_sst [--engine NAME] DIR...: tests captured from an 80286 in real mode, run on an engine.
// mode, run on the engine.
//
// INIT -> run to the HLT -> FINA: registers, flags but the undefined ones, every byte of memory.
// What faults otherwise on a later CPU is run and must do so; what has another meaning now is
// skipped by the rules of tests/sst/rules.cpp, at most 2 % of all. Exit 0 only when nothing failed;
// 2 when a folder cannot be read or holds no test.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/check/data.h"
#include "tests/sst/machine.h"
#include "tests/sst/moo.h"
#include "tests/sst/rules.h"

namespace penumbra::check {
namespace {

using namespace sst;
namespace fs = std::filesystem;

constexpr u16 kFixedFlags = 0xf000;  // real mode: the same on an 80286 whatever was loaded
constexpr double kMostSkipped = 0.02;

/// Which flags an opcode file's tests define, from metadata.json.
class Metadata {
 public:
  explicit Metadata(const fs::path& directory) {
    std::ifstream file(directory / "metadata.json");
    json_ = nlohmann::json::parse(file, nullptr, false);
  }
  bool good() const { return json_.is_object() && json_.contains("opcodes"); }

  /// `stem` is "D0.4" or "00".
  u16 defined_flags(const std::string& stem) const {
    size_t dot = stem.find('.');
    auto opcode = json_["opcodes"].find(stem.substr(0, dot));
    if (opcode == json_["opcodes"].end()) return 0xffff;
    const nlohmann::json* entry = &*opcode;
    if (dot != std::string::npos && entry->contains("reg")) {
      const auto& forms = (*entry)["reg"];
      auto form = forms.find(stem.substr(dot + 1));
      if (form == forms.end()) return 0xffff;
      entry = &*form;
    }
    return entry->value("flags-mask", u16{0xffff});
  }

 private:
  nlohmann::json json_;
};

u16 expected_register(const MooTest& test, size_t reg) {
  return test.final.regs[reg].value_or(test.initial.regs[reg].value_or(0));
}

class Check {
 public:
  Check(size_t show, machine::EngineKind engine) : show_(show), machine_(engine) {}

  void test(const MooTest& test, const std::string& stem, u16 defined) {
    ++total_;
    Rule rule = rule_for(test);
    if (rule.verdict == Verdict::Skip) {
      ++skipped_[std::string(rule.reason)];
      return;
    }
    auto fault = fault_now(rule.verdict);
    auto result = machine_.run(test.initial, fault.has_value());
    auto problems = fault ? compare_fault(test, result, *fault)
                          : compare(restarted(test, rule.verdict), result, defined);
    if (problems.empty())
      ++(fault ? raised_ : passed_);
    else
      fail(test, stem, problems);
  }

  int report() const {
    size_t skipped = 0;
    for (const auto& [reason, count] : skipped_) {
      fmt::print("skipped {:>4}: {}\n", count, reason);
      skipped += count;
    }
    fmt::print("{} tests: {} passed, {} raised what later CPUs raise, {} failed, {} skipped\n",
               total_, passed_, raised_, failed_, skipped);
    if (total_ == 0) return kUnusable;
    bool too_many = static_cast<double>(skipped) > kMostSkipped * static_cast<double>(total_);
    return failed_ == 0 && !too_many ? kPassed : kFailed;
  }

 private:
  using Problems = std::vector<std::string>;

  static std::optional<Fault> fault_now(Verdict verdict) {
    if (verdict == Verdict::Undefined) return Fault::ud();
    if (verdict == Verdict::StackFault) return Fault::ss();
    return std::nullopt;
  }

  /// The test as a CPU with restartable faults would have ended it.
  static MooTest restarted(MooTest test, Verdict verdict) {
    if (verdict == Verdict::Restarts)
      for (MooReg reg : {MooReg::Cx, MooReg::Si, MooReg::Di})
        test.final.regs[static_cast<size_t>(reg)].reset();
    return test;
  }

  /// The fault is raised at the instruction, and nothing has changed.
  static Problems compare_fault(const MooTest& test, const RunResult& result, const Fault& fault) {
    Problems problems;
    if (result.end != RunResult::End::Caught || *result.fault != fault)
      problems.push_back(fmt::format("expected exception {}", static_cast<int>(fault.vector)));
    for (size_t reg = 0; reg < kMooRegs; ++reg)
      compare_register(problems, reg, test.initial.regs[reg].value_or(0), result.regs[reg], 0xfff);
    if (!result.changed.empty()) problems.push_back("memory changed");
    return problems;
  }

  static Problems compare(const MooTest& test, const RunResult& result, u16 defined) {
    Problems problems;
    if (result.end != RunResult::End::Halted) {
      problems.push_back(
          result.fault ? fmt::format("no HLT; exception {}", static_cast<int>(result.fault->vector))
                       : "no HLT");
      return problems;
    }
    for (size_t reg = 0; reg < kMooRegs; ++reg)
      compare_register(problems, reg, expected_register(test, reg), result.regs[reg], defined);
    compare_memory(problems, test, result, defined);
    return problems;
  }

  static void compare_register(Problems& problems, size_t reg, u16 expected, u16 got, u16 defined) {
    static constexpr const char* kNames[] = {"ax", "bx", "cx", "dx", "cs", "ss", "ds",
                                             "es", "sp", "bp", "si", "di", "ip", "flags"};
    bool flags = reg == static_cast<size_t>(MooReg::Flags);
    u16 mask = flags ? defined & ~kFixedFlags : 0xffff;
    if ((expected & mask) != (got & mask))
      problems.push_back(
          fmt::format("{}: expected {:04x}, got {:04x}", kNames[reg], expected & mask, got & mask));
  }

  /// Both sides as differences from the initial memory; a pushed flags word is masked.
  static void compare_memory(Problems& problems, const MooTest& test, const RunResult& result,
                             u16 defined) {
    std::map<u32, u8> initial, expected, got;
    for (auto [address, byte] : test.initial.memory) initial[address] = byte;
    for (auto [address, byte] : test.final.memory)
      if (initial[address] != byte) expected[address] = byte;
    for (auto [address, byte] : result.changed) got[address] = byte;
    std::map<u32, u8> all = expected;
    all.insert(got.begin(), got.end());
    for (auto [address, byte] : all) {
      u8 want = expected.contains(address) ? expected[address] : initial[address];
      u8 have = got.contains(address) ? got[address] : initial[address];
      u8 mask = pushed_mask(test, address, defined);
      if ((want & mask) != (have & mask))
        problems.push_back(fmt::format("[{:x}]: expected {:02x}, got {:02x}", address, want, have));
    }
  }

  static u8 pushed_mask(const MooTest& test, u32 address, u16 defined) {
    if (!test.exception) return 0xff;
    auto initial = [&](MooReg reg) {
      return u32{test.initial.regs[static_cast<size_t>(reg)].value_or(0)};
    };
    u32 flags_at = (initial(MooReg::Ss) << 4) + ((initial(MooReg::Sp) - 2) & 0xffff);
    u16 mask = defined & ~kFixedFlags;
    if (address == flags_at) return static_cast<u8>(mask);
    if (address == flags_at + 1) return static_cast<u8>(mask >> 8);
    return 0xff;
  }

  void fail(const MooTest& test, const std::string& stem, const Problems& problems) {
    if (failed_++ >= show_) return;
    fmt::print("{} #{} {} ({:02x})\n", stem, test.index, test.name, fmt::join(test.bytes, ""));
    for (const std::string& line : problems) fmt::print("    {}\n", line);
  }

  size_t show_;
  RealModeMachine machine_;
  size_t total_ = 0, passed_ = 0, raised_ = 0, failed_ = 0;
  std::map<std::string, size_t> skipped_;
};

std::string stem_of(const fs::path& path) {
  std::string name = path.filename().string();
  return name.substr(0, name.find(".MOO"));
}

/// False with a line on stderr when the folder is not one of tests.
bool check_directory(Check& check, const std::string& directory) {
  Metadata metadata(directory);
  if (!metadata.good()) {
    fmt::print(stderr, "check_sst: {} has no readable metadata.json\n", directory);
    return false;
  }
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(directory))
    if (entry.path().string().find(".MOO") != std::string::npos) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const fs::path& path : files) {
    auto tests = read_moo(path.string());
    if (!tests) {
      fmt::print(stderr, "check_sst: {}\n", tests.error());
      return false;
    }
    std::string stem = stem_of(path);
    u16 defined = metadata.defined_flags(stem);
    for (const MooTest& test : *tests) check.test(test, stem, defined);
  }
  return true;
}

int run(const std::vector<std::string>& directories, size_t show, machine::EngineKind engine) {
  Check check(show, engine);
  for (const std::string& directory : directories)
    if (!check_directory(check, directory)) return kUnusable;
  return check.report();
}

}  // namespace
}  // namespace penumbra::check

int main(int count, char** arguments) {
  using namespace penumbra::check;
  std::vector<std::string> directories;
  size_t show = 10;
  auto engine = penumbra::machine::EngineKind::Interp;
  for (int i = 1; i < count; ++i) {
    std::string argument = arguments[i];
    if (argument == "--show" && i + 1 < count)
      show = std::strtoul(arguments[++i], nullptr, 0);
    else if (argument == "--engine" && i + 1 < count)
      engine = std::string(arguments[++i]) == "interp" ? penumbra::machine::EngineKind::Interp
                                                       : penumbra::machine::EngineKind::Baseline;
    else
      directories.push_back(argument);
  }
  if (!directories.empty()) return run(directories, show, engine);
  auto root = data_directory();
  if (!root || !fs::is_directory(*root / "sst286")) return kSkipped;
  return run({(*root / "sst286").string()}, show, engine);
}
