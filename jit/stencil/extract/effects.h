// What a stencil does to registers, over all its paths.
#pragma once

#include "jit/stencil/extract/flow_graph.h"

namespace penumbra::jit::extract {

/// Fields of Stencil, which explains them.
struct Effects {
  OperandSet reads, writes, written_before_slow, not_rbp;
  u16 clobbers = 0, vector_clobbers = 0;
  u16 conflicts = 0, vector_conflicts = 0;
  u8 flag_writers = 0;
  bool is_wide = false;
};

Effects effects_of(const FlowGraph& graph);

}  // namespace penumbra::jit::extract
