// check_random: random instructions of every row of the instruction table, engine against host.
//
//   --row MNEMONIC   only that row          --seed S    where the random numbers start
//   --states N       tests a row            --mode 64|32|16   code size
//   --blocks N       N blocks of several instructions instead of a table of rows
//   --quiet          only the totals        --show N    differences printed a row
//   --bless DIR      writes --states vectors a row, answered by the host, into DIR instead
// Exit 0 only when nothing failed; every judged row must have met at least one test.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "tests/check/data.h"
#include "tests/oracle/bless.h"
#include "tests/oracle/encodings.h"
#include "tests/oracle/engine/engine_runner.h"
#include "tests/oracle/host_runner.h"
#include "tests/oracle/host_vendor.h"
#include "tests/oracle/isa_support.h"
#include "tests/oracle/random_tests.h"
#include "tests/oracle/rows.h"
#include "tests/oracle/shrink.h"
#include "tests/oracle/vectors.h"

namespace penumbra::check {
namespace {

using namespace oracle;

struct Options {
  std::string row, bless, engine = EngineRunner::kDefault;
  u64 seed = 1;
  unsigned states = 200, blocks = 0, show = 2;
  CodeSize size = CodeSize::Long;
  bool quiet = false;
};

using JudgedRows = std::vector<std::pair<frontend::Mnemonic, const std::vector<Form>*>>;

struct Counts {
  size_t ended = 0, faulted = 0, failed = 0;
};

class Check {
 public:
  explicit Check(const Options& options) : options_(options), engine_(options.engine) {}

  bool ready() const { return host_.available(); }

  /// Behind FNOP, an engine that keeps the x87 state on a unit of the host has it there.
  void row(const oracle::Row& row, const std::vector<Form>& forms) {
    Random random(options_.seed * 1000003 + row.mnemonic);
    Counts counts;
    for (size_t i = 0; i < std::max<size_t>(options_.states, forms.size() * 4); ++i) {
      const Form& form = forms[i % forms.size()];
      std::vector<Drawn> code{instantiate(form, row.mnemonic, options_.size, random)};
      bool x87 = row.name.starts_with('F');
      if (x87 && random() % 3 == 0) code.push_back(store_environment());
      if (x87 && random() % 2 == 0) code.insert(code.begin(), decoded({0xd9, 0xd0}, options_.size));
      one(random_test(code, options_.size, random), counts);
    }
    if (!options_.quiet || counts.failed != 0)
      fmt::print("{:<14} {:>4} forms {:>6} ended {:>6} faulted {:>6} failed\n", row.name,
                 forms.size(), counts.ended, counts.faulted, counts.failed);
    add(counts);
  }

  void blocks(const JudgedRows& all) {
    Random random(options_.seed);
    Counts counts;
    JudgedRows usable = all;
    std::erase_if(usable, [&](const auto& row) { return !can_end(row, random); });
    for (unsigned i = 0; i < options_.blocks && !usable.empty(); ++i) {
      std::vector<Drawn> block;
      for (u64 length = 2 + random() % 6; length > 0; --length) {
        Drawn next = draw(usable[random() % usable.size()], random);
        if (random() % 3 == 0) block.push_back(branch_over(next, random));
        block.push_back(std::move(next));
        if (has_to_be_last(block.back())) break;
      }
      one(random_test(block, options_.size, random), counts);
    }
    add(counts);
  }

  int report(size_t judged) const {
    fmt::print("seed {}: {} rows, {} ended, {} faulted alike, {} failed\n", options_.seed, judged,
               total_.ended, total_.faulted, total_.failed);
    if (total_.ended + total_.faulted + total_.failed == 0) return kUnusable;
    return total_.failed == 0 ? kPassed : kFailed;
  }

 private:
  /// An image of FXSAVE has the processor's MXCSR_MASK, which the comparison leaves out in memory,
  /// but not in what a later instruction makes of it. A jump would land within an instruction, on
  /// what no row judges.
  static bool has_to_be_last(const Drawn& drawn) {
    auto mnemonic = drawn.instruction.mnemonic;
    return mnemonic == ZYDIS_MNEMONIC_FXSAVE || mnemonic == ZYDIS_MNEMONIC_FXSAVE64 ||
           drawn.instruction.operands.at[0].kind == OperandKind::Relative;
  }

  /// FNSTENV [rSP - 60h], which alone shows the x87's pointers.
  Drawn store_environment() const {
    bool small = options_.size == CodeSize::Bits16;
    return decoded(small ? std::vector<u8>{0x67, 0xd9, 0x74, 0x24, 0xa0}
                         : std::vector<u8>{0xd9, 0x74, 0x24, 0xa0},
                   options_.size);
  }

  /// Jcc, any condition.
  Drawn branch_over(const Drawn& next, Random& random) const {
    auto opcode = static_cast<u8>(0x70 + random() % 16);
    return decoded({opcode, static_cast<u8>(next.bytes.size())}, options_.size);
  }

  Drawn draw(const JudgedRows::value_type& row, Random& random) const {
    const auto& [mnemonic, forms] = row;
    return instantiate((*forms)[random() % forms->size()], mnemonic, options_.size, random);
  }

  /// A row that always faults (the privileged ones) would end every block early.
  bool can_end(const JudgedRows::value_type& row, Random& random) {
    for (int i = 0; i < 16; ++i)
      if (host_.run(random_test({draw(row, random)}, options_.size, random)).outcome ==
          Outcome::Ended)
        return true;
    return false;
  }

  void one(const Test& test, Counts& counts) {
    auto found = disagreement(test, host_, engine_);
    bool traps =
        found.expected.outcome == Outcome::Fault && found.expected.fault.vector == Vector::Db;
    if (traps) {  // a jump onto INT1: hypervisors report it before the instruction
      ++counts.faulted;
    } else if (!found.lines.empty()) {
      if (counts.failed++ < options_.show) show(test);
    } else if (found.expected.outcome == Outcome::Ended) {
      ++counts.ended;
    } else {
      ++counts.faulted;
    }
  }

  void show(const Test& test) {
    Test small = shrink(test, host_, engine_);
    auto found = disagreement(small, host_, engine_);
    fmt::print("{}\n", to_vector(small, found.expected));
    for (const std::string& line : found.lines) fmt::print("    {}\n", line);
  }

  void add(const Counts& counts) {
    total_.ended += counts.ended;
    total_.faulted += counts.faulted;
    total_.failed += counts.failed;
  }

  Options options_;
  HostRunner host_;
  EngineRunner engine_;
  Counts total_;
};

std::optional<Options> parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    std::string name = arguments[i];
    if (name == "--quiet") {
      options.quiet = true;
      continue;
    }
    if (i + 1 == count) return std::nullopt;
    std::string value = arguments[++i];
    unsigned long number = std::strtoul(value.c_str(), nullptr, 0);
    if (name == "--row")
      options.row = value;
    else if (name == "--engine" && EngineRunner::knows(value))
      options.engine = value;
    else if (name == "--bless")
      options.bless = value;
    else if (name == "--seed")
      options.seed = number;
    else if (name == "--states")
      options.states = static_cast<unsigned>(number);
    else if (name == "--blocks")
      options.blocks = static_cast<unsigned>(number);
    else if (name == "--show")
      options.show = static_cast<unsigned>(number);
    else if (name == "--mode" && (number == 64 || number == 32 || number == 16))
      options.size = number == 64   ? CodeSize::Long
                     : number == 32 ? CodeSize::Bits32
                                    : CodeSize::Bits16;
    else
      return std::nullopt;
  }
  std::transform(options.row.begin(), options.row.end(), options.row.begin(), ::toupper);
  return options;
}

std::string kind_of(const frontend::Instruction& in) {
  if (in.operands.x87_opcode != 0) return "x87";
  if (in.operands.vex && in.operands.at[0].kind != OperandKind::Gpr) return "avx";
  for (const Operand& operand : in.operands.at)
    if (operand.kind == OperandKind::Xmm || operand.kind == OperandKind::Mmx) return "vector";
  return "integer";
}

unsigned bits_of(CodeSize size) {
  return size == CodeSize::Long ? 64 : size == CodeSize::Bits32 ? 32 : 16;
}

/// Far transfers load selectors of the host kernel's GDT.
bool judged_form(const Form& form, CodeSize size) {
  auto bytes = plain(form, size);
  return missing_extension(bytes, size).empty() && !decoded(bytes, size).instruction.operands.far;
}

/// The forms whose extensions the model has and that the host can judge.
std::map<frontend::Mnemonic, std::vector<Form>> supported_forms(CodeSize size) {
  auto all = enumerate_forms(size);
  for (auto& [mnemonic, forms] : all)
    std::erase_if(forms, [&](const Form& form) { return !judged_form(form, size); });
  std::erase_if(all, [](const auto& entry) { return entry.second.empty(); });
  return all;
}

/// Vectors of every judged row, in one file a kind of instruction.
int bless_rows(const Options& options, const JudgedRows& judged) {
  HostRunner host;
  if (!host.available() || !host_is_reference_vendor()) return kUnusable;
  std::map<std::string, std::string> texts;
  for (const auto& [mnemonic, forms] : judged) {
    Random random(options.seed * 1000003 + mnemonic);
    for (size_t i = 0; i < std::max<size_t>(options.states, forms->size()); ++i) {
      auto drawn = instantiate((*forms)[i % forms->size()], mnemonic, options.size, random);
      std::string line = bless(random_test({drawn}, options.size, random), host);
      if (!line.empty()) texts[kind_of(drawn.instruction)] += line + "\n";
    }
  }
  for (const auto& [kind, text] : texts) {
    std::ofstream file(fmt::format("{}/{}_{}.txt", options.bless, kind, bits_of(options.size)));
    file << "# Answered by an AMD host; regenerate with check_random --bless.\n" << text;
    if (!file) return kUnusable;
  }
  return kPassed;
}

int run(const Options& options) {
  Check check(options);
  if (!check.ready()) return kUnusable;
  auto forms = supported_forms(options.size);
  JudgedRows judged;
  for (const oracle::Row& row : rows()) {
    if (!options.row.empty() && options.row != row.name) continue;
    auto found = forms.find(row.mnemonic);
    std::string_view reason =
        found == forms.end() ? "no encoding in this mode" : exclusion(row.mnemonic);
    if (reason.empty())
      judged.emplace_back(row.mnemonic, &found->second);
    else if (!options.quiet)
      fmt::print("{:<14} not judged: {}\n", row.name, reason);
    bool table = options.blocks == 0 && options.bless.empty();
    if (reason.empty() && table) check.row(row, found->second);
  }
  if (!options.bless.empty()) return bless_rows(options, judged);
  if (options.blocks != 0 && !judged.empty()) check.blocks(judged);
  return check.report(judged.size());
}

}  // namespace
}  // namespace penumbra::check

int main(int count, char** arguments) {
  auto options = penumbra::check::parse(count, arguments);
  if (options) return penumbra::check::run(*options);
  fmt::print(stderr,
             "usage: check_random [--row MNEMONIC] [--seed S] [--states N] [--blocks N] "
             "[--mode 64|32|16] [--show N] [--quiet]\n");
  return penumbra::check::kUnusable;
}
