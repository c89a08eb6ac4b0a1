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
constexpr size_t kUsualOps = 24, kUsualInstructions = 12;

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

/// An instruction that does not decode: a site of its own that raises the fault. `length` bytes may
/// have decided that: with any of them changed it is another instruction.
void lift_refused(Lifter& lifter, Block& block, u16 offset, size_t length, const Fault& fault) {
  frontend::Instruction nothing;
  nothing.operands.length = static_cast<u8>(std::min<size_t>(length, kLongest));
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
    lift_refused(lifter, block, code.start, first + second, decoded.error().fault);
  }
  return true;
}

/// The likely path of a block: behind a conditional jump forwards or to what lies before the block,
/// to where a jump forwards goes, and from its end to its start as long as it stays short.
class LikelyPath {
 public:
  LikelyPath(Lifter& lifter, Block& block) : lifter_(lifter), block_(block) {}

  /// Behind the instruction that ended the block; false: it stays ended.
  bool go_on() {
    bool is_long = jumps_ == kMostJumps || block_.instructions.size() >= kMostInstructions;
    if (is_long && length_ == 0) return false;
    const MicroOp& jump = block_.ops.back();
    if (jump.op != Op::Jump) return false;
    ++jumps_;
    u64 target = jump.immediate;
    MicroOp* before = block_.ops.size() > 1 ? &block_.ops.end()[-2] : nullptr;
    bool jumps = before == nullptr || before->instruction != jump.instruction;
    if (jumps) return target == block_.start ? repeat() : forwards(target);
    if (!is_branch(before->op)) return false;
    MicroOp& branch = *before;
    if (branch.immediate != block_.start || branch.op != Op::BranchFlags) {
      i64 to = static_cast<i64>(branch.immediate);
      bool loops = to >= block_.start && to <= static_cast<i64>(lifter_.position());
      return !loops && forwards(target);
    }
    if (!repeat()) return false;
    branch.condition = negated(branch.condition);
    branch.immediate = target;
    return true;
  }

 private:
  static constexpr size_t kMostInstructions = 24, kMostInLoop = 48, kMostJumps = 6, kMostRounds = 8,
                          kMostDistance = 256;

  static Condition negated(Condition condition) {
    return static_cast<Condition>(static_cast<u8>(condition) ^ 1);
  }
  bool forwards(u64 target) {
    bool near = target >= lifter_.position() && target < lifter_.position() + kMostDistance;
    if (!near || target >= kPageSize) return false;
    lifter_.go_on(target);
    return true;
  }
  bool repeat() {
    if (length_ == 0) length_ = block_.instructions.size();
    bool fits = block_.instructions.size() + length_ <= kMostInLoop;
    if (!fits || ++rounds_ == kMostRounds) return false;
    lifter_.go_on(block_.start);
    return true;
  }

  Lifter& lifter_;
  Block& block_;
  size_t jumps_ = 0;
  size_t length_ = 0;  ///< instructions of the loop, where it is one
  size_t rounds_ = 0;
};

}  // namespace

std::optional<Block> translate(const CodeView& code, CodeMode mode, const cpu::CpuModel& model,
                               u32 most, BehindJump behind_jump) {
  Block block{.mode = mode, .start = code.start, .end = code.start};
  block.ops.reserve(kUsualOps);
  block.instructions.reserve(kUsualInstructions);
  Lifter lifter(block, model);
  LikelyPath path(lifter, block);
  while (!lifter.done() && block.instructions.size() < most &&
         lifter.position() < code.page.size()) {
    auto at = static_cast<u16>(lifter.position());
    auto bytes = code.page.subspan(at);
    auto decoded = code.decoder ? code.decoder->decode(bytes, mode) : frontend::decode(bytes, mode);
    if (decoded) {
      lifter.load_immediates(changes_alone(code, at, *decoded));
      lifter.lift(*decoded, at);
      if (lifter.done() && behind_jump == BehindJump::GoOn) path.go_on();
      continue;
    }
    bool truncated = decoded.error().kind == frontend::DecodeError::Kind::Truncated;
    bool first = block.instructions.empty();
    if (!first) break;
    if (!truncated) {
      lift_refused(lifter, block, at, code.page.size() - at, decoded.error().fault);
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
