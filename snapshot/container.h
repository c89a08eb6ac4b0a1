// The snapshot file: a magic, a format version and a list of sections, each with its checksum.
//
// Written to a temporary file beside the target, synced and renamed, so a crash leaves the old file
// or the new one. Reading checks everything before anything is used: every truncation and every
// flipped bit is refused, and so is a file of a later format. What the sections mean is their
// owners' business.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "snapshot/section.h"

namespace penumbra::snapshot {

class Container {
 public:
  static constexpr u32 kFormatVersion = 1;

  void add(Section section) { sections_.push_back(std::move(section)); }
  const std::vector<Section>& sections() const { return sections_; }
  /// The section of that name and version; the error says what is missing or too new.
  std::expected<const Section*, std::string> find(const std::string& name, u32 version) const;

  /// Errors are one line for the user, without the file's name.
  std::expected<void, std::string> write(const std::string& path) const;
  static std::expected<Container, std::string> read(const std::string& path);

  /// The file's bytes, and back.
  std::vector<u8> encode() const;
  static std::expected<Container, std::string> decode(std::span<const u8> bytes);

 private:
  std::vector<Section> sections_;
};

}  // namespace penumbra::snapshot
