// One named, versioned, compressed part of a snapshot.
//
// Packer compresses as bytes arrive and Unpacker gives them back in any portions, so the largest
// section (RAM) needs no second copy of itself. What an Unpacker reads is untrusted: it never
// yields more than the section's stated size and reports damage instead of reading on.
#pragma once

#include <expected>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/types.h"

namespace penumbra::snapshot {

struct Section {
  std::string name;  ///< 1..kLongestName bytes
  u32 version = 0;
  u64 size = 0;            ///< bytes before compression
  std::vector<u8> packed;  ///< zstd
  static constexpr size_t kLongestName = 31;
};

class Packer {
 public:
  Packer(std::string name, u32 version);
  ~Packer();
  void append(std::span<const u8> bytes);
  Section finish();

 private:
  struct Stream;
  void compress(std::span<const u8> bytes, bool last);
  std::unique_ptr<Stream> stream_;
  Section section_;
};

class Unpacker {
 public:
  /// `section` outlives the Unpacker.
  explicit Unpacker(const Section& section);
  ~Unpacker();
  /// Fills `out` entirely; false when the section is damaged or shorter.
  bool read(std::span<u8> out);
  /// Everything has been read and the packed data ends here too.
  bool finished();

 private:
  struct Stream;
  std::unique_ptr<Stream> stream_;
};

Section pack(std::string name, u32 version, std::span<const u8> bytes);
/// The bytes of a section of at most `limit` bytes; the error is one line for the user.
std::expected<std::vector<u8>, std::string> unpack(const Section& section, u64 limit);

/// Memory, without its pages of zeros.
Section pack_memory(std::string name, u32 version, std::span<const u8> memory);
/// Fills all of `memory`. False when the section does not describe memory of this size.
bool unpack_memory(const Section& section, std::span<u8> memory);

}  // namespace penumbra::snapshot
