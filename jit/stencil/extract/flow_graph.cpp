#include "jit/stencil/extract/flow_graph.h"

#include <fmt/format.h>
#include <llvm/BinaryFormat/ELF.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

namespace penumbra::jit::extract {
namespace {

std::optional<Target::Kind> continuation(std::string_view symbol) {
  for (std::string_view suffix : {"_vector256", "_vector"})
    if (symbol.ends_with(suffix)) {
      symbol.remove_suffix(suffix.size());
      break;
    }
  if (symbol == "to_next") return Target::Kind::Next;
  if (symbol == "to_taken") return Target::Kind::Taken;
  if (symbol == "to_slow") return Target::Kind::Slow;
  if (symbol == "to_exit") return Target::Kind::Exit;
  return std::nullopt;
}

bool is_vector_continuation(const Relocation& relocation) {
  return continuation(relocation.symbol) && relocation.symbol.find("_vector") != std::string::npos;
}

bool ends_block(const Instruction& instruction) {
  return instruction.kind != Instruction::Kind::Plain && instruction.kind != Instruction::Kind::Nop;
}

class Builder {
 public:
  explicit Builder(const StencilSource& source)
      : source_(source),
        rules_{
            .has_vector_operands = std::ranges::any_of(source.relocations, is_vector_continuation),
            .may_jump_anywhere = (source.key & Stencil::kDynamicExit) != 0,
            .may_write_left = (source.key & Stencil::kWritesLeft) != 0} {}

  Result<FlowGraph> build() {
    if (Result<> good = decode_all(); !good) return std::unexpected(good.error());
    number_blocks();
    for (Instruction& instruction : instructions_)
      if (Result<> good = add(instruction); !good) return std::unexpected(good.error());
    return std::move(graph_);
  }

 private:
  Result<> decode_all() {
    for (u32 at = 0; at < source_.code.size(); at += instructions_.back().length) {
      Result<Instruction> instruction = decode(source_, at, rules_);
      if (!instruction) return std::unexpected(instruction.error());
      instructions_.push_back(std::move(*instruction));
    }
    return {};
  }

  /// A block starts at each target and behind each jump.
  void number_blocks() {
    std::set<i64> starts{0};
    for (const Instruction& instruction : instructions_) {
      if (!ends_block(instruction)) continue;
      starts.insert(instruction.offset + instruction.length);
      if (instruction.fields.empty()) starts.insert(instruction.target);
    }
    for (const Instruction& instruction : instructions_)
      if (starts.contains(instruction.offset)) {
        u32 number = static_cast<u32>(blocks_.size());
        blocks_[instruction.offset] = number;
      }
    graph_.resize(blocks_.size());
  }

  Result<> add(Instruction& instruction) {
    if (auto at = blocks_.find(instruction.offset); at != blocks_.end()) enter(at->second);
    BasicBlock& block = graph_[current_];
    switch (instruction.kind) {
      case Instruction::Kind::Nop:
        return {};
      case Instruction::Kind::Plain:
        block.body.push_back(std::move(instruction));
        return {};
      case Instruction::Kind::IndirectJump:
        block.end = BasicBlock::End::Indirect;
        block.body.push_back(std::move(instruction));
        return {};
      default:
        return end_block(block, instruction);
    }
  }

  /// The block before runs into this one, unless it ended in a jump.
  void enter(u32 number) {
    if (number > 0 && graph_[number - 1].end == BasicBlock::End::OffTheEnd) {
      graph_[number - 1].end = BasicBlock::End::Jump;
      graph_[number - 1].taken = {.block = number};
    }
    current_ = number;
  }

  Result<> end_block(BasicBlock& block, const Instruction& jump) {
    Result<Target> target = target_of(jump);
    if (!target) return std::unexpected(fmt::format("{} at +{:#x}", target.error(), jump.offset));
    block.taken = *target;
    block.end = BasicBlock::End::Jump;
    if (jump.kind == Instruction::Kind::Jump) return {};
    auto behind = blocks_.find(jump.offset + jump.length);
    if (behind == blocks_.end()) return std::unexpected("a path runs off the end");
    block.end = BasicBlock::End::Branch;
    block.condition = jump.condition;
    block.otherwise = {.block = behind->second};
    return {};
  }

  Result<Target> target_of(const Instruction& jump) const {
    if (jump.fields.empty()) {
      auto at = blocks_.find(jump.target);
      if (at == blocks_.end()) return std::unexpected("a jump out of the function");
      return Target{.block = at->second};
    }
    const Relocation& relocation = jump.fields.front().relocation;
    std::optional<Target::Kind> kind = continuation(relocation.symbol);
    bool is_relative =
        relocation.type == llvm::ELF::R_X86_64_PLT32 || relocation.type == llvm::ELF::R_X86_64_PC32;
    if (!kind || !relocation.is_undefined)
      return std::unexpected("a jump to " + relocation.symbol + ", which is no continuation");
    if (!is_relative || relocation.addend != -4)
      return std::unexpected("a jump to beside " + relocation.symbol);
    return Target{.kind = *kind};
  }

  const StencilSource& source_;
  Rules rules_;
  std::vector<Instruction> instructions_;
  std::map<i64, u32> blocks_;  ///< by offset
  FlowGraph graph_;
  u32 current_ = 0;
};

std::vector<bool> reachable(const FlowGraph& graph) {
  std::vector<bool> seen(graph.size());
  std::vector<u32> open{0};
  while (!open.empty()) {
    u32 block = open.back();
    open.pop_back();
    if (seen[block]) continue;
    seen[block] = true;
    for (const Target& target : graph[block].targets())
      if (target.kind == Target::Kind::Block) open.push_back(target.block);
  }
  return seen;
}

/// Blocks from which some path leaves the function.
std::vector<bool> leaving(const FlowGraph& graph) {
  std::vector<bool> leaves(graph.size());
  for (bool changed = true; changed;) {
    changed = false;
    for (u32 block = 0; block < graph.size(); block++) {
      std::vector<Target> targets = graph[block].targets();
      bool does = graph[block].end == BasicBlock::End::Indirect ||
                  std::ranges::any_of(targets, [&](const Target& target) {
                    return target.kind != Target::Kind::Block || leaves[target.block];
                  });
      changed |= does && !leaves[block];
      leaves[block] = does;
    }
  }
  return leaves;
}

Result<> check_paths(const FlowGraph& graph) {
  std::vector<bool> is_reachable = reachable(graph), leaves = leaving(graph);
  for (u32 block = 0; block < graph.size(); block++) {
    if (!is_reachable[block]) continue;
    if (graph[block].end == BasicBlock::End::OffTheEnd)
      return std::unexpected("a path runs off the end");
    if (!leaves[block]) return std::unexpected("a loop without an end");
  }
  return {};
}

/// Where a jump to `target` arrives in the end. Paths end, so this does too.
Target destination(const FlowGraph& graph, Target target) {
  while (target.kind == Target::Kind::Block) {
    const BasicBlock& block = graph[target.block];
    if (!block.body.empty() || block.end != BasicBlock::End::Jump) break;
    target = block.taken;
  }
  return target;
}

void thread_jumps(FlowGraph& graph) {
  for (BasicBlock& block : graph) {
    if (block.end == BasicBlock::End::Jump || block.end == BasicBlock::End::Branch)
      block.taken = destination(graph, block.taken);
    if (block.end != BasicBlock::End::Branch) continue;
    block.otherwise = destination(graph, block.otherwise);
    if (block.taken == block.otherwise) block.end = BasicBlock::End::Jump;
  }
}

bool may_run_into_next(const BasicBlock& block) {
  return std::ranges::any_of(
      block.targets(), [](const Target& target) { return target.kind == Target::Kind::Next; });
}

/// The reachable blocks in their order, but one that goes on to Next last.
std::vector<u32> final_order(const FlowGraph& graph) {
  std::vector<bool> is_reachable = reachable(graph);
  std::vector<u32> order;
  for (u32 block = 0; block < graph.size(); block++)
    if (is_reachable[block]) order.push_back(block);
  if (may_run_into_next(graph[order.back()])) return order;
  auto last = std::ranges::find_if(order.begin() + 1, order.end(),
                                   [&](u32 block) { return may_run_into_next(graph[block]); });
  if (last != order.end()) std::rotate(last, last + 1, order.end());
  return order;
}

}  // namespace

Result<FlowGraph> build(const StencilSource& source) {
  Result<FlowGraph> graph = Builder(source).build();
  if (!graph) return graph;
  if (graph->empty()) return std::unexpected("no code");
  if (Result<> good = check_paths(*graph); !good) return std::unexpected(good.error());
  return graph;
}

void tidy(FlowGraph& graph) {
  thread_jumps(graph);
  std::vector<u32> order = final_order(graph);
  std::vector<u32> place(graph.size());
  FlowGraph tidied;
  for (u32 block : order) {
    place[block] = static_cast<u32>(tidied.size());
    tidied.push_back(std::move(graph[block]));
  }
  for (BasicBlock& block : tidied)
    for (Target* target : {&block.taken, &block.otherwise}) target->block = place[target->block];
  graph = std::move(tidied);
}

}  // namespace penumbra::jit::extract
