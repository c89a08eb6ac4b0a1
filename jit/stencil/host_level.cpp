#include "jit/stencil/host_level.h"

namespace penumbra::jit {

// Generated, one file a level.
extern const StencilTables kStencilsV2, kStencilsV3;

HostLevel host_level() {
  return __builtin_cpu_supports("x86-64-v3") ? HostLevel::V3 : HostLevel::V2;
}

const StencilTables& stencil_tables(HostLevel level) {
  return level == HostLevel::V3 ? kStencilsV3 : kStencilsV2;
}

}  // namespace penumbra::jit
