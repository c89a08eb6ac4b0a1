#include "snapshot/container.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/archive.h"

namespace penumbra::snapshot {

namespace {

constexpr char kMagic[8] = {'P', 'N', 'U', 'M', 'S', 'N', 'A', 'P'};
constexpr u32 kMostSections = 256;

struct FileHeader {
  char magic[8];
  u32 format_version;
  u32 sections;
  u64 checksum;  ///< of the bytes before
};

struct SectionHeader {
  char name[Section::kLongestName + 1];  ///< padded with zeros
  u32 version;
  u32 reserved;
  u64 size;
  u64 packed_size;
  u64 checksum;  ///< of the packed bytes, then of this header before the checksum
};

template <class Header>
std::span<const u8> checked_part(const Header& header) {
  return {reinterpret_cast<const u8*>(&header), offsetof(Header, checksum)};
}

template <class Header>
u64 checksum_of(const Header& header, std::span<const u8> packed = {}) {
  std::span<const u8> part = checked_part(header);
  return hash_bytes(part.data(), part.size(), hash_bytes(packed.data(), packed.size()));
}

template <class T>
void append(std::vector<u8>& bytes, const T& value) {
  auto* begin = reinterpret_cast<const u8*>(&value);
  bytes.insert(bytes.end(), begin, begin + sizeof value);
}

template <class T>
bool take(std::span<const u8>& bytes, T& value) {
  if (bytes.size() < sizeof value) return false;
  std::memcpy(&value, bytes.data(), sizeof value);
  bytes = bytes.subspan(sizeof value);
  return true;
}

SectionHeader header_of(const Section& section) {
  SectionHeader header = {};
  std::memcpy(header.name, section.name.data(), section.name.size());
  header.version = section.version;
  header.size = section.size;
  header.packed_size = section.packed.size();
  header.checksum = checksum_of(header, section.packed);
  return header;
}

std::expected<u32, std::string> take_file_header(std::span<const u8>& bytes) {
  FileHeader header;
  if (!take(bytes, header) || std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) {
    return std::unexpected("not a snapshot");
  }
  if (header.checksum != checksum_of(header) || header.sections > kMostSections) {
    return std::unexpected("the snapshot is damaged: its header does not match its checksum");
  }
  if (header.format_version != Container::kFormatVersion) {
    return std::unexpected(fmt::format("the snapshot has format {}, this program reads format {}",
                                       header.format_version, Container::kFormatVersion));
  }
  return header.sections;
}

std::expected<Section, std::string> take_section(std::span<const u8>& bytes) {
  SectionHeader header;
  if (!take(bytes, header) || header.packed_size > bytes.size()) {
    return std::unexpected("the snapshot is truncated");
  }
  std::span<const u8> packed = bytes.first(header.packed_size);
  if (header.checksum != checksum_of(header, packed) || header.name[Section::kLongestName] != 0) {
    return std::unexpected("the snapshot is damaged: a section does not match its checksum");
  }
  bytes = bytes.subspan(header.packed_size);
  return Section{header.name, header.version, header.size, {packed.begin(), packed.end()}};
}

std::string error_text() { return std::strerror(errno); }

/// A file descriptor that closes itself.
class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

bool write_all(int descriptor, std::span<const u8> bytes) {
  while (!bytes.empty()) {
    ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return true;
}

bool read_all(int descriptor, std::span<u8> bytes) {
  while (!bytes.empty()) {
    ssize_t count = ::read(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return true;
}

/// Makes a rename in the file's folder last. Some file systems cannot; the rename stands anyway.
void sync_folder(const std::string& path) {
  size_t slash = path.rfind('/');
  std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  File file(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file.get() >= 0) ::fsync(file.get());
}

}  // namespace

std::expected<const Section*, std::string> Container::find(const std::string& name,
                                                           u32 version) const {
  for (const Section& section : sections_) {
    if (section.name != name) continue;
    if (section.version == version) return &section;
    return std::unexpected(fmt::format("its section '{}' has version {}, this program reads {}",
                                       name, section.version, version));
  }
  return std::unexpected(fmt::format("it has no section '{}'", name));
}

std::vector<u8> Container::encode() const {
  FileHeader header = {};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.format_version = kFormatVersion;
  header.sections = static_cast<u32>(sections_.size());
  header.checksum = checksum_of(header);
  std::vector<u8> bytes;
  append(bytes, header);
  for (const Section& section : sections_) {
    append(bytes, header_of(section));
    bytes.insert(bytes.end(), section.packed.begin(), section.packed.end());
  }
  return bytes;
}

std::expected<Container, std::string> Container::decode(std::span<const u8> bytes) {
  auto count = take_file_header(bytes);
  if (!count) return std::unexpected(count.error());
  Container container;
  for (u32 i = 0; i < *count; ++i) {
    auto section = take_section(bytes);
    if (!section) return std::unexpected(section.error());
    container.add(std::move(*section));
  }
  if (!bytes.empty()) return std::unexpected("the snapshot is damaged: bytes follow its end");
  return container;
}

std::expected<void, std::string> Container::write(const std::string& path) const {
  std::string temporary = path + ".XXXXXX";
  File file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (file.get() < 0) return std::unexpected(error_text());
  bool written = write_all(file.get(), encode()) && ::fsync(file.get()) == 0 &&
                 ::rename(temporary.c_str(), path.c_str()) == 0;
  if (!written) {
    std::string text = error_text();
    ::unlink(temporary.c_str());
    return std::unexpected(text);
  }
  sync_folder(path);
  return {};
}

std::expected<Container, std::string> Container::read(const std::string& path) {
  File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status;
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) return std::unexpected(error_text());
  if (S_ISDIR(status.st_mode)) return std::unexpected("is a directory, not a snapshot");
  if (!S_ISREG(status.st_mode)) return std::unexpected("not a regular file");
  FileHeader header = {};
  if (::pread(file.get(), &header, sizeof header, 0) < 0 ||
      std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) {
    return std::unexpected("not a snapshot");
  }
  std::vector<u8> bytes(static_cast<size_t>(status.st_size));
  if (!read_all(file.get(), bytes)) return std::unexpected("cannot be read: " + error_text());
  return decode(bytes);
}

}  // namespace penumbra::snapshot
