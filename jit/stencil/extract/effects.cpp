#include "jit/stencil/extract/effects.h"

namespace penumbra::jit::extract {
namespace {

/// Operands written on some and on all paths from the entry.
struct Written {
  u8 some = 0, all = 0xff;
  friend bool operator==(const Written&, const Written&) = default;
};

Written join(Written a, Written b) {
  return {static_cast<u8>(a.some | b.some), static_cast<u8>(a.all & b.all)};
}

Written behind(const BasicBlock& block, Written written) {
  for (const Instruction& instruction : block.body) {
    written.some |= instruction.writes.bits;
    written.all |= instruction.writes.bits;
  }
  return written;
}

/// For each block's entry; until nothing changes, as loops may go back.
std::vector<Written> written_at_entry(const FlowGraph& graph) {
  std::vector<Written> entries(graph.size());
  entries[0].all = 0;
  for (bool changed = true; changed;) {
    changed = false;
    for (u32 block = 0; block < graph.size(); block++)
      for (const Target& target : graph[block].targets()) {
        if (target.kind != Target::Kind::Block) continue;
        Written joined = join(entries[target.block], behind(graph[block], entries[block]));
        changed |= joined != entries[target.block];
        entries[target.block] = joined;
      }
  }
  return entries;
}

class Collector {
 public:
  explicit Collector(const FlowGraph& graph) {
    std::vector<Written> entries = written_at_entry(graph);
    for (u32 block = 0; block < graph.size(); block++) add(graph[block], entries[block]);
    // What is written on some ways on and kept on others is also an input.
    effects_.reads.bits |= static_cast<u8>(at_exits_.some & ~at_exits_.all);
    for (u32 other = 0; other < kStencilOperands; other++)
      if (effects_.writes.has(StencilOperand{static_cast<u8>(other)}))
        add_conflicts(effects_.writes.bits, other);
  }

  Effects take() const { return effects_; }

 private:
  void add(const BasicBlock& block, Written written) {
    for (const Instruction& instruction : block.body) {
      effects_.reads.bits |= static_cast<u8>(instruction.reads.bits & ~written.all);
      for (u32 read = 0; read < kStencilOperands; read++)
        if (instruction.reads.has(StencilOperand{static_cast<u8>(read)}))
          add_conflicts(written.some, read);
      effects_.clobbers |= instruction.clobbers;
      effects_.vector_clobbers |= instruction.vector_clobbers;
      effects_.writes.bits |= instruction.writes.bits;
      effects_.is_wide |= instruction.is_wide;
      if (instruction.writes_flags && effects_.flag_writers < 2) effects_.flag_writers++;
      effects_.not_rbp.bits |= instruction.not_rbp.bits;
      written.some |= instruction.writes.bits;
      written.all |= instruction.writes.bits;
    }
    if (block.end == BasicBlock::End::Indirect) at_exits_ = join(at_exits_, written);
    for (const Target& target : block.targets()) leave(target, written);
  }

  void leave(const Target& target, Written written) {
    if (target.kind == Target::Kind::Block) return;
    if (target.kind == Target::Kind::Slow)
      effects_.written_before_slow.bits |= written.some;
    else
      at_exits_ = join(at_exits_, written);
  }

  /// `read` is read where `written` may already be.
  void add_conflicts(u8 written, u32 read) {
    u16& table = read < 4 ? effects_.conflicts : effects_.vector_conflicts;
    u32 first = read & 4;
    for (u32 operand = first; operand < first + 4; operand++)
      if (operand != read && (written >> operand & 1) != 0)
        table |= static_cast<u16>(1u << (4 * (operand & 3) + (read & 3)));
  }

  Effects effects_;
  Written at_exits_;
};

}  // namespace

Effects effects_of(const FlowGraph& graph) { return Collector(graph).take(); }

}  // namespace penumbra::jit::extract
