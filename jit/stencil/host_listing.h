// Generated code as text, for people.
//
// Offsets count from the block's entry. What lies outside of the block has a name in place of its
// address, so a listing is the same wherever the code is: equal code gives equal text.
#pragma once

#include <string>
#include <vector>

#include "jit/stencil/generator.h"
#include "jit/stencil/host_level.h"

namespace penumbra::jit {

struct HostLine {
  u32 offset;
  std::string text;
};

/// The block's code as it is now. `constants` is where place_thunks() put them.
std::vector<HostLine> list_code(const NativeBlock& block, const Thunks& thunks, u64 constants);
/// One line each, with its offset.
std::string print(const std::vector<HostLine>& lines);

/// Generates the code of blocks that belong to no machine. None of it can be run.
class BlockLister {
 public:
  struct Section {
    CodeMark mark;
    std::vector<HostLine> lines;
  };

  explicit BlockLister(HostLevel level);

  /// The parts of the block's code in their order; the second micro-op of a branch has none.
  std::vector<Section> list(const translator::Block& ir);

 private:
  static constexpr u64 kCodeBytes = 16ull << 20;

  CodeMemory memory_{kCodeBytes, 2};
  Stencils stencils_;
  Thunks thunks_;
  u64 constants_ = 0;
  const Variation variation_;
  Generator generator_;
};

}  // namespace penumbra::jit
