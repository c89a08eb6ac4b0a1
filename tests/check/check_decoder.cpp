// check_decoder FILE.hex...: the decoder against Capstone over real blocks.
//
// Every distinct instruction must have the same length, mnemonic and number of operands. What
// differs by rule is listed below with its reason; a rule that explains nothing fails the check.
#include <Zydis/Mnemonic.h>
#include <capstone/capstone.h>
#include <fmt/format.h>

#include <array>
#include <set>

#include "frontend/decoder.h"
#include "tests/check/data.h"
#include "tests/oracle/encodings.h"
#include "tests/oracle/test_case.h"

namespace penumbra::check {
namespace {

struct Rule {
  std::string_view ours, theirs;  ///< mnemonics; equal for a rule about operands
  std::string_view reason;
  size_t used = 0;
};

constexpr std::string_view kSynonym = "two names of one condition code (SDM 1, appendix B)";
constexpr std::string_view kPredicate = "Capstone names the comparison predicate of the immediate";

std::array kRules = {
    Rule{"cmovnb", "cmovae", kSynonym},
    Rule{"cmovnbe", "cmova", kSynonym},
    Rule{"cmovnl", "cmovge", kSynonym},
    Rule{"cmovnle", "cmovg", kSynonym},
    Rule{"cmovnz", "cmovne", kSynonym},
    Rule{"cmovz", "cmove", kSynonym},
    Rule{"setnb", "setae", kSynonym},
    Rule{"setnbe", "seta", kSynonym},
    Rule{"setnl", "setge", kSynonym},
    Rule{"setnle", "setg", kSynonym},
    Rule{"setnz", "setne", kSynonym},
    Rule{"setz", "sete", kSynonym},
    Rule{"cmpsd", "cmpeqsd", kPredicate},
    Rule{"vcmpps", "vcmplt_oqps", kPredicate},
    Rule{"fwait", "wait", "two names of 9B (SDM 2, WAIT/FWAIT)"},
    Rule{"mov", "movabs", "Capstone marks MOV with a 64-bit immediate or offset"},
    Rule{"nop", "nop", "0F 1F encodes a register operand that Capstone leaves out"},
};

struct Difference {
  std::string ours, theirs;
};

class Capstone {
 public:
  Capstone() {
    cs_open(CS_ARCH_X86, CS_MODE_64, &handle_);
    cs_option(handle_, CS_OPT_DETAIL, CS_OPT_ON);
    instruction_ = cs_malloc(handle_);
  }
  ~Capstone() {
    cs_free(instruction_, 1);
    cs_close(&handle_);
  }
  Capstone(const Capstone&) = delete;
  Capstone& operator=(const Capstone&) = delete;

  /// nullptr where Capstone refuses the bytes.
  const cs_insn* decode(std::span<const u8> bytes) {
    const u8* code = bytes.data();
    size_t left = bytes.size();
    u64 address = 0;
    return cs_disasm_iter(handle_, &code, &left, &address, instruction_) ? instruction_ : nullptr;
  }

 private:
  csh handle_ = 0;
  cs_insn* instruction_ = nullptr;
};

std::string without_prefix(std::string_view mnemonic) {
  size_t space = mnemonic.rfind(' ');
  return std::string(space == std::string_view::npos ? mnemonic : mnemonic.substr(space + 1));
}

bool explained(std::string_view ours, std::string_view theirs) {
  for (Rule& rule : kRules) {
    if (rule.ours != ours || rule.theirs != theirs) continue;
    ++rule.used;
    return true;
  }
  return false;
}

/// The decoder's and Capstone's view of one instruction, as text that must be equal.
std::optional<Difference> compare(const frontend::Instruction& in, const cs_insn* theirs) {
  std::string ours = ZydisMnemonicGetString(in.mnemonic);
  if (theirs == nullptr) return Difference{ours, "refused"};
  std::string name = without_prefix(theirs->mnemonic);
  if (theirs->size != in.length())
    return Difference{fmt::format("{} length {}", ours, in.length()),
                      fmt::format("{} length {}", name, theirs->size)};
  bool same_operands = theirs->detail->x86.op_count == in.operands.count;
  if ((ours != name || !same_operands) && !explained(ours, name))
    return Difference{fmt::format("{} with {} operands", ours, in.operands.count),
                      fmt::format("{} with {} operands", name, theirs->detail->x86.op_count)};
  return std::nullopt;
}

class Check {
 public:
  void block(std::span<const u8> bytes) {
    while (!bytes.empty()) {
      auto in = frontend::decode(bytes, oracle::user_mode(CodeSize::Long));
      if (!in) return fail(bytes, "refused", "an instruction of a real program");
      auto one = bytes.first(in->length());
      bytes = bytes.subspan(in->length());
      if (seen_.insert({one.begin(), one.end()}).second) instruction(*in, one);
    }
  }

  int report() {
    for (const Rule& rule : kRules) {
      if (rule.used != 0) continue;
      fmt::print("rule {} / {} explains nothing\n", rule.ours, rule.theirs);
      ++failures_;
    }
    fmt::print("{} distinct instructions, {} failures\n", seen_.size(), failures_);
    if (seen_.empty()) return kUnusable;
    return failures_ == 0 ? kPassed : kFailed;
  }

 private:
  void instruction(const frontend::Instruction& in, std::span<const u8> bytes) {
    if (auto difference = compare(in, capstone_.decode(bytes)))
      fail(bytes, difference->ours, difference->theirs);
  }
  void fail(std::span<const u8> bytes, std::string_view ours, std::string_view theirs) {
    ++failures_;
    fmt::print("{}: {}, Capstone: {}\n", oracle::to_hex({bytes.begin(), bytes.end()}), ours,
               theirs);
  }

  Capstone capstone_;
  std::set<std::vector<u8>> seen_;
  size_t failures_ = 0;
};

int run(const std::vector<std::string>& files) {
  Check check;
  for (const std::string& path : files) {
    auto lines = read_lines(path);
    if (!lines) {
      fmt::print(stderr, "check_decoder: cannot read {}\n", path);
      return kUnusable;
    }
    for (const std::string& line : *lines) check.block(oracle::parse_hex(line));
  }
  return check.report();
}

}  // namespace
}  // namespace penumbra::check

int main(int count, char** arguments) {
  using namespace penumbra::check;
  std::vector<std::string> files(arguments + 1, arguments + count);
  if (!files.empty()) return run(files);
  files = data_files("bhive", ".hex");
  return files.empty() ? kSkipped : run(files);
}
