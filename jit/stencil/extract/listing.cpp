#include "jit/stencil/extract/listing.h"

#include <Zydis/Decoder.h>
#include <Zydis/Formatter.h>
#include <fmt/format.h>

#include <iterator>

namespace penumbra::jit::extract {
namespace {

constexpr u8 kSourceRegisters[kStencilOperands] = {14, 15, 7, 6, 0, 1, 2, 3};
constexpr const char* kOperandNames[kStencilOperands] = {"d",  "a",  "b",  "c",
                                                         "vd", "va", "vb", "vc"};
constexpr const char* kHoleNames[] = {"slot d",    "slot a",       "slot b", "slot c",
                                      "immediate", "displacement", "extra",  "constant",
                                      "taken",     "slow",         "exit"};

std::vector<u8> with_source_registers(const ExtractedStencil& stencil) {
  std::vector<u8> code = stencil.code;
  code.resize(code.size() + 8);
  for (const RegisterHole& hole : stencil.register_holes) {
    u64 word, number = kSourceRegisters[hole.operand];
    std::memcpy(&word, &code[hole.window], sizeof word);
    word ^= (number & 7) << hole.low ^ (number >> 3) << hole.high;
    std::memcpy(&code[hole.window], &word, sizeof word);
  }
  code.resize(stencil.code.size());
  return code;
}

std::string names(OperandSet set) {
  std::string text;
  for (u8 i = 0; i < kStencilOperands; i++)
    if (set.has(StencilOperand{i})) text += fmt::format(" {}", kOperandNames[i]);
  return text;
}

std::string numbers(char letter, u32 set) {
  std::string text;
  for (u32 i = 0; i < 16; i++)
    if ((set >> i & 1) != 0) text += fmt::format(" {}{}", letter, i);
  return text;
}

std::string holes_inside(const std::vector<Hole>& holes, size_t start, size_t end) {
  std::string text;
  for (const Hole& hole : holes)
    if (hole.offset >= start && hole.offset < end) {
      text += fmt::format("  [{}", kHoleNames[static_cast<u32>(hole.kind)]);
      if (hole.type != HoleType::Rel32 && hole.addend != 0)
        text += fmt::format("{:+}", hole.addend);
      text += ']';
    }
  return text;
}

/// Instruction by instruction; an address is an offset in the stencil.
std::string assembly(const ExtractedStencil& stencil) {
  ZydisDecoder decoder;
  ZydisFormatter formatter;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
  std::vector<u8> code = with_source_registers(stencil);
  std::string text;
  for (size_t at = 0; at < code.size();) {
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    char line[128];
    if (!ZYAN_SUCCESS(
            ZydisDecoderDecodeFull(&decoder, &code[at], code.size() - at, &instruction, operands)))
      return text + "  (bytes that are no instruction)\n";
    ZydisFormatterFormatInstruction(&formatter, &instruction, operands,
                                    instruction.operand_count_visible, line, sizeof line, at,
                                    nullptr);
    size_t end = at + instruction.length;
    fmt::format_to(std::back_inserter(text), "  {:3x}  {}{}{}\n", at, line,
                   holes_inside(stencil.value_holes, at, end),
                   holes_inside(stencil.continuations, at, end));
    at = end;
  }
  return text;
}

}  // namespace

std::string listing(const ExtractedStencil& stencil) {
  const Effects& effects = stencil.effects;
  std::string text =
      fmt::format("{:#x} {}\n  {} bytes{}; reads{}; writes{}", stencil.key, stencil.name,
                  stencil.code.size(), stencil.falls_through ? "" : ", never goes on to next",
                  names(effects.reads), names(effects.writes));
  if (effects.clobbers != 0) text += "; clobbers" + numbers('r', effects.clobbers);
  if (effects.vector_clobbers != 0) text += "; clobbers" + numbers('v', effects.vector_clobbers);
  if (effects.not_rbp.bits != 0) text += "; not in rbp:" + names(effects.not_rbp);
  if (effects.written_before_slow.bits != 0)
    text += "; written before slow:" + names(effects.written_before_slow);
  return text + "\n" + assembly(stencil);
}

}  // namespace penumbra::jit::extract
