// A stencil's code as basic blocks that end in jumps to each other and to continuations.
//
// build() proves what the generator relies on: every path ends in a continuation (or, where the key
// allows it, in an indirect jump), none runs off the end and none goes round for ever. tidy() makes
// jumps to jumps direct and puts a block that goes on to Next at the end.
#pragma once

#include "jit/stencil/extract/instruction.h"

namespace penumbra::jit::extract {

struct Target {
  enum class Kind : u8 { Block, Next, Taken, Slow, Exit };
  Kind kind = Kind::Block;
  u32 block = 0;
  friend bool operator==(const Target&, const Target&) = default;
};

struct BasicBlock {
  enum class End : u8 { Jump, Branch, Indirect, OffTheEnd };
  std::vector<Instruction> body;
  End end = End::OffTheEnd;
  u8 condition = 0;  ///< of Branch
  Target taken;      ///< of Jump and Branch
  Target otherwise;  ///< of Branch

  std::vector<Target> targets() const {
    if (end == End::Branch) return {taken, otherwise};
    return end == End::Jump ? std::vector{taken} : std::vector<Target>{};
  }
};

/// The first block is the entry.
using FlowGraph = std::vector<BasicBlock>;

Result<FlowGraph> build(const StencilSource& source);

void tidy(FlowGraph& graph);

}  // namespace penumbra::jit::extract
