#include "translator/opt/passes.h"

namespace penumbra::translator {

void annotate_flags(Block& block) {
  FlagKind kind = FlagKind::Dynamic;
  for (MicroOp& op : block.ops) {
    op.flags_before = kind;
    if (op.op == Op::Call) {
      // A named operation finds the kind made current and leaves it so.
      bool writes = block.calls[op.immediate].call.effects & WritesFlags;
      kind = writes ? FlagKind::Dynamic : kind;
    } else if (op.sets_flags) {
      kind = cpu::flag_kind(flag_family_of(op.op), op.width);
    }
  }
}

}  // namespace penumbra::translator
