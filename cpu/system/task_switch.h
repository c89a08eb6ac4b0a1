// Hardware task switching (SDM 3A 7.3): far JMP and CALL to a TSS or task gate, task gates in the
// IDT, IRET with NT set. 16 and 32-bit TSS; not in long mode (callers never ask there).
#pragma once

#include "cpu/segmentation.h"

namespace penumbra::cpu {

enum class TaskSwitch : u8 { Jump, Call, Interrupt, Return };

/// Switches to the task whose TSS `selector` names. rip must be what the old task resumes at. The
/// faults before the new task's registers are loaded leave everything as it was; those after it
/// (LDT, segments, SDM 3A 7.3 step 12 on) belong to the new task, whose state is committed.
Expected<> switch_task(CpuContext& ctx, u16 selector, TaskSwitch reason);

/// A TSS descriptor reached through a task gate at `gate`: #GP, #NP of the gate and the selector.
Expected<u16> task_gate_target(CpuContext& ctx, const Descriptor& gate);

}  // namespace penumbra::cpu
