// What stands in front of all generated code: jumps to the borders with C++, and constants.
//
// Generated code reaches both with 32-bit distances, which the program itself may be too far for.
#pragma once

#include "jit/stencil/code_memory.h"
#include "jit/stencil/stencil.h"

namespace penumbra::jit {

/// Executable addresses that generated code calls or jumps to.
struct Thunks {
  const u8 *slow = nullptr, *slow_store = nullptr, *make_flags = nullptr, *straight = nullptr,
           *leave_slice = nullptr, *link = nullptr, *leave_stale = nullptr, *lookup = nullptr;
};

/// Puts them in front of the first block of the first region, which is therefore smaller by this.
/// `constants` is the address of the tables' constants.
void place_thunks(CodeMemory& memory, const StencilTables& tables, Thunks& thunks, u64& constants);

}  // namespace penumbra::jit
