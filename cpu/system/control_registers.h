// Control registers and EFER: what writing them checks and changes (SDM 3A 2.5, APM 2 3.1).
//
// PDPTEs are not loaded on MOV to CR3 as the manual's PAE paging does: the MMU walks them like any
// other level, so a reserved bit in one is #PF at use, not #GP at the load.
#pragma once

#include "cpu/context.h"

namespace penumbra::cpu {

/// EFER.AIBRSE, automatic indirect-branch restriction (APM 2 3.2.9).
constexpr u64 kEferAutoIbrs = bit(21);

Expected<> write_cr0(CpuContext& ctx, u64 value);
Expected<> write_cr3(CpuContext& ctx, u64 value);
Expected<> write_cr4(CpuContext& ctx, u64 value);
/// WRMSR EFER: LMA is kept, LME may change only while paging is off.
Expected<> write_efer(CpuContext& ctx, u64 value);

}  // namespace penumbra::cpu
