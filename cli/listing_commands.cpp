#include "cli/listing_commands.h"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>

#include "cli/run.h"
#include "common/log.h"
#include "frontend/decoder.h"
#include "frontend/listing.h"
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
    {"Code", "what", "guest,ir", "what to show: guest code, micro-ops, or both (guest,ir)"},
    {"Code", "cpu", "MODEL[,-FEATURE]", "CPU model that runs it"},
};
constexpr Command kDisasm = {"disasm", "FILE|HEX...",
                             "Lists guest code: address, bytes, assembly text.", kDisasmOptions,
                             "  penumbra disasm 48 89 e5 c3\n"
                             "  penumbra disasm --mode 16 --base 7c00 boot.bin"};
constexpr Command kDump = {"dump", "HEX...", "Shows what the translator makes of code.",
                           kDumpOptions,
                           "  penumbra dump 48 01 d8 75 fb\n"
                           "  penumbra dump --what ir --mode 32 40 c3"};

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

/// Ring 0 of an operating system that has switched everything on; real mode for 16-bit code.
CodeMode kernel_mode(CodeSize size) {
  CodeMode mode;
  mode.set_size(size);
  if (size != CodeSize::Bits16) {
    for (auto bit : {CodeMode::kProtected, CodeMode::kFlatSegments, CodeMode::kStack32}) {
      mode.set(bit, true);
    }
  }
  mode.set(CodeMode::kLongActive, size == CodeSize::Long);
  for (auto bit : {CodeMode::kOsFxsr, CodeMode::kOsXsave, CodeMode::kOsXmmExcept}) {
    mode.set(bit, true);
  }
  mode.word |= 7u << CodeMode::kXcr0;
  return mode;
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

/// One block after the other, as far as the bytes go.
int dump_blocks(std::span<const u8> code, CodeMode mode, const cpu::CpuModel& model) {
  std::vector<u8> page(kPageSize);
  std::copy(code.begin(), code.end(), page.begin());
  for (u16 start = 0; start < code.size();) {
    u32 most = count_instructions(code.subspan(start), mode);
    if (most == 0) return refuse(fmt::format("the bytes from offset {} are no instruction", start));
    auto block = translator::translate({page, start, {}}, mode, model, most);
    if (!block || block->end <= start) break;
    fmt::print("{}", translator::print(*block));
    start = block->end;
  }
  return Status::kSuccess;
}

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
  std::string what = arguments.value("what").value_or("guest,ir");
  bool guest = what == "guest" || what == "guest,ir", ir = what == "ir" || what == "guest,ir";
  if (!guest && !ir)
    return refuse(fmt::format("--what: '{}' is none of guest, ir, guest,ir", what));
  auto model = cpu::CpuModel::parse(arguments.value("cpu").value_or("default"));
  if (!model) return refuse(model.error());
  auto code = parse_code(arguments.positional());
  if (!code) return refuse(code.error());
  if (code->size() > kPageSize) return refuse("more than a page of code; give at most 4096 bytes");
  if (guest) fmt::print("{}", frontend::list_guest(*code, 0, *size));
  return ir ? dump_blocks(*code, kernel_mode(*size), *model) : Status::kSuccess;
}

}  // namespace penumbra::cli
