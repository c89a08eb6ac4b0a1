#include "snapshot/container.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace penumbra::snapshot {

namespace {

std::vector<u8> bytes_of(size_t size, u32 seed) {
  std::vector<u8> bytes(size);
  for (u8& byte : bytes) byte = static_cast<u8>((seed = seed * 1664525 + 1013904223) >> 24);
  return bytes;
}

Container sample() {
  Container container;
  container.add(pack("cpu", 3, bytes_of(100, 1)));
  container.add(pack("empty", 1, {}));
  container.add(pack("ram", 1, bytes_of(300, 2)));
  return container;
}

struct TemporaryFolder {
  std::filesystem::path path;
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "snapshot.XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  std::string file(const char* name) const { return (path / name).string(); }
};

}  // namespace

TEST_CASE("sections come back as they were") {
  auto decoded = Container::decode(sample().encode());
  REQUIRE(decoded);
  REQUIRE(decoded->sections().size() == 3);
  auto cpu = decoded->find("cpu", 3);
  REQUIRE(cpu);
  CHECK(unpack(**cpu, 1000) == bytes_of(100, 1));
  CHECK(unpack(**decoded->find("empty", 1), 1000)->empty());
  CHECK(decoded->encode() == sample().encode());
}

TEST_CASE("a missing section and one of another version are named") {
  Container container = sample();
  CHECK(container.find("pit", 1).error() == "it has no section 'pit'");
  CHECK(container.find("cpu", 2).error() ==
        "its section 'cpu' has version 3, this program reads 2");
}

TEST_CASE("every truncation is refused") {
  std::vector<u8> bytes = sample().encode();
  for (size_t size = 0; size < bytes.size(); ++size) {
    auto decoded = Container::decode(std::span(bytes).first(size));
    CAPTURE(size);
    REQUIRE_FALSE(decoded);
    REQUIRE(decoded.error().find('\n') == std::string::npos);
  }
  bytes.push_back(0);
  CHECK_FALSE(Container::decode(bytes));
}

TEST_CASE("every flipped bit is refused") {
  std::vector<u8> bytes = sample().encode();
  for (size_t i = 0; i < bytes.size() * 8; ++i) {
    bytes[i / 8] ^= static_cast<u8>(1 << (i % 8));
    CAPTURE(i);
    REQUIRE_FALSE(Container::decode(bytes));
    bytes[i / 8] ^= static_cast<u8>(1 << (i % 8));
  }
  CHECK(Container::decode(bytes));
}

TEST_CASE("damaged packed data is reported, not used") {
  for (size_t at = 0; at < pack("cpu", 1, bytes_of(100, 1)).packed.size(); ++at) {
    Section section = pack("cpu", 1, bytes_of(100, 1));
    section.packed.resize(at);
    CHECK_FALSE(unpack(section, 1000));
  }
  Section section = pack("cpu", 1, bytes_of(100, 1));
  CHECK_FALSE(unpack(section, 99));
  section.size = 99;
  CHECK_FALSE(unpack(section, 1000));
  section.size = 101;
  CHECK_FALSE(unpack(section, 1000));
  section = pack("cpu", 1, bytes_of(100, 1));
  section.packed.push_back(0);
  CHECK_FALSE(unpack(section, 1000));
}

TEST_CASE("memory is packed without its pages of zeros") {
  std::vector<u8> memory(64 * kPageSize);
  memory[0] = 1;
  memory[10 * kPageSize + 5] = 2;
  memory[11 * kPageSize] = 3;
  memory[64 * kPageSize - 1] = 4;
  Section section = pack_memory("ram", 1, memory);
  CHECK(section.size == 4 * kPageSize + 4 * 16);
  std::vector<u8> loaded(memory.size(), 0xee);
  REQUIRE(unpack_memory(section, loaded));
  CHECK(loaded == memory);
  std::vector<u8> other(63 * kPageSize), larger(65 * kPageSize), nothing(kPageSize, 1);
  CHECK_FALSE(unpack_memory(section, other));
  CHECK_FALSE(unpack_memory(section, larger));
  REQUIRE(unpack_memory(pack_memory("ram", 1, std::vector<u8>(kPageSize)), nothing));
  CHECK(nothing == std::vector<u8>(kPageSize));
}

TEST_CASE("memory runs that make no sense are refused") {
  struct Run {
    u64 first, pages;
  };
  auto with_runs = [](std::vector<Run> runs) {
    Packer packer("ram", 1);
    for (Run run : runs) {
      packer.append({reinterpret_cast<const u8*>(&run), sizeof run});
      packer.append(std::vector<u8>(std::min<u64>(run.pages, 8) * kPageSize, 1));
    }
    return packer.finish();
  };
  std::vector<u8> memory(8 * kPageSize);
  CHECK(unpack_memory(with_runs({{2, 2}, {8, 0}}), memory));
  for (const auto& runs : std::vector<std::vector<Run>>{{{2, 2}},
                                                        {{2, 2}, {7, 0}},
                                                        {{9, 0}},
                                                        {{7, 2}, {8, 0}},
                                                        {{4, 2}, {3, 1}, {8, 0}},
                                                        {{1, ~0ull}, {8, 0}},
                                                        {{~0ull, 2}, {8, 0}},
                                                        {{2, 2}, {8, 0}, {8, 0}}}) {
    CHECK_FALSE(unpack_memory(with_runs(runs), memory));
  }
}

TEST_CASE("a file is replaced as a whole and no temporary stays") {
  TemporaryFolder folder;
  std::string file = folder.file("a.snap");
  std::ofstream(file) << "old";
  REQUIRE(sample().write(file));
  auto read = Container::read(file);
  REQUIRE(read);
  CHECK(read->encode() == sample().encode());
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path), {}) == 1);
}

TEST_CASE("a failed write leaves the old file and no temporary") {
  TemporaryFolder folder;
  std::filesystem::create_directory(folder.path / "target");
  CHECK_FALSE(sample().write(folder.file("target")));
  CHECK_FALSE(sample().write(folder.file("absent/file")));
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path), {}) == 1);
}

TEST_CASE("files that are no snapshots are refused in one line") {
  TemporaryFolder folder;
  std::ofstream(folder.file("empty"));
  std::ofstream(folder.file("text")) << "this is not a snapshot, but it is long enough to be one";
  REQUIRE(::mkfifo(folder.file("fifo").c_str(), 0600) == 0);
  for (const char* name : {"empty", "text", "fifo", "absent", "."}) {
    auto read = Container::read(folder.file(name));
    CAPTURE(name);
    REQUIRE_FALSE(read);
    CHECK_FALSE(read.error().empty());
    CHECK(read.error().find('\n') == std::string::npos);
  }
}

}  // namespace penumbra::snapshot
