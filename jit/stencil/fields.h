// A few places in generated code: the distances of jumps that are still to be filled in.
//
// Without memory of its own to allocate: every block has many of these.
#pragma once

#include <array>

#include "common/log.h"

namespace penumbra::jit {

class Fields {
 public:
  void push_back(u8* field) {
    PENUMBRA_ASSERT(size_ < at_.size());
    at_[size_++] = field;
  }
  bool empty() const { return size_ == 0; }
  u32 size() const { return size_; }
  u8* operator[](u32 i) const { return at_[i]; }
  u8* const* begin() const { return at_.data(); }
  u8* const* end() const { return at_.data() + size_; }

 private:
  std::array<u8*, 7> at_;  ///< writable addresses
  u32 size_ = 0;
};

}  // namespace penumbra::jit
