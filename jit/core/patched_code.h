// Which bytes of code the guest has patched, and which it keeps patching.
//
// A history, not a fact: what it says only chooses between translations that mean the same.
#pragma once

#include <memory>
#include <unordered_map>

#include "jit/core/block_key.h"
#include "translator/translate.h"

namespace penumbra::jit {

class PatchedCode {
 public:
  /// A store changed these bytes, and a block had them. Of large stores nothing is remembered: they
  /// bring other code.
  void note(GuestPhys address, u64 size);
  /// Bytes of the page that were patched more than once; nullptr where there are none.
  const translator::PageBytes* changing(GuestPhys page) const;
  /// Whether any byte of a block inside one page was ever patched.
  bool any(const BlockPlace& place) const;

 private:
  static constexpr u64 kLargestPatch = 16;
  static constexpr size_t kMostPages = 1024;  ///< of which the history is kept

  struct Page {
    translator::PageBytes once, again;
  };
  const Page* find(GuestPhys address) const;
  Page& page(u64 number);

  std::unordered_map<u64, std::unique_ptr<Page>> pages_;  ///< by page number
};

}  // namespace penumbra::jit
