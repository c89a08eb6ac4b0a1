// A translated block before it belongs to an engine: micro-ops and the facts of their instructions.
//
// Blocks do not depend on the linear address: offsets count from the start of the code page that
// holds the first byte. A block stays inside one page, except that an instruction which crosses
// into the next page is a block of its own (crosses_page). The last micro-op is Jump, JumpDynamic,
// Raise or a Call that leaves. A block may go on behind a branch that is not taken, and then hold
// an instruction more than once.
#pragma once

#include <string>
#include <vector>

#include "common/code_mode.h"
#include "translator/ir/micro_op.h"
#include "translator/ir/named.h"

namespace penumbra::translator {

struct InstructionSite {
  u16 offset = 0;  ///< in the code page
  u8 length = 0;
};

/// Bytes [offset, offset + size) of the code page.
struct CodeRange {
  u16 offset = 0;
  u16 size = 0;
};

/// A call of a named operation with its operands.
struct CallSite {
  NamedCall call;
  Operands operands;
};

struct Block {
  CodeMode mode;
  u16 start = 0;  ///< offset in the code page
  u16 end = 0;    ///< offset behind the last instruction; above 4096 where crosses_page
  bool crosses_page = false;
  std::vector<MicroOp> ops;
  std::vector<InstructionSite> instructions;
  std::vector<CallSite> calls;
  std::vector<CodeRange> loaded;  ///< bytes that the block loads when it runs
};

/// One line a micro-op, under one a guest instruction; for --dump=ir and tests.
std::string print(const Block& block);
/// The line of one micro-op of the block, indented.
std::string print(const Block& block, const MicroOp& op);
/// What a value of CpuState is called in listings: a register, a temporary (t, v), a field.
std::string slot_name(Slot slot);

/// Empty, or what is wrong first: commit order (nothing that may fault or leave follows an
/// instruction's first architectural write), temporaries read before written, slots out of range,
/// missing or misplaced control. Named operations are checked to stand alone.
std::string verify(const Block& block);

}  // namespace penumbra::translator
