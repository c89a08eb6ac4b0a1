#include "cli/listing_commands.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "cli/run.h"
#include "common/log.h"
#include "frontend/decoder.h"
#include "frontend/listing.h"
#include "jit/stencil/baseline.h"
#include "jit/stencil/host_listing.h"
#include "machine/host_file.h"
#include "translator/translate.h"

namespace penumbra::cli {

namespace {

constexpr u64 kLargestFile = 64ull << 20;

constexpr Option kDisasmOptions[] = {
    {"Code", "mode", "16|32|64", "size of the code (64)"},
    {"Code", "base", "ADDRESS", "address of the first byte (0)"},
};
constexpr Option kDumpOptions[] = {
    {"Code", "mode", "16|32|64", "size of the code (64)"},
    {"Code", "base", "ADDRESS", "address of the first byte in the listing (0)"},
    {"Code", "what", "guest,ir,host",
     "what to show of each instruction: its text, its micro-ops, the\nhost code generated for it; "
     "one or several (guest,ir)"},
    {"Code", "cpu", "MODEL[,-FEATURE]", "CPU model that runs it"},
};
constexpr Command kDisasm = {"disasm", "FILE|HEX...",
                             "Lists guest code: address, bytes, assembly text.", kDisasmOptions,
                             "  penumbra disasm 48 89 e5 c3\n"
                             "  penumbra disasm --mode 16 --base 7c00 boot.bin"};
constexpr Command kDump = {"dump", "FILE|HEX...", "Shows what the translator makes of code.",
                           kDumpOptions,
                           "  penumbra dump 48 01 d8 75 fb\n"
                           "  penumbra dump --what ir --mode 32 40 c3\n"
                           "  penumbra dump --what guest,ir,host 48 03 43 08 c3"};

struct ModeName {
  const char* name;
  CodeSize size;
};
constexpr ModeName kModes[] = {
    {"16", CodeSize::Bits16}, {"32", CodeSize::Bits32}, {"64", CodeSize::Long}};

std::expected<CodeSize, std::string> parse_mode(const Arguments& arguments) {
  std::string text = arguments.value("mode").value_or("64");
  for (ModeName mode : kModes) {
    if (text == mode.name) return mode.size;
  }
  return std::unexpected(fmt::format("--mode: '{}' is none of 16, 32 and 64", text));
}

std::expected<u64, std::string> parse_address(const std::string& text) {
  std::string_view digits = text;
  if (digits.starts_with("0x")) digits.remove_prefix(2);
  u64 value = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (error == std::errc() && end == digits.data() + digits.size()) return value;
  return std::unexpected(fmt::format("--base: '{}' is not a hexadecimal address", text));
}

int refuse(const std::string& line) {
  log_line(line);
  return Status::kBadInput;
}

/// Instructions that lie entirely in `code`.
u32 count_instructions(std::span<const u8> code, CodeMode mode) {
  u32 count = 0;
  while (auto decoded = frontend::decode(code, mode)) {
    code = code.subspan(decoded->length());
    ++count;
  }
  return count;
}

/// What `penumbra dump` shows of each block.
struct Shown {
  bool guest = false, ir = false, host = false;
};

std::expected<Shown, std::string> parse_what(const Arguments& arguments) {
  constexpr std::pair<const char*, bool Shown::*> kParts[] = {
      {"guest", &Shown::guest}, {"ir", &Shown::ir}, {"host", &Shown::host}};
  Shown shown;
  std::string text = arguments.value("what").value_or("guest,ir") + ",";
  for (size_t at = 0; at < text.size(); at = text.find(',', at) + 1) {
    std::string name = text.substr(at, text.find(',', at) - at);
    auto part = std::ranges::find(kParts, name, [](const auto& entry) { return entry.first; });
    if (part == std::end(kParts)) {
      return std::unexpected(
          fmt::format("--what: '{}' is none of guest, ir, host or several of them with commas{}",
                      name, did_you_mean(name, {"guest", "ir", "host"})));
    }
    shown.*part->second = true;
  }
  return shown;
}

const char* heading(jit::CodeMark::Part part) {
  using Part = jit::CodeMark::Part;
  switch (part) {
    case Part::Again:
      return "  the loop's entry";
    case Part::SlowPaths:
      return "  slow paths";
    case Part::Exits:
      return "  exits";
    case Part::Leaving:
      return "  leaving: the block is stale; the slice ends";
    default:
      return "  entry";
  }
}

/// Blocks as an engine would make them of a page of code.
class BlockDump {
 public:
  BlockDump(std::span<const u8> code, CodeMode mode, u64 base, Shown shown)
      : code_(code), mode_(mode), base_(base), shown_(shown), page_(kPageSize) {
    std::ranges::copy(code, page_.begin());
    if (shown.host) lister_.emplace(jit::host_level());
  }

  /// One block after the other, as far as the bytes go: the exit status.
  int run(const cpu::CpuModel& model) {
    for (u16 start = 0; start < code_.size();) {
      u32 most = count_instructions(code_.subspan(start), mode_);
      if (most == 0) {
        return refuse(fmt::format("the bytes from offset {} are no instruction", start));
      }
      auto block = translator::translate({page_, start, {}}, mode_, model,
                                         std::min(most, jit::Variation().most_instructions),
                                         translator::BehindJump::GoOn);
      if (!block || block->end <= start) break;
      if (lister_) sections_ = lister_->list(*block);
      print(*block);
      start = block->end;
    }
    return Status::kSuccess;
  }

 private:
  void print(const translator::Block& block) {
    print_parts(true);
    u32 instruction = ~0u;
    for (u32 i = 0; i < block.ops.size(); ++i) {
      if (block.ops[i].instruction != instruction) {
        instruction = block.ops[i].instruction;
        print_guest(block.instructions[instruction]);
      }
      if (shown_.ir) fmt::print("{}", translator::print(block, block.ops[i]));
      print_host(i);
    }
    print_parts(false);
  }

  void print_guest(const translator::InstructionSite& site) {
    if (!shown_.guest) return fmt::print("+{:03x} ({} bytes)\n", site.offset, site.length);
    auto bytes = code_.subspan(site.offset, site.length);
    fmt::print("{}", frontend::list_guest(bytes, base_ + site.offset, mode_.size()));
  }

  void print_host(u32 op) {
    for (const auto& section : sections_) {
      bool here = section.mark.part == jit::CodeMark::Part::MicroOp && section.mark.op == op;
      if (here) fmt::print("{}", jit::print(section.lines));
    }
  }

  /// What belongs to no micro-op: the entry, or what stands behind the straight code.
  void print_parts(bool entry) {
    using Part = jit::CodeMark::Part;
    for (const auto& section : sections_) {
      Part part = section.mark.part;
      if (part == Part::MicroOp || section.lines.empty() || (part == Part::Entry) != entry)
        continue;
      fmt::print("{}\n{}", heading(part), jit::print(section.lines));
    }
  }

  std::span<const u8> code_;
  CodeMode mode_;
  u64 base_;
  Shown shown_;
  std::vector<u8> page_;
  std::optional<jit::BlockLister> lister_;
  std::vector<jit::BlockLister::Section> sections_;
};

std::expected<std::vector<u8>, std::string> parse_hex(const std::string& digits) {
  std::vector<u8> bytes;
  for (size_t i = 0; i < digits.size(); i += 2) {
    u8 byte = 0;
    const char* first = digits.data() + i;
    const char* last = first + std::min<size_t>(2, digits.size() - i);
    auto [end, error] = std::from_chars(first, last, byte, 16);
    if (error != std::errc() || end != first + 2) {
      return std::unexpected(fmt::format("'{}' is neither a file nor pairs of hex digits", digits));
    }
    bytes.push_back(byte);
  }
  return bytes;
}

}  // namespace

const Command& disasm_command() { return kDisasm; }
const Command& dump_command() { return kDump; }

std::expected<std::vector<u8>, std::string> parse_code(const std::vector<std::string>& words) {
  if (words.empty()) return std::unexpected("no code: give hex digits, e.g. 48 89 e5");
  if (words.size() == 1 && ::access(words[0].c_str(), F_OK) == 0) {
    return machine::read_host_file(words[0], kLargestFile);
  }
  std::string digits;
  for (const std::string& word : words) {
    for (char c : word) {
      if (c != ' ' && c != ',') digits.push_back(c);
    }
  }
  if (digits.empty()) return std::unexpected("no code: give hex digits, e.g. 48 89 e5");
  return parse_hex(digits);
}

int disassemble(const Arguments& arguments) {
  auto size = parse_mode(arguments);
  if (!size) return refuse(size.error());
  auto base = parse_address(arguments.value("base").value_or("0"));
  if (!base) return refuse(base.error());
  auto code = parse_code(arguments.positional());
  if (!code) return refuse(code.error());
  fmt::print("{}", frontend::list_guest(*code, *base, *size));
  return Status::kSuccess;
}

int dump(const Arguments& arguments) {
  auto size = parse_mode(arguments);
  if (!size) return refuse(size.error());
  auto base = parse_address(arguments.value("base").value_or("0"));
  if (!base) return refuse(base.error());
  auto shown = parse_what(arguments);
  if (!shown) return refuse(shown.error());
  auto model = cpu::CpuModel::parse(arguments.value("cpu").value_or("default"));
  if (!model) return refuse(model.error());
  auto code = parse_code(arguments.positional());
  if (!code) return refuse(code.error());
  if (code->size() > kPageSize) return refuse("more than a page of code; give at most 4096 bytes");
  return BlockDump(*code, kernel_mode(*size), *base, *shown).run(*model);
}

}  // namespace penumbra::cli
