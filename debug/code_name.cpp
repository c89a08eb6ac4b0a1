#include "debug/code_name.h"

#include <fmt/format.h>

namespace penumbra::debug {

std::string code_name(const HostCode& code) {
  constexpr u8 kUser = 3;
  int bits = code.mode.is_long() ? 64 : code.mode.size() == CodeSize::Bits32 ? 32 : 16;
  return fmt::format("guest_{:x}+{}-{}", code.guest.value, bits,
                     code.mode.cpl() == kUser ? "user" : "kernel");
}

}  // namespace penumbra::debug
