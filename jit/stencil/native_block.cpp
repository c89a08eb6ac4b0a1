#include "jit/stencil/native_block.h"

#include <algorithm>
#include <cstring>

#include "jit/interp/uop.h"
#include "jit/stencil/code_memory.h"
#include "jit/stencil/copy.h"

namespace penumbra::jit {
namespace {

/// Makes the jump whose distance is at `field` (executable addresses) go to `to`.
void redirect(CodeMemory& memory, u8* field, const u8* to) {
  jit::link(memory.writable_of(field), reinterpret_cast<u64>(field), reinterpret_cast<u64>(to));
}

void lead(CodeMemory& memory, const NativeExit& exit, const u8* jump_to, const u8* return_to) {
  u8* field = exit.owner->code + exit.field;
  if (!exit.returns) return redirect(memory, field, jump_to);
  std::memcpy(memory.writable_of(field), &return_to, sizeof return_to);
}

void detach(CodeMemory& memory, NativeExit& exit) {
  const u8* stub = exit.owner->code + exit.stub;
  lead(memory, exit, stub, stub);
  exit.target = nullptr;
  // Or a hit would change the code base in front of the stub.
  if (exit.far != nullptr) *exit.far = {};
}

void close(CodeMemory& memory, NativeBlock::Entry& entry) {
  constexpr u8 kJump = 0xe9;
  if (entry.code == nullptr) return;
  std::copy_n(entry.code, entry.replaced.size(), entry.replaced.begin());
  *memory.writable_of(entry.code) = kJump;
  redirect(memory, entry.code + 1, entry.stale);
}

void open(CodeMemory& memory, const NativeBlock::Entry& entry) {
  if (entry.code != nullptr) std::ranges::copy(entry.replaced, memory.writable_of(entry.code));
}

}  // namespace

void NativeBlock::link(NativeExit& exit, NativeBlock& to) {
  if (exit.target == &to) return;
  if (exit.target != nullptr) std::erase(exit.target->incoming, &exit);
  lead(*memory, exit, to.start.code, to.code);
  exit.target = &to;
  to.incoming.push_back(&exit);
}

void NativeBlock::unlink() {
  close(*memory, start);
  close(*memory, again);
  for (NativeExit* exit : incoming) detach(*memory, *exit);
  incoming.clear();
  for (u16 i = 0; i < exit_count; ++i) {
    NativeExit& exit = exits[i];
    if (exit.target == nullptr) continue;
    std::erase(exit.target->incoming, &exit);
    detach(*memory, exit);
  }
}

void NativeBlock::keep_original() {
  original = std::make_unique_for_overwrite<u8[]>(place.size);
  std::copy_n(place.key.code, place.size, original.get());
}

bool NativeBlock::is_original() const {
  bool same = true;
  place.for_each_fixed([&](u64 at, u64 size) {
    u64 offset = at - place.physical.value;
    same = same && std::equal(&original[offset], &original[offset] + size, place.key.code + offset);
  });
  return same;
}

void NativeBlock::revive() {
  open(*memory, start);
  open(*memory, again);
  valid = true;
}

}  // namespace penumbra::jit
