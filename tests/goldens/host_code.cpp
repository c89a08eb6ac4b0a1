// The host code that the baseline tier makes of common forms, beside what a golden file says.
//
// golden_host_code CORPUS [GOLDEN]: prints a section for each line of CORPUS (mode, hex digits, ';'
// and what it is), or compares them with GOLDEN and prints those that differ. Always the stencils
// of x86-64-v3, which need not run here. A section counts the host instructions of the straight
// code, without the block's entry and the jump to the code behind it; distances of jumps are left
// out, so a form's section changes only with its own code.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>

#include "common/log.h"
#include "jit/stencil/host_listing.h"
#include "translator/translate.h"

namespace penumbra {
namespace {

constexpr int kPassed = 0, kFailed = 1, kUnusable = 2;

struct Form {
  CodeSize size = CodeSize::Long;
  std::vector<u8> code;
  std::string title;
};

struct Section {
  std::string title, text;
};

std::optional<Form> parse_form(const std::string& line) {
  size_t comment = line.find(';');
  if (comment == std::string::npos) return std::nullopt;
  std::istringstream words(line.substr(0, comment));
  Form form;
  std::string word;
  words >> word;
  if (word != "64" && word != "32") return std::nullopt;
  form.size = word == "64" ? CodeSize::Long : CodeSize::Bits32;
  while (words >> word) {
    u8 byte = 0;
    auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), byte, 16);
    if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
    form.code.push_back(byte);
  }
  form.title =
      fmt::format("{}-bit:{}", form.size == CodeSize::Long ? 64 : 32, line.substr(comment + 1));
  return form;
}

/// Nothing where a line is neither a form, a comment nor empty.
std::optional<std::vector<Form>> read_corpus(const std::string& path) {
  std::vector<Form> forms;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    auto form = parse_form(line);
    if (!form) return std::nullopt;
    forms.push_back(*form);
  }
  if (forms.empty()) return std::nullopt;
  return forms;
}

/// Places in the block, which jumps and returns' landings name, depend on code around the form.
std::string without_distance(const std::string& text) {
  size_t place = text.find(" +");
  bool names_place = text.starts_with('j') || text.starts_with("movabs ");
  return names_place && place != std::string::npos ? text.substr(0, place) : text;
}

/// Where a block ends that no instruction ends: the engine's matter, not the form's.
bool goes_on(const translator::Block& ir, const translator::MicroOp& op) {
  return op.op == translator::Op::Jump && op.immediate == ir.end;
}

u32 host_code(jit::BlockLister& lister, const translator::Block& ir, std::string& text) {
  std::map<u32, std::vector<jit::HostLine>> lines;
  for (auto& section : lister.list(ir)) {
    bool straight = section.mark.part == jit::CodeMark::Part::MicroOp;
    if (straight) lines[section.mark.op] = std::move(section.lines);
  }
  u32 count = 0;
  for (u32 i = 0; i < ir.ops.size(); ++i) {
    if (goes_on(ir, ir.ops[i])) continue;
    text += translator::print(ir, ir.ops[i]);
    for (const auto& line : lines[i])
      text += fmt::format("      {}\n", without_distance(line.text));
    count += static_cast<u32>(lines[i].size());
  }
  return count;
}

/// Nothing where the bytes are no instructions.
std::optional<Section> describe(jit::BlockLister& lister, const Form& form) {
  auto model = cpu::CpuModel::parse("default");
  std::vector<u8> page(kPageSize, 0x90);
  std::ranges::copy(form.code, page.begin());
  CodeMode mode = kernel_mode(form.size);
  for (u32 most = 1; most <= form.code.size(); ++most) {
    auto ir = translator::translate({page, 0, {}}, mode, *model, most);
    if (!ir || ir->end < form.code.size()) continue;
    Section section{form.title, {}};
    u32 count = host_code(lister, *ir, section.text);
    section.title += fmt::format("  [{}]", count);
    return section;
  }
  return std::nullopt;
}

std::string print(const std::vector<Section>& sections) {
  std::string text = "# Host instructions of each form of host_code_corpus.txt, by ./dev bless.\n";
  for (const Section& section : sections) text += "\n" + section.title + "\n" + section.text;
  return text;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find("\n\n", at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 2;
  }
  return parts;
}

int compare(const std::string& found, const std::string& path) {
  std::ifstream file(path);
  std::string wanted{std::istreambuf_iterator<char>(file), {}};
  if (found == wanted) return kPassed;
  std::vector<std::string> now = split(found), before = split(wanted);
  for (size_t i = 0; i < std::max(now.size(), before.size()); ++i) {
    std::string a = i < before.size() ? before[i] : "", b = i < now.size() ? now[i] : "";
    if (a != b) fmt::print("the golden has\n{}\nnow it is\n{}\n\n", a, b);
  }
  fmt::print("The host code is not that of {}; ./dev bless rewrites it: read the diff.\n", path);
  return kFailed;
}

int run(const std::vector<std::string>& words) {
  auto forms = words.empty() ? std::nullopt : read_corpus(words[0]);
  if (!forms) {
    log_line("usage: golden_host_code CORPUS [GOLDEN]; a line of CORPUS is: 64 48 01 d8 ; name");
    return kUnusable;
  }
  jit::BlockLister lister(jit::HostLevel::V3);
  std::vector<Section> sections;
  for (const Form& form : *forms) {
    auto section = describe(lister, form);
    if (!section) {
      log_line(fmt::format("{}: the code is not that", form.title));
      return kUnusable;
    }
    sections.push_back(*section);
  }
  std::string text = print(sections);
  if (words.size() > 1) return compare(text, words[1]);
  fmt::print("{}", text);
  return kPassed;
}

}  // namespace
}  // namespace penumbra

int main(int argc, char** argv) { return penumbra::run({argv + 1, argv + argc}); }
