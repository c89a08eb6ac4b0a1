// Makes a stencil of a compiled function: decode, prove, tidy, lay out again.
#pragma once

#include "jit/stencil/extract/effects.h"

namespace penumbra::jit::extract {

/// An entry of a constant pool that a hole of kind Constants refers to; the entry's place in the
/// final pool is to be added to the hole's addend.
struct ConstantUse {
  u32 hole = 0;
  std::vector<u8> entry;
};

struct ExtractedStencil {
  u64 key = 0;
  std::string name;
  std::vector<u8> code;
  std::vector<Hole> value_holes, continuations;
  std::vector<RegisterHole> register_holes;
  std::vector<ConstantUse> constants;
  Effects effects;
  bool falls_through = false;
};

/// The error names the function and its key.
Result<ExtractedStencil> extract(const StencilSource& source);

}  // namespace penumbra::jit::extract
