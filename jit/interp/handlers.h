// Selection of handlers: which machine code runs a micro-op.
//
// The handlers themselves live in the handlers_*.cpp files, one a shape; each is an instance of a
// template over the micro-op's meaning (cpu/semantics), its width and its operand forms.
#pragma once

#include "jit/interp/uop.h"

namespace penumbra::jit {

Handler integer_handler(const translator::MicroOp& op);
Handler flags_handler(const translator::MicroOp& op);
Handler memory_handler(const translator::MicroOp& op);
Handler vector_handler(const translator::MicroOp& op);
Handler control_handler(const translator::MicroOp& op);

/// Any of the above, by shape.
Handler handler_for(const translator::MicroOp& op);

/// Jump handlers. `extra` of their uops is the static flag kind to make current.
Handler linked_jump(cpu::FlagKind kind);
Handler unlinked_jump();
/// Ends execution in front of an instruction of an invalidated block.
Handler leave_handler();
/// First uop of a block over two pages: checks that the second one is still the same.
Handler next_page_check();
/// The jump needs a lookup again; its target offset is kept in displacement.
void unlink_jump(Uop& jump);

}  // namespace penumbra::jit
