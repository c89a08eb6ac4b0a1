// Selection of handlers: which machine code runs a micro-op.
//
// The handlers themselves live in the handlers_*.cpp files, one a shape; each is an instance of a
// template over the micro-op's meaning (cpu/semantics), its width and its operand forms.
#pragma once

#include <span>

#include "jit/interp/uop.h"

namespace penumbra::jit {

Handler integer_handler(const translator::MicroOp& op);
Handler flags_handler(const translator::MicroOp& op);
Handler memory_handler(const translator::MicroOp& op);
Handler vector_handler(const translator::MicroOp& op);
Handler control_handler(const translator::MicroOp& op);

/// Any of the above, by shape.
Handler handler_for(const translator::MicroOp& op);

/// One pure micro-op, to be followed by return_handler(): runs it from C++.
Uop interpreted(const translator::MicroOp& op);
Handler return_handler();

/// Ends execution in front of an instruction of an invalidated block.
Handler leave_handler();
/// First uop of a block over two pages: checks that the second one is still the same.
Handler next_page_check();
/// A jump goes straight to `target`, or needs a lookup again (its target offset stays in
/// displacement). `extra` of jumps is the static flag kind that they make current.
void link_jump(Uop& jump, const BlockCode& target);
void unlink_jump(Uop& jump);

/// One uop for the micro-ops at `ops` where a fused handler exists for the first few of them:
/// how many it takes, 0 for none. All belong to one instruction.
size_t fuse(std::span<const translator::MicroOp> ops, Uop& uop);

}  // namespace penumbra::jit
