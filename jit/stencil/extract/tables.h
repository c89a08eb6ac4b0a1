// The tables of all stencils of one host level, and their C++ text.
#pragma once

#include <map>

#include "jit/stencil/extract/extract.h"

namespace penumbra::jit::extract {

/// Owns what a StencilTables shows.
class TableBuilder {
 public:
  /// An error for a key that is there already.
  Result<> add(const ExtractedStencil& stencil);

  /// Valid until the next add().
  StencilTables tables();

 private:
  u32 constant(const std::vector<u8>& entry);

  std::vector<u8> code_, constants_;
  std::vector<Stencil> stencils_;
  std::vector<Hole> holes_;
  std::vector<RegisterHole> register_holes_;
  std::map<u64, std::string> names_;  ///< by key
  std::map<std::vector<u8>, u32> constant_places_;
};

/// A C++ file that defines `const StencilTables penumbra::jit::NAME`.
std::string cpp_text(const StencilTables& tables, const std::string& name);

}  // namespace penumbra::jit::extract
