// The task-state segment: where stack pointers, the I/O map and the tasks' registers stand.
//
// SDM 3A 7.2 (32-bit), 7.6 (16-bit), 7.7 (64-bit). Reads have implicit supervisor rights.
#pragma once

#include "cpu/segmentation.h"

namespace penumbra::cpu {

/// 16-bit TSS in the task register (never in long mode).
bool tss_is_16bit(const SegmentRegister& tr);

/// `size` bytes at `offset` of the current TSS; #TS(TR selector) beyond its limit.
Expected<u64> tss_address(const CpuContext& ctx, u32 offset, u32 size);

struct StackPointer {
  u16 selector = 0;
  u64 pointer = 0;
};
/// SSn:ESPn or SSn:SPn for `cpl` 0..2 of a 16 or 32-bit TSS.
Expected<StackPointer> read_inner_stack(CpuContext& ctx, u8 cpl);
/// RSPn (ist 0) or ISTn (1..7) of the 64-bit TSS. #SS(0) when not canonical.
Expected<u64> read_long_stack(CpuContext& ctx, u8 cpl, u8 ist);

}  // namespace penumbra::cpu
