// Instructions run natively as 32-bit code, for those that 64-bit mode no longer has.
//
// The CPU enters a compatibility-mode segment by a far call and comes back by a far return. Hosts
// whose kernel offers no 32-bit user segment cannot run them: available() tells.
#pragma once

#include <span>

#include "common/types.h"

namespace penumbra::cpu::test {

/// Whether the host leaves undefined flags and condition bits as the reference vendor does.
bool host_is_reference();

class Native32 {
 public:
  struct Registers {
    u32 eax = 0, flags = 0;
  };

  Native32();
  ~Native32();
  Native32(const Native32&) = delete;
  Native32& operator=(const Native32&) = delete;

  static bool available();
  void place(std::span<const u8> instruction);
  Registers run(Registers in) const;

 private:
  u8* page_;
};

}  // namespace penumbra::cpu::test
