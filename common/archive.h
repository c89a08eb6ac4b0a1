// One list of fields that saves, loads and hashes.
//
// A stateful type has one member `template <class A> void serialize(A& archive) { archive(x, y); }`
// (A is always Archive; the template keeps headers free of this one). Saving appends little-endian
// bytes; loading reads them back and, on truncated or oversized input, zeroes what is left and
// remembers failed(). A loaded value is untrusted: its owner checks it before use.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "common/types.h"

namespace penumbra {

class Archive {
 public:
  static Archive saver() { return Archive(false); }
  static Archive loader(std::vector<u8> data) {
    Archive archive(true);
    archive.data_ = std::move(data);
    return archive;
  }

  bool loading() const { return loading_; }
  bool failed() const { return failed_; }
  void fail() { failed_ = true; }
  /// All input was read; false also after a failure.
  bool exhausted() const { return !failed_ && position_ == data_.size(); }
  const std::vector<u8>& data() const { return data_; }
  std::vector<u8> take() { return std::move(data_); }

  template <class... Fields>
  void operator()(Fields&... fields) {
    (field(fields), ...);
  }

  /// Raw bytes of a trivially copyable object, without padding concerns: use for byte arrays.
  void raw(void* bytes, size_t size);

 private:
  explicit Archive(bool loading) : loading_(loading) {}

  template <class T>
  void field(T& value) {
    if constexpr (requires { value.serialize(*this); }) {
      value.serialize(*this);
    } else if constexpr (std::is_same_v<T, bool>) {
      u8 byte = value;
      raw(&byte, 1);
      value = byte != 0;
    } else {
      static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
      raw(&value, sizeof value);
    }
  }
  template <class T, size_t N>
  void field(T (&values)[N]) {
    elements(values, N);
  }
  template <class T, size_t N>
  void field(std::array<T, N>& values) {
    elements(values.data(), N);
  }
  template <class T>
  void field(std::vector<T>& values) {
    values.resize(count(values.size(), sizeof(T)));
    elements(values.data(), values.size());
  }
  void field(std::string& text) {
    text.resize(count(text.size(), 1));
    raw(text.data(), text.size());
  }
  template <class T>
  void elements(T* values, size_t size) {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      raw(values, size * sizeof(T));
    } else {
      for (size_t i = 0; i < size; ++i) field(values[i]);
    }
  }
  /// Length prefix; a length that the input cannot hold fails and reads as 0.
  size_t count(size_t size, size_t element_size);

  bool loading_;
  bool failed_ = false;
  size_t position_ = 0;
  std::vector<u8> data_;
};

/// 64-bit hash of bytes (FNV-1a over words, finalised); state hashes of lockstep and determinism.
u64 hash_bytes(const void* bytes, size_t size, u64 seed = 0);

}  // namespace penumbra
