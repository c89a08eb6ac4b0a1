// check_blocks FILE.hex...: real blocks of machine code, one hex string a line, engine against
// host.
//
//   --engine NAME   the engine to test       --states N   register states a block (default 4)
//   --seed S        where they start         --show N     failures printed
//   --ended-at-least PERCENT   of the blocks not skipped: fails below (default 0)
// Registers, flags, memory, MXCSR, x87 and vector state and faults must agree. A block is skipped
// only for an ISA extension that the model lacks. Around an instruction whose answer is the host's
// own (CPUID, RDTSC; see exclusions.def) it is compared in pieces. Exit 0 only when nothing failed;
// 2 when a file cannot be read or holds no test.
#include <fmt/format.h>

#include <Zydis/Mnemonic.h>

#include <cstdlib>
#include <map>

#include "frontend/decoder.h"
#include "frontend/listing.h"
#include "tests/check/data.h"
#include "tests/oracle/block_states.h"
#include "tests/oracle/encodings.h"
#include "tests/oracle/engine/engine_runner.h"
#include "tests/oracle/host_runner.h"
#include "tests/oracle/isa_support.h"
#include "tests/oracle/rows.h"
#include "tests/oracle/shrink.h"

namespace penumbra::check {
namespace {

using namespace oracle;

struct Options {
  std::vector<std::string> files;
  std::string engine = EngineRunner::kDefault;
  unsigned states = 4, show = 10, ended_at_least = 0;
  u64 seed = 1;
};

class Check {
 public:
  explicit Check(const Options& options) : options_(options), engine_(options.engine) {}

  bool ready() const { return host_.available(); }

  void block(const std::vector<u8>& code) {
    std::string missing = first_missing_extension(code);
    if (!missing.empty()) {
      ++skipped_[missing];
      return;
    }
    bool all_end = true;
    for (const auto& piece : pieces(code)) {
      bool ends = false;  // in some state
      for (unsigned i = 0; i < options_.states; ++i)
        if (!agrees(block_test(piece, options_.seed + i), ends)) return;
      all_end = all_end && ends;
    }
    ++(all_end ? ended_ : faulted_);
  }

  int report() const {
    size_t skipped = 0;
    for (const auto& [extension, count] : skipped_) {
      fmt::print("skipped: {:>6} for {}\n", count, extension);
      skipped += count;
    }
    for (const auto& [name, count] : left_out_) fmt::print("left out: {:>5} {}\n", count, name);
    fmt::print("passed {} ({} to the end, {} with the same fault), failed {}, skipped {}\n",
               ended_ + faulted_, ended_, faulted_, failed_, skipped);
    size_t run = ended_ + faulted_ + failed_;
    if (run == 0) return kUnusable;
    bool enough = ended_ * 100 >= run * options_.ended_at_least;
    if (!enough) fmt::print("fewer than {}% ran to the end\n", options_.ended_at_least);
    return failed_ == 0 && enough ? kPassed : kFailed;
  }

 private:
  bool agrees(const Test& test, bool& ends) {
    auto found = disagreement(test, host_, engine_);
    if (!found.lines.empty()) fail(test, found);
    ends = ends || found.expected.outcome == Outcome::Ended;
    return found.lines.empty();
  }

  /// The block without the instructions that only the host could answer.
  std::vector<std::vector<u8>> pieces(const std::vector<u8>& code) {
    std::vector<std::vector<u8>> result(1);
    std::span<const u8> rest = code;
    while (!rest.empty()) {
      auto in = frontend::decode(rest, user_mode(CodeSize::Long));
      size_t length = in ? in->length() : rest.size();
      std::string_view reason = in ? exclusion(in->mnemonic) : std::string_view();
      if (reason.empty()) {
        result.back().insert(result.back().end(), rest.begin(),
                             rest.begin() + static_cast<long>(length));
      } else {
        ++left_out_[fmt::format("{}: {}", ZydisMnemonicGetString(in->mnemonic), reason)];
        result.emplace_back();
      }
      rest = rest.subspan(length);
    }
    std::erase_if(result, [](const auto& piece) { return piece.empty(); });
    return result;
  }

  void fail(const Test& test, const Disagreement& found) {
    if (failed_++ >= options_.show) return;
    fmt::print("{} seed {}\n{}", to_hex(test.code), test.pattern_seed,
               frontend::list_guest(test.code, kCodeAddress, CodeSize::Long));
    for (const std::string& line : found.lines) fmt::print("    {}\n", line);
  }

  Options options_;
  HostRunner host_;
  EngineRunner engine_;
  size_t ended_ = 0, faulted_ = 0, failed_ = 0;
  std::map<std::string, size_t> skipped_, left_out_;
};

bool check_file(Check& check, const std::string& path) {
  auto lines = read_lines(path);
  if (!lines) return false;
  for (const std::string& line : *lines) {
    if (line.empty()) continue;
    auto code = parse_hex(line);
    if (code.empty() || code.size() > kMostCode) return false;
    check.block(code);
  }
  return true;
}

int run(const Options& options) {
  if (!EngineRunner::knows(options.engine)) {
    fmt::print(stderr, "check_blocks: no engine is called {}\n", options.engine);
    return kUnusable;
  }
  Check check(options);
  if (!check.ready()) return kUnusable;
  for (const std::string& path : options.files) {
    if (check_file(check, path)) continue;
    fmt::print(stderr, "check_blocks: {} is not a file of blocks\n", path);
    return kUnusable;
  }
  return check.report();
}

std::optional<Options> parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    std::string name = arguments[i];
    if (!name.starts_with("--")) {
      options.files.push_back(name);
      continue;
    }
    if (i + 1 == count) return std::nullopt;
    std::string value = arguments[++i];
    if (name == "--engine")
      options.engine = value;
    else if (name == "--states")
      options.states = std::max(1, std::atoi(value.c_str()));
    else if (name == "--show")
      options.show = static_cast<unsigned>(std::atoi(value.c_str()));
    else if (name == "--ended-at-least")
      options.ended_at_least = static_cast<unsigned>(std::atoi(value.c_str()));
    else if (name == "--seed")
      options.seed = std::strtoull(value.c_str(), nullptr, 0);
    else
      return std::nullopt;
  }
  return options;
}

}  // namespace
}  // namespace penumbra::check

int main(int count, char** arguments) {
  using namespace penumbra::check;
  auto options = parse(count, arguments);
  if (!options) {
    fmt::print(stderr,
               "usage: check_blocks [--engine NAME] [--states N] [--seed S] [--show N]\n"
               "                    [--ended-at-least PERCENT] FILE...\n");
    return kUnusable;
  }
  if (options->files.empty()) options->files = data_files("bhive", ".hex");
  return options->files.empty() ? kSkipped : run(*options);
}
