// String instructions: MOVS, STOS, LODS, SCAS, CMPS, INS and OUTS, in all widths and address sizes.
//
// Under REP the work is done a page at a time on plain RAM, element by element elsewhere, always
// with the result of the manual's one-element iteration (SDM 2, REP): overlapping moves replicate,
// RSI, RDI and RCX are those of the last finished iteration when a fault or Next::Repeat stops it.
// An iteration that may touch a device runs alone, so that its accesses are answered exactly once.
#pragma once

#include "cpu/ops.h"

namespace penumbra::cpu::ops {

/// MOVSD and CMPSD share their mnemonics with SSE2; that row's lift function calls these when both
/// operands are memory.
Outcome movs_string(CpuContext& ctx, const Operands& ops);
Outcome cmps_string(CpuContext& ctx, const Operands& ops);

}  // namespace penumbra::cpu::ops
