#include "jit/stencil/thunks.h"

#include <cstring>

#include "jit/stencil/entry_x86.h"
#include "jit/stencil/straight.h"

namespace penumbra::jit {

void place_thunks(CodeMemory& memory, const StencilTables& tables, Thunks& thunks, u64& constants) {
  u32 size = static_cast<u32>(tables.constants.size() + 256);
  u8* to = memory.writable(size);
  std::memcpy(to, tables.constants.data(), tables.constants.size());
  constants = reinterpret_cast<u64>(memory.executable(to));
  to += (tables.constants.size() + 31) / 32 * 32;
  auto place = [&](void (*function)()) {
    const u8* at = memory.executable(to);
    // jmp [rip]; then the address
    constexpr u8 kJump[] = {0xff, 0x25, 0, 0, 0, 0};
    std::memcpy(to, kJump, sizeof kJump);
    std::memcpy(to + sizeof kJump, &function, sizeof function);
    to += 16;
    return at;
  };
  bool has_avx = __builtin_cpu_supports("avx") != 0;
  thunks = {.slow = place(has_avx ? penumbra_slow_avx : penumbra_slow_sse),
            .slow_store = place(has_avx ? penumbra_slow_store_avx : penumbra_slow_store_sse),
            .make_flags = place(has_avx ? penumbra_flags_avx : penumbra_flags_sse),
            .straight = place(penumbra_straight),
            .leave_slice = place(penumbra_leave_slice),
            .link = place(penumbra_link),
            .leave_stale = place(penumbra_leave_stale),
            .lookup = place(penumbra_lookup)};
  memory.reserve(size);
}

}  // namespace penumbra::jit
