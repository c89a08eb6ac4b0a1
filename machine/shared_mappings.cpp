#include "machine/shared_mappings.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "common/types.h"

namespace penumbra::machine {

namespace {

struct Mapping {
  u64 start = 0, end = 0, offset = 0;
  int protection = 0;
  u8* address() const { return reinterpret_cast<u8*>(start); }
  u64 size() const { return end - start; }
};
using MappingsByFile = std::map<u64, std::vector<Mapping>>;  ///< by inode

int protection_of(const char* rights) {
  return (rights[0] == 'r' ? PROT_READ : 0) | (rights[1] == 'w' ? PROT_WRITE : 0) |
         (rights[2] == 'x' ? PROT_EXEC : 0);
}

/// What the kernel calls shared memory of no file, each with an inode of its own.
constexpr std::string_view kAnonymous = "/dev/zero (deleted)";

/// proc(5), /proc/[pid]/maps.
void add_line(const char* line, MappingsByFile& files) {
  Mapping mapping;
  char rights[5] = {};
  u64 inode = 0;
  int path = 0;
  int fields = std::sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*x:%*x %" SCNu64 " %n",
                           &mapping.start, &mapping.end, rights, &mapping.offset, &inode, &path);
  constexpr int kAllFields = 5;
  if (fields != kAllFields || rights[3] != 's') return;
  std::string_view name(line + path);
  if (!name.starts_with("/memfd:") && !name.starts_with(kAnonymous)) return;
  mapping.protection = protection_of(rights);
  files[inode].push_back(mapping);
}

MappingsByFile shared_mappings() {
  MappingsByFile files;
  std::FILE* maps = std::fopen("/proc/self/maps", "re");
  if (maps == nullptr) return files;
  char* line = nullptr;
  size_t capacity = 0;
  while (::getline(&line, &capacity, maps) >= 0) add_line(line, files);
  std::free(line);
  std::fclose(maps);
  return files;
}

bool write_at(int file, const Mapping& mapping) {
  for (u64 done = 0; done < mapping.size();) {
    ssize_t written = ::pwrite(file, mapping.address() + done, mapping.size() - done,
                               static_cast<off_t>(mapping.offset + done));
    if (written <= 0) return false;
    done += static_cast<u64>(written);
  }
  return true;
}

/// What no mapping may read is not copied.
bool fill(int file, const std::vector<Mapping>& mappings) {
  u64 size = 0;
  for (const Mapping& mapping : mappings) size = std::max(size, mapping.offset + mapping.size());
  if (::ftruncate(file, static_cast<off_t>(size)) != 0) return false;
  return std::ranges::all_of(mappings, [&](const Mapping& mapping) {
    return !(mapping.protection & PROT_READ) || write_at(file, mapping);
  });
}

bool replace(const std::vector<Mapping>& mappings) {
  int file = ::memfd_create("copy", MFD_CLOEXEC);
  bool done = file >= 0 && fill(file, mappings);
  for (const Mapping& mapping : mappings) {
    done = done && ::mmap(mapping.address(), mapping.size(), mapping.protection,
                          MAP_SHARED | MAP_FIXED | MAP_NORESERVE, file,
                          static_cast<off_t>(mapping.offset)) != MAP_FAILED;
  }
  if (file >= 0) ::close(file);
  return done;
}

}  // namespace

bool own_shared_mappings() {
  return std::ranges::all_of(shared_mappings(),
                             [](const auto& file) { return replace(file.second); });
}

}  // namespace penumbra::machine
