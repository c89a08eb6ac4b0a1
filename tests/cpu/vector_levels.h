// Micro-ops whose host code depends on the level (vector_sse4_ops.def and shuffles) as functions of
// one type, compiled once for each level of host instructions (tests/cpu/levels/).
#pragma once

#include "cpu/semantics/vector_types.h"

namespace penumbra::cpu {

/// Operands that an op does not have are ignored; integers and flags are the result's low lane.
struct LevelOp {
  const char* name;
  V128 (*run)(V128 a, V128 b, V128 c, u8 immediate);
};
struct LevelOps {
  const LevelOp* first;
  size_t count;
};

LevelOps level_ops_v1();
LevelOps level_ops_v2();
LevelOps level_ops_v3();

}  // namespace penumbra::cpu
