#include "translator/translate.h"

#include <algorithm>

#include "common/log.h"
#include "frontend/decoder.h"
#include "translator/lift/lifter.h"
#include "translator/opt/passes.h"

namespace penumbra::translator {
namespace {

constexpr u32 kLongest = 15;
/// Of a block; few have more.
constexpr size_t kUsualOps = 40, kUsualInstructions = 12;

/// Whether the guest keeps changing the instruction's immediate, and nothing else of it.
bool changes_alone(const CodeView& code, u32 offset, const frontend::Instruction& instruction) {
  if (code.changing == nullptr || instruction.encoding.immediate_size == 0) return false;
  const frontend::Encoding& encoding = instruction.encoding;
  u32 begin = offset + encoding.immediate_offset, end = begin + encoding.immediate_size;
  bool inside = false, outside = false;
  for (u32 at = offset; at < offset + instruction.length(); ++at) {
    (at >= begin && at < end ? inside : outside) |= (*code.changing)[at];
  }
  return inside && !outside;
}

/// An instruction that does not decode: a site of its own that raises the fault.
void lift_refused(Lifter& lifter, Block& block, u16 offset, const Fault& fault) {
  frontend::Instruction nothing;
  nothing.operands.length = 1;
  lifter.lift(nothing, offset);  // an unknown mnemonic raises #UD
  if (fault.vector != Vector::Ud) {
    block.ops.back().immediate = static_cast<u64>(fault.vector);
  }
}

/// The first instruction where it does not fit the page: bytes of both pages side by side.
bool translate_crossing(Lifter& lifter, Block& block, const CodeView& code) {
  if (code.next_page.empty()) return false;
  u8 bytes[2 * kLongest];
  auto head = code.page.subspan(code.start);
  size_t first = std::min<size_t>(head.size(), kLongest);
  std::copy_n(head.begin(), first, bytes);
  size_t second = std::min<size_t>(code.next_page.size(), kLongest);
  std::copy_n(code.next_page.begin(), second, bytes + first);
  auto decoded = frontend::decode({bytes, first + second}, block.mode);
  block.crosses_page = true;
  if (decoded) {
    lifter.lift(*decoded, code.start);
  } else {
    lift_refused(lifter, block, code.start, decoded.error().fault);
  }
  return true;
}

}  // namespace

std::optional<Block> translate(const CodeView& code, CodeMode mode, const cpu::CpuModel& model,
                               u32 most) {
  Block block{.mode = mode, .start = code.start, .end = code.start};
  block.ops.reserve(kUsualOps);
  block.instructions.reserve(kUsualInstructions);
  Lifter lifter(block, model);
  while (!lifter.done() && block.instructions.size() < most && block.end < code.page.size()) {
    auto bytes = code.page.subspan(block.end);
    auto decoded = code.decoder ? code.decoder->decode(bytes, mode) : frontend::decode(bytes, mode);
    if (decoded) {
      lifter.load_immediates(changes_alone(code, block.end, *decoded));
      lifter.lift(*decoded, block.end);
      continue;
    }
    bool truncated = decoded.error().kind == frontend::DecodeError::Kind::Truncated;
    bool first = block.instructions.empty();
    if (!first) break;
    if (!truncated) {
      lift_refused(lifter, block, block.end, decoded.error().fault);
    } else if (!translate_crossing(lifter, block, code)) {
      return std::nullopt;
    }
    break;
  }
  lifter.finish();
  optimize(block);
  return block;
}

}  // namespace penumbra::translator
