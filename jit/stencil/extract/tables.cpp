#include "jit/stencil/extract/tables.h"

#include <fmt/format.h>

#include <iterator>

#include "jit/stencil/copy.h"

namespace penumbra::jit::extract {
namespace {

constexpr u32 kConstantAlignment = 32;

/// A string literal of the bytes, in lines.
void put_bytes(std::string& text, const char* name, u32 alignment, std::span<const u8> bytes) {
  constexpr size_t kLine = 64;
  fmt::format_to(std::back_inserter(text), "alignas({}) constexpr char {}[] =\n", alignment, name);
  for (size_t at = 0; at < bytes.size(); at += kLine) {
    text += '"';
    for (u8 byte : bytes.subspan(at, std::min(kLine, bytes.size() - at)))
      fmt::format_to(std::back_inserter(text), "\\x{:02x}", byte);
    text += "\"\n";
  }
  text += "\"\";\n";
}

void put(std::string& text, const Hole& h) {
  fmt::format_to(std::back_inserter(text), "{{{},HoleKind({}),HoleType({}),{}}},\n", h.offset,
                 static_cast<u32>(h.kind), static_cast<u32>(h.type), h.addend);
}

void put(std::string& text, const RegisterHole& h) {
  fmt::format_to(std::back_inserter(text), "{{{},{},{},{}}},\n", u32{h.low}, u32{h.high},
                 u32{h.operand}, u32{h.window});
}

void put(std::string& text, const Stencil& s) {
  fmt::format_to(
      std::back_inserter(text),
      "{{{:#x}u,{},{},{},{},{},{},{},{},{},{},{},{{{}}},{{{}}},{{{}}},{{{}}},{},{},{}}},\n", s.key,
      s.code, s.first_hole, s.first_register_hole, s.size, s.clobbers, s.vector_clobbers,
      s.conflicts, s.vector_conflicts, s.value_hole_count, s.continuation_count,
      s.register_hole_count, s.reads.bits, s.writes.bits, s.written_before_slow.bits,
      s.not_rbp.bits, s.falls_through, s.flag_writers, s.is_wide);
}

/// A std::array, as there may be no elements.
template <class T>
void put_array(std::string& text, const char* type, const char* name, std::span<const T> items) {
  fmt::format_to(std::back_inserter(text), "constexpr std::array<{}, {}> {}{{{{\n", type,
                 items.size(), name);
  for (const T& item : items) put(text, item);
  text += "}};\n";
}

}  // namespace

Result<> TableBuilder::add(const ExtractedStencil& stencil) {
  auto [known, is_new] = names_.try_emplace(stencil.key, stencil.name);
  if (!is_new)
    return std::unexpected(fmt::format("{} (key {:#x}): the key is that of {}", stencil.name,
                                       stencil.key, known->second));
  const Effects& effects = stencil.effects;
  stencils_.push_back({
      .key = stencil.key,
      .code = static_cast<u32>(code_.size()),
      .first_hole = static_cast<u32>(holes_.size()),
      .first_register_hole = static_cast<u32>(register_holes_.size()),
      .size = static_cast<u16>(stencil.code.size()),
      .clobbers = effects.clobbers,
      .vector_clobbers = effects.vector_clobbers,
      .conflicts = effects.conflicts,
      .vector_conflicts = effects.vector_conflicts,
      .value_hole_count = static_cast<u8>(stencil.value_holes.size()),
      .continuation_count = static_cast<u8>(stencil.continuations.size()),
      .register_hole_count = static_cast<u8>(stencil.register_holes.size()),
      .reads = effects.reads,
      .writes = effects.writes,
      .written_before_slow = effects.written_before_slow,
      .not_rbp = effects.not_rbp,
      .falls_through = stencil.falls_through,
      .flag_writers = effects.flag_writers,
      .is_wide = effects.is_wide,
  });
  size_t first_hole = holes_.size();
  code_.insert(code_.end(), stencil.code.begin(), stencil.code.end());
  holes_.insert(holes_.end(), stencil.value_holes.begin(), stencil.value_holes.end());
  holes_.insert(holes_.end(), stencil.continuations.begin(), stencil.continuations.end());
  register_holes_.insert(register_holes_.end(), stencil.register_holes.begin(),
                         stencil.register_holes.end());
  for (const ConstantUse& use : stencil.constants)
    holes_[first_hole + use.hole].addend += static_cast<i32>(constant(use.entry));
  return {};
}

u32 TableBuilder::constant(const std::vector<u8>& entry) {
  auto [at, is_new] = constant_places_.try_emplace(entry);
  if (is_new) {
    size_t size = entry.size();
    constants_.resize((constants_.size() + size - 1) / size * size);
    at->second = static_cast<u32>(constants_.size());
    constants_.insert(constants_.end(), entry.begin(), entry.end());
  }
  return at->second;
}

StencilTables TableBuilder::tables() {
  code_.reserve(code_.size() + kCopySlack);
  return {code_, stencils_, holes_, register_holes_, constants_};
}

std::string cpp_text(const StencilTables& tables, const std::string& name) {
  std::string text =
      "#include <array>\n\n#include \"jit/stencil/copy.h\"\n\n"
      "namespace penumbra::jit {\nnamespace {\n";
  std::vector<u8> padded(tables.code.begin(), tables.code.end());
  padded.resize(padded.size() + kCopySlack);
  put_bytes(text, "kCode", 64, padded);
  put_bytes(text, "kConstants", kConstantAlignment, tables.constants);
  put_array(text, "Stencil", "kStencils", tables.stencils);
  put_array(text, "Hole", "kHoles", tables.holes);
  put_array(text, "RegisterHole", "kRegisterHoles", tables.register_holes);
  fmt::format_to(std::back_inserter(text),
                 "std::span<const u8> bytes(const char* data, size_t size) {{\n"
                 "  return {{reinterpret_cast<const u8*>(data), size}};\n}}\n"
                 "}}  // namespace\n"
                 "extern const StencilTables {0};\n"
                 "const StencilTables {0}{{bytes(kCode, {1}), kStencils, kHoles, kRegisterHoles, "
                 "bytes(kConstants, {2})}};\n"
                 "}}  // namespace penumbra::jit\n",
                 name, tables.code.size(), tables.constants.size());
  return text;
}

}  // namespace penumbra::jit::extract
