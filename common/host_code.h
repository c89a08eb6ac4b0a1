// Where an engine tells tools of the host about the code that it generates.
//
// For profilers and debuggers, which know nothing of code that comes from no file.
#pragma once

#include "common/code_mode.h"

namespace penumbra {

/// The code of one block.
struct HostCode {
  const u8* code = nullptr;  ///< where it runs
  u64 size = 0;
  GuestPhys guest;  ///< of the first byte that it was made of
  CodeMode mode;
};

class HostCodeObserver {
 public:
  virtual ~HostCodeObserver() = default;
  virtual void generated(const HostCode& code) = 0;
  /// What was generated in [begin, begin + size) is gone; other code will come there.
  virtual void dropped(const u8* begin, u64 size) = 0;
};

}  // namespace penumbra
