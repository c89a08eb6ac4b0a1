// A large array of zeroes that costs memory only where it was written: anonymous demand-zero pages.
//
// The element type must be valid when all its bytes are zero. Not resizable, movable only.
#pragma once

#include <sys/mman.h>

#include <type_traits>
#include <utility>

#include "common/log.h"
#include "common/types.h"

namespace penumbra::mmu {

template <class T>
  requires std::is_trivially_copyable_v<T>
class MappedArray {
 public:
  MappedArray() = default;
  explicit MappedArray(u64 count) : size_(count) { data_ = map(nullptr, 0); }
  MappedArray(MappedArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  MappedArray& operator=(MappedArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~MappedArray() {
    if (data_) ::munmap(data_, bytes());
  }

  T& operator[](u64 index) { return data_[index]; }
  const T& operator[](u64 index) const { return data_[index]; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  u64 size() const { return size_; }
  /// All zeroes again, at the same place, and the memory goes back to the host.
  void clear() { map(data_, MAP_FIXED); }

 private:
  u64 bytes() const { return size_ * sizeof(T); }
  T* map(T* place, int flags) const {
    void* pages = ::mmap(place, bytes(), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
    PENUMBRA_ASSERT(pages != MAP_FAILED);
    return static_cast<T*>(pages);
  }

  T* data_ = nullptr;
  u64 size_ = 0;
};

}  // namespace penumbra::mmu
