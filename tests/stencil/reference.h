// What the test stencils should do, said a second time in plain C++.
#pragma once

#include <functional>

#include "tests/stencil/keys.h"
#include "tests/stencil/runner.h"

namespace penumbra::jit::test {

/// The state that slots lie in and the memory that loads and stores reach.
struct World {
  static constexpr u32 kStateSize = 512, kMemorySize = 1024;
  alignas(32) u8 state[kStateSize];
  alignas(32) u8 memory[kMemorySize];
};

/// The values by name of one run of a stencil.
struct Machine {
  World* world;
  u64 d, a, b, c;
  i64 left;
  Vector vd, va, vb, vc;
  const StencilFill* fill;
  u64 elsewhere;

  u64 value(HoleKind kind) const { return fill->values[static_cast<u32>(kind)]; }
  template <class T = u64>
  T& slot(HoleKind kind) const {
    return *reinterpret_cast<T*>(world->state + value(kind));
  }
};

struct Reference {
  u64 key;
  std::function<Way(Machine&)> run;
  /// Makes operands valid (addresses) before the run; may be empty.
  std::function<void(Machine&)> prepare;
  u32 vector_bits = 0;  ///< how much of a vector operand counts; 0: a scalar stencil
  bool needs_v3 = false;
};

const std::vector<Reference>& references();

}  // namespace penumbra::jit::test
