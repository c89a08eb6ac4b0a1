#include "jit/stencil/extract/extract.h"

#include <fmt/format.h>
#include <llvm/BinaryFormat/ELF.h>

#include <algorithm>
#include <string_view>

namespace penumbra::jit::extract {
namespace {

// -- holes ----------------------------------------------------------------------------------------

std::optional<HoleKind> hole_kind(std::string_view symbol) {
  constexpr std::pair<std::string_view, HoleKind> kNames[] = {
      {"hole_d", HoleKind::SlotD},
      {"hole_a", HoleKind::SlotA},
      {"hole_b", HoleKind::SlotB},
      {"hole_c", HoleKind::SlotC},
      {"hole_immediate", HoleKind::Immediate},
      {"hole_displacement", HoleKind::Displacement},
      {"hole_extra", HoleKind::Extra},
  };
  auto at = std::ranges::find(kNames, symbol, &std::pair<std::string_view, HoleKind>::first);
  return at == std::end(kNames) ? std::nullopt : std::optional(at->second);
}

struct RelocationForm {
  HoleType type;
  u32 size;
};

std::optional<RelocationForm> absolute_form(u32 type) {
  switch (type) {
    case llvm::ELF::R_X86_64_8:
      return RelocationForm{HoleType::Abs8, 1};
    case llvm::ELF::R_X86_64_16:
      return RelocationForm{HoleType::Abs16, 2};
    case llvm::ELF::R_X86_64_32:
      return RelocationForm{HoleType::Abs32, 4};
    case llvm::ELF::R_X86_64_32S:
      return RelocationForm{HoleType::Abs32S, 4};
    case llvm::ELF::R_X86_64_64:
      return RelocationForm{HoleType::Abs64, 8};
    default:
      return std::nullopt;
  }
}

// -- laying out -----------------------------------------------------------------------------------

/// Packs fields into as few windows as their order allows. The bytes of a field are at most five
/// apart, and its extension comes first.
std::vector<RegisterHole> windowed(std::vector<RegisterField> fields) {
  std::ranges::sort(fields, {}, &RegisterField::extension);
  std::vector<RegisterHole> holes;
  u32 window = 0;
  for (const RegisterField& field : fields) {
    if (holes.empty() || field.field >= window + 8) window = field.extension;
    holes.push_back({.low = 8 * (field.field - window) + field.shift,
                     .high = 8 * (field.extension - window) + field.extension_bit,
                     .operand = field.operand,
                     .window = window & 0xffff});
  }
  return holes;
}

constexpr u8 kJump = 0xff;  ///< instead of a condition

struct LaidJump {
  u8 condition = kJump;
  Target target;
  bool is_long = false;

  bool leaves() const {
    return target.kind != Target::Kind::Block && target.kind != Target::Kind::Next;
  }
  u32 size() const {
    if (!is_long) return 2;
    return condition == kJump ? 5 : 6;
  }
};

class Layout {
 public:
  explicit Layout(const FlowGraph& graph) : graph_(graph), jumps_(graph.size()) {
    for (u32 block = 0; block < graph.size(); block++) choose_jumps(block);
    for (const std::vector<LaidJump>& jumps : jumps_)
      for (const LaidJump& jump : jumps) goes_to_next_ |= jump.target.kind == Target::Kind::Next;
    widen();
  }

  Result<ExtractedStencil> write() {
    for (u32 block = 0; block < graph_.size(); block++) {
      for (const Instruction& instruction : graph_[block].body)
        if (Result<> good = put(instruction); !good) return std::unexpected(good.error());
      for (const LaidJump& jump : jumps_[block]) put(jump);
    }
    result_.falls_through = goes_to_next_;
    result_.register_holes = windowed(std::move(registers_));
    return std::move(result_);
  }

 private:
  bool follows(const Target& target, u32 block) const {
    return block + 1 == graph_.size()
               ? target.kind == Target::Kind::Next
               : target == Target{.kind = Target::Kind::Block, .block = block + 1};
  }

  void choose_jumps(u32 block) {
    const BasicBlock& from = graph_[block];
    std::vector<LaidJump>& jumps = jumps_[block];
    Target last = from.end == BasicBlock::End::Branch ? from.otherwise : from.taken;
    if (from.end == BasicBlock::End::Indirect) return;
    if (from.end == BasicBlock::End::Branch) {
      u8 condition = from.condition;
      Target taken = from.taken;
      if (follows(taken, block)) {
        std::swap(taken, last);
        condition ^= 1;
      }
      jumps.push_back({condition, taken});
    }
    if (follows(last, block))
      goes_to_next_ |= last.kind == Target::Kind::Next;
    else
      jumps.push_back({kJump, last});
  }

  /// Offset of each block and of the end.
  std::vector<u32> places() const {
    std::vector<u32> found{0};
    for (u32 block = 0; block < graph_.size(); block++) {
      u32 at = found.back();
      for (const Instruction& instruction : graph_[block].body)
        at += static_cast<u32>(instruction.bytes.size());
      for (const LaidJump& jump : jumps_[block]) at += jump.size();
      found.push_back(at);
    }
    return found;
  }

  u32 place(const Target& target) const {
    return target.kind == Target::Kind::Next ? places_.back() : places_[target.block];
  }

  /// Jumps start short; those that do not reach become long, which may put others out of reach.
  void widen() {
    for (bool changed = true; changed;) {
      changed = false;
      places_ = places();
      for (u32 block = 0; block < graph_.size(); block++) {
        u32 at = places_[block + 1];
        for (auto jump = jumps_[block].rbegin(); jump != jumps_[block].rend(); ++jump) {
          i64 distance = i64{jump->leaves() ? 0 : place(jump->target)} - at;
          at -= jump->size();
          bool is_long = jump->leaves() || distance != static_cast<i8>(distance);
          changed |= is_long && !jump->is_long;
          jump->is_long |= is_long;
        }
      }
    }
  }

  u32 here() const { return static_cast<u32>(result_.code.size()); }

  Result<> put(const Instruction& instruction) {
    u32 start = here();
    result_.code.insert(result_.code.end(), instruction.bytes.begin(), instruction.bytes.end());
    for (RegisterField place : instruction.registers) {
      place.field += start;
      place.extension += start;
      registers_.push_back(place);
    }
    for (const RelocatedField& field : instruction.fields)
      if (Result<> good = put(field, start); !good) return good;
    return {};
  }

  Result<> put(const RelocatedField& field, u32 start) {
    const Relocation& relocation = field.relocation;
    Hole hole{.offset = static_cast<u16>(start + field.offset)};
    i64 addend = relocation.addend;
    if (relocation.constants.entry_size != 0) {
      if (relocation.type != llvm::ELF::R_X86_64_PC32)
        return std::unexpected("a constant without a RIP-relative address");
      hole.kind = HoleKind::Constants;
      hole.type = HoleType::Rel32;
      i64 to_end = i64{here()} - hole.offset;
      Result<i64> inside = use_constant(relocation, addend + to_end);
      if (!inside) return std::unexpected(inside.error());
      addend = *inside - to_end;
    } else {
      std::optional<HoleKind> kind = hole_kind(relocation.symbol);
      std::optional<RelocationForm> form = absolute_form(relocation.type);
      if (!kind || !relocation.is_undefined)
        return std::unexpected("a relocation against " + relocation.symbol + ", which is no hole");
      if (!form || form->size != field.size)
        return std::unexpected("a relocation of an unknown type against " + relocation.symbol);
      hole.kind = *kind;
      hole.type = form->type;
    }
    if (addend != static_cast<i32>(addend)) return std::unexpected("an addend beyond 32 bits");
    hole.addend = static_cast<i32>(addend);
    result_.value_holes.push_back(hole);
    return {};
  }

  /// Notes the pool entry at `offset` of the constants; returns the offset inside the entry.
  Result<i64> use_constant(const Relocation& relocation, i64 offset) {
    const ConstantSection& pool = relocation.constants;
    if (offset < 0 || offset >= static_cast<i64>(pool.bytes.size()))
      return std::unexpected("a constant outside of its pool");
    i64 inside = offset % pool.entry_size;
    std::span<const u8> entry =
        pool.bytes.subspan(static_cast<u64>(offset - inside), pool.entry_size);
    result_.constants.push_back(
        {static_cast<u32>(result_.value_holes.size()), {entry.begin(), entry.end()}});
    return inside;
  }

  void put(const LaidJump& jump) {
    if (jump.condition == kJump) {
      result_.code.push_back(jump.is_long ? 0xe9 : 0xeb);
    } else if (jump.is_long) {
      result_.code.insert(result_.code.end(), {0x0f, static_cast<u8>(0x80 | jump.condition)});
    } else {
      result_.code.push_back(static_cast<u8>(0x70 | jump.condition));
    }
    u32 size = jump.is_long ? 4 : 1;
    u32 distance = 0;
    if (jump.leaves())
      result_.continuations.push_back(
          {static_cast<u16>(here()), continuation(jump.target), HoleType::Rel32, -4});
    else
      distance = place(jump.target) - (here() + size);
    for (u32 i = 0; i < size; i++) result_.code.push_back(static_cast<u8>(distance >> 8 * i));
  }

  static HoleKind continuation(const Target& target) {
    if (target.kind == Target::Kind::Taken) return HoleKind::Taken;
    return target.kind == Target::Kind::Slow ? HoleKind::Slow : HoleKind::Exit;
  }

  const FlowGraph& graph_;
  std::vector<std::vector<LaidJump>> jumps_;  ///< behind each block's body
  std::vector<u32> places_;
  std::vector<RegisterField> registers_;
  bool goes_to_next_ = false;
  ExtractedStencil result_;
};

/// What the descriptors have room for.
Result<> check_sizes(const ExtractedStencil& stencil) {
  bool fits = stencil.code.size() <= 0xffff && stencil.value_holes.size() <= 0xff &&
              stencil.continuations.size() <= 0xff && stencil.register_holes.size() <= 0xff;
  return fits ? Result<>() : std::unexpected("too large");
}

Result<ExtractedStencil> extract_function(const StencilSource& source) {
  Result<FlowGraph> graph = build(source);
  if (!graph) return std::unexpected(graph.error());
  tidy(*graph);
  Result<ExtractedStencil> stencil = Layout(*graph).write();
  if (!stencil) return stencil;
  if (Result<> good = check_sizes(*stencil); !good) return std::unexpected(good.error());
  stencil->effects = effects_of(*graph);
  return stencil;
}

}  // namespace

Result<ExtractedStencil> extract(const StencilSource& source) {
  Result<ExtractedStencil> stencil = extract_function(source);
  if (!stencil)
    return std::unexpected(
        fmt::format("{} (key {:#x}): {}", source.name, source.key, stencil.error()));
  stencil->key = source.key;
  stencil->name = source.name;
  return stencil;
}

}  // namespace penumbra::jit::extract
