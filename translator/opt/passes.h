// The passes over a block, in the order in which optimize() runs them.
#pragma once

#include "translator/ir/block.h"

namespace penumbra::translator {

/// Removes flag definitions that are overwritten before anything can see them, and micro-ops whose
/// temporaries nobody reads. A definition goes only if nothing that can fault or leave lies between
/// it and the next one; else the two values stay (design 2.2).
void remove_dead_code(Block& block);

/// A result that goes to a temporary only to be moved to a register is written there.
void write_directly(Block& block);

/// Sets MicroOp::cold_flags of definitions that only slow paths and side exits want, where these
/// can make them from registers that still hold what they held (behind annotate_flags()).
void cool_flags(Block& block);

/// Fills in what MicroOps know of the flags (flags_before, reads), and inserts what they need where
/// a definition of some flags meets another one.
void annotate_flags(Block& block);

/// A compare or test followed by the branch on it becomes one micro-op.
void fuse_compare_branch(Block& block);

void optimize(Block& block);

}  // namespace penumbra::translator
