// Who may touch a port: IOPL and the I/O permission bitmap of the TSS (SDM 1, 19.5).
#pragma once

#include "cpu/context.h"

namespace penumbra::cpu {

/// #GP(0) unless CPL <= IOPL outside virtual-8086 mode or the bitmap allows all `size` ports.
Expected<> check_port(CpuContext& ctx, u16 port, u32 size);

}  // namespace penumbra::cpu
