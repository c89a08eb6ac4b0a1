// The flags image: which bits of EFLAGS an instruction may change at a privilege level.
#pragma once

#include "cpu/context.h"

namespace penumbra::cpu {

/// EFLAGS after a return loads `image` of `width` at the current CPL (IRET, SDM 2): IF needs
/// CPL <= IOPL, IOPL needs CPL 0, VM is left as it is. RF is kept only while DR7 arms a breakpoint:
/// nothing else can see it.
u64 returned_flags(const CpuState& state, u64 image, Width width);

}  // namespace penumbra::cpu
