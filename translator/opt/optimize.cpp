#include "translator/opt/passes.h"

namespace penumbra::translator {

void optimize(Block& block) {
  write_directly(block);
  remove_dead_code(block);
  fuse_compare_branch(block);
  annotate_flags(block);
  cool_flags(block);
}

}  // namespace penumbra::translator
