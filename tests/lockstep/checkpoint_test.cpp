#include "machine/checkpoint.h"

#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>

namespace penumbra::machine {

TEST_CASE("a checkpoint answers from the state that it was taken in") {
  int value = 1;
  auto checkpoint = Checkpoint::take([&](const std::string& request) {
    int before = value;
    value = 100;
    return request + std::to_string(before);
  });
  REQUIRE(checkpoint);
  value = 2;
  CHECK(checkpoint->ask("it was ") == "it was 1");
  CHECK(value == 2);
  CHECK_FALSE(checkpoint->ask("again").has_value());
}

TEST_CASE("long requests and answers pass") {
  std::string text(3'000'000, 'x');
  auto checkpoint = Checkpoint::take([](const std::string& request) { return request + "y"; });
  REQUIRE(checkpoint);
  CHECK(checkpoint->ask(text) == text + "y");
}

TEST_CASE("a copy can be copied") {
  int value = 5;
  auto checkpoint = Checkpoint::take([&](const std::string&) {
    auto inner = Checkpoint::take([&](const std::string&) { return std::to_string(value); });
    value = 6;
    return inner->ask("").value() + std::to_string(value);
  });
  REQUIRE(checkpoint);
  CHECK(checkpoint->ask("") == "56");
}

TEST_CASE("a copy that dies is an error, not an answer") {
  auto checkpoint = Checkpoint::take([](const std::string&) -> std::string { ::_exit(0); });
  REQUIRE(checkpoint);
  CHECK_FALSE(checkpoint->ask("x").has_value());
}

namespace {

/// Both are the same 8,192 bytes.
void check_copied_as_one(char* writable, const char* readable) {
  writable[5000] = 'a';
  auto checkpoint = Checkpoint::take([&](const std::string&) {
    std::string seen(1, readable[5000]);
    writable[5000] = 'c';
    return seen + readable[5000];
  });
  REQUIRE(checkpoint);
  writable[5000] = 'b';
  CHECK(checkpoint->ask("") == "ac");
  CHECK(readable[5000] == 'b');
  ::munmap(writable, 8192);
  ::munmap(const_cast<char*>(readable), 8192);
}

}  // namespace

TEST_CASE("memory that is mapped twice is copied as one") {
  int file = ::memfd_create("twice", MFD_CLOEXEC);
  REQUIRE(::ftruncate(file, 8192) == 0);
  auto map = [file](int protection) {
    return static_cast<char*>(::mmap(nullptr, 8192, protection, MAP_SHARED, file, 0));
  };
  char* writable = map(PROT_READ | PROT_WRITE);
  const char* readable = map(PROT_READ | PROT_EXEC);
  ::close(file);
  check_copied_as_one(writable, readable);
}

TEST_CASE("memory of no file that is mapped twice is copied as one") {
  void* first = ::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(first != MAP_FAILED);
  void* second = ::mremap(first, 0, 8192, MREMAP_MAYMOVE);
  REQUIRE(second != MAP_FAILED);
  REQUIRE(::mprotect(second, 8192, PROT_READ | PROT_EXEC) == 0);
  check_copied_as_one(static_cast<char*>(first), static_cast<char*>(second));
}

}  // namespace penumbra::machine
