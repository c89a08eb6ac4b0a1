// Hardware task switching (SDM 3A 7.3): far JMP and CALL to a TSS or task gate, task gates in the
// IDT, IRET with NT set. 16 and 32-bit TSS; not in long mode (callers never ask there).
//
// A fault before the new task's registers are loaded leaves everything as it was. Later ones (LDT,
// segments, instruction pointer: SDM 3A 7.3, steps 12 on) belong to the new task: it is committed,
// with rip its EIP, and what was not loaded is unusable.
#pragma once

#include "cpu/segmentation.h"

namespace penumbra::cpu {

enum class TaskReason : u8 { Jump, Call, Interrupt, Return };

struct TaskSwitch {
  u16 selector = 0;  ///< of the TSS
  TaskReason reason = TaskReason::Jump;
  u64 resume_rip = 0;   ///< where the old task goes on
  u64 extra_flags = 0;  ///< set in the image of its EFLAGS (RF of a fault)
};

Expected<> switch_task(CpuContext& ctx, const TaskSwitch& request);

/// The TSS selector that a task gate holds. #GP(selector) where it names none in the GDT.
Expected<u16> task_gate_target(CpuContext& ctx, const Descriptor& gate);

}  // namespace penumbra::cpu
