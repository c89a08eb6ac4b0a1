#include "jit/stencil/host_listing.h"

#include <fmt/format.h>

#include <charconv>
#include <iterator>
#include <optional>

#include "common/log.h"
#include "frontend/listing.h"
#include "jit/interp/uop.h"

namespace penumbra::jit {
namespace {

constexpr std::string_view kRelative = "[rip ", kState = "[r12 + ";

const char* name_of(Site::Kind kind) {
  constexpr const char* kNames[] = {
      "load",    "load for write", "load vector",    "store",      "store vector", "linear",
      "divide",  "check FPU",      "begin SSE",      "end SSE",    "call",         "raise",
      "execute", "next page",      "explicit flags", "misaligned", "bad target"};
  static_assert(std::size(kNames) == static_cast<size_t>(Site::Kind::BadTarget) + 1);
  return kNames[static_cast<size_t>(kind)];
}

/// Names in place of the addresses in the text of the block's instructions.
class Names {
 public:
  Names(const NativeBlock& block, const Thunks& thunks, u64 constants)
      : block_(block), thunks_(thunks), constants_(constants) {}

  std::string rename(const frontend::ListedInstruction& instruction) const {
    const std::string& text = instruction.text;
    size_t operand = text.find(' ');
    bool jumps = text.starts_with('j') || text.starts_with("call ");
    if (jumps && operand != std::string::npos) return target(text, operand + 1);
    if (text.starts_with("movabs ")) return target(text, text.rfind(' ') + 1);
    if (size_t at = text.find(kRelative); at != std::string::npos) {
      return constant(text, at, instruction.address + instruction.bytes.size());
    }
    if (size_t at = text.find(kState); at != std::string::npos) return slot(text, at);
    return text;
  }

 private:
  struct Number {
    u64 value;
    size_t end;
  };
  /// As the listing writes it: small ones are decimal.
  static std::optional<Number> number(const std::string& text, size_t at) {
    bool is_hex = text.compare(at, 2, "0x") == 0;
    const char* begin = text.data() + at + (is_hex ? 2 : 0);
    u64 value = 0;
    auto [end, error] = std::from_chars(begin, text.data() + text.size(), value, is_hex ? 16 : 10);
    if (error != std::errc()) return std::nullopt;
    return Number{value, static_cast<size_t>(end - text.data())};
  }

  static std::string replace(const std::string& text, size_t at, size_t end,
                             const std::string& name) {
    return text.substr(0, at) + name + text.substr(end);
  }

  std::string target(const std::string& text, size_t at) const {
    auto value = number(text, at);
    auto name = value ? name_of(value->value) : std::nullopt;
    return name ? replace(text, at, value->end, *name) : text;
  }

  std::string constant(const std::string& text, size_t at, u64 next) const {
    size_t sign = at + kRelative.size();
    auto distance = number(text, sign + 2);
    if (!distance) return text;
    u64 address = text[sign] == '-' ? next - distance->value : next + distance->value;
    return replace(text, at, distance->end,
                   fmt::format("[constants + {:#x}", address - constants_));
  }

  /// The last term of the address, which starts at `at`, is an offset in the state.
  static std::string slot(const std::string& text, size_t at) {
    size_t end = text.find(']', at);
    at = text.rfind("+ ", end) + 2;
    auto offset = number(text, at);
    if (!offset || offset->end != end) return text;
    return replace(text, at, offset->end, translator::slot_name(static_cast<Slot>(offset->value)));
  }

  std::optional<std::string> name_of(u64 address) const {
    u64 code = reinterpret_cast<u64>(block_.code);
    if (address >= code && address < code + block_.size) {
      return fmt::format("+{:03x}", address - code);
    }
    if (address == reinterpret_cast<u64>(&block_)) return "block";
    for (u32 i = 0; i < block_.site_count; ++i) {
      if (address == reinterpret_cast<u64>(&block_.sites[i])) return site(block_.sites[i]);
    }
    for (u32 i = 0; i < block_.exit_count; ++i) {
      const NativeExit& exit = block_.exits[i];
      if (address == reinterpret_cast<u64>(&exit)) return fmt::format("exit({:x})", exit.offset);
      if (address == reinterpret_cast<u64>(exit.far)) return fmt::format("far({:x})", exit.offset);
      if (exit.target != nullptr && address == reinterpret_cast<u64>(exit.target->start.code)) {
        return fmt::format("block({:x})", exit.offset);
      }
    }
    return thunk(address);
  }

  std::string site(const Site& site) const {
    u16 at = site.instruction < block_.instruction_count
                 ? block_.instructions[site.instruction].offset
                 : block_.offset;
    return fmt::format("site({}, {:x})", jit::name_of(site.kind), at);
  }

  std::optional<std::string> thunk(u64 address) const {
    const std::pair<const u8*, const char*> known[] = {{thunks_.slow, "slow"},
                                                       {thunks_.slow_store, "slow_store"},
                                                       {thunks_.make_flags, "make_flags"},
                                                       {thunks_.straight, "straight"},
                                                       {thunks_.leave_slice, "leave_slice"},
                                                       {thunks_.link, "link"},
                                                       {thunks_.leave_stale, "leave_stale"},
                                                       {thunks_.lookup, "lookup"}};
    for (const auto& [at, name] : known) {
      if (address == reinterpret_cast<u64>(at)) return name;
    }
    return std::nullopt;
  }

  const NativeBlock& block_;
  const Thunks& thunks_;
  u64 constants_;
};

}  // namespace

std::vector<HostLine> list_code(const NativeBlock& block, const Thunks& thunks, u64 constants) {
  Names names(block, thunks, constants);
  u64 begin = reinterpret_cast<u64>(block.code);
  std::vector<HostLine> lines;
  for (const auto& instruction :
       frontend::disassemble({block.code, block.size}, begin, CodeSize::Long)) {
    lines.push_back({static_cast<u32>(instruction.address - begin), names.rename(instruction)});
  }
  return lines;
}

std::string print(const std::vector<HostLine>& lines) {
  std::string text;
  for (const HostLine& line : lines) {
    fmt::format_to(std::back_inserter(text), "      +{:03x}  {}\n", line.offset, line.text);
  }
  return text;
}

BlockLister::BlockLister(HostLevel level)
    : stencils_(stencil_tables(level)), generator_(stencils_, thunks_, constants_, variation_) {
  place_thunks(memory_, stencils_.tables(), thunks_, constants_);
}

std::vector<BlockLister::Section> BlockLister::list(const translator::Block& ir) {
  u32 most = Generator::most_bytes(ir);
  if (memory_.writable(most) == nullptr) memory_.next_region();
  PENUMBRA_ASSERT(memory_.writable(most) != nullptr);
  std::vector<CodeMark> marks;
  generator_.set_marks(&marks);
  auto block = generator_.generate({{}, ir}, memory_);
  generator_.set_marks(nullptr);
  std::vector<Section> sections;
  for (const CodeMark& mark : marks) sections.push_back({mark, {}});
  size_t section = 0;
  for (HostLine& line : list_code(*block, thunks_, constants_)) {
    while (section + 1 < sections.size() && sections[section + 1].mark.offset <= line.offset) {
      ++section;
    }
    sections[section].lines.push_back(std::move(line));
  }
  return sections;
}

}  // namespace penumbra::jit
