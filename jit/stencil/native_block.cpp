#include "jit/stencil/native_block.h"

#include <algorithm>

#include "jit/interp/uop.h"
#include "jit/stencil/code_memory.h"
#include "jit/stencil/copy.h"

namespace penumbra::jit {
namespace {

/// Makes the jump whose distance is at `field` (executable addresses) go to `to`.
void redirect(CodeMemory& memory, u8* field, const u8* to) {
  jit::link(memory.writable_of(field), reinterpret_cast<u64>(field), reinterpret_cast<u64>(to));
}

void detach(CodeMemory& memory, NativeExit& exit) {
  redirect(memory, exit.field, exit.stub);
  exit.target = nullptr;
  exit.far.key = 0;  // or a hit would change the code base in front of the stub
  exit.far.place = nullptr;
}

}  // namespace

void NativeBlock::link(NativeExit& exit, NativeBlock& to) {
  if (exit.target == &to) return;
  if (exit.target != nullptr) std::erase(exit.target->incoming, &exit);
  redirect(*memory, exit.field, to.code);
  exit.target = &to;
  to.incoming.push_back(&exit);
}

void NativeBlock::unlink() {
  constexpr u8 kJump = 0xe9;
  *memory->writable_of(code) = kJump;
  redirect(*memory, code + 1, stale);
  for (NativeExit* exit : incoming) detach(*memory, *exit);
  incoming.clear();
  for (u16 i = 0; i < exit_count; ++i) {
    NativeExit& exit = exits[i];
    if (exit.target == nullptr) continue;
    std::erase(exit.target->incoming, &exit);
    detach(*memory, exit);
  }
}

}  // namespace penumbra::jit
