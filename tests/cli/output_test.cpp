#include "cli/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>

namespace penumbra::cli {

namespace {

struct Pipe {
  int ends[2];
  Pipe() { REQUIRE(::pipe2(ends, O_CLOEXEC) == 0); }
  ~Pipe() {
    close_reader();
    ::close(ends[1]);
  }
  void close_reader() {
    if (ends[0] >= 0) ::close(ends[0]);
    ends[0] = -1;
  }
  std::string read() {
    char bytes[256];
    ssize_t count = ::read(ends[0], bytes, sizeof bytes);
    return {bytes, static_cast<size_t>(count > 0 ? count : 0)};
  }
};

void write(devices::CharBackend& to, const std::string& text) {
  for (char c : text) to.write(static_cast<u8>(c));
}

}  // namespace

TEST_CASE("output appears at line ends and when flushed") {
  Pipe pipe;
  Output output(pipe.ends[1], "pipe");
  write(output, "one\ntwo");
  CHECK(pipe.read() == "one\n");
  output.flush();
  CHECK(pipe.read() == "two");
}

TEST_CASE("a reader that does not read delays only until the run is to stop") {
  Pipe pipe;
  Output output(pipe.ends[1], "pipe");
  int asked = 0;
  output.set_hooks({[&] { return ++asked > 2; }, [] { FAIL("not lost"); }});
  write(output, std::string(200'000, 'x'));
  output.flush();
  CHECK(asked > 2);
}

TEST_CASE("a reader that went away is reported once") {
  ::signal(SIGPIPE, SIG_IGN);
  Pipe pipe;
  Output output(pipe.ends[1], "pipe");
  int lost = 0;
  output.set_hooks({[] { return false; }, [&] { ++lost; }});
  pipe.close_reader();
  write(output, "one\ntwo\nthree\n");
  CHECK(lost == 1);
}

TEST_CASE("the watcher finds its text across any boundary, overlapping too, and passes all on") {
  Pipe pipe;
  Output output(pipe.ends[1], "pipe");
  int found = 0;
  TextWatcher watcher(output, "aab", [&] { ++found; });
  write(watcher, "aaab aab ab\n");
  CHECK(found == 2);
  CHECK(pipe.read() == "aaab aab ab\n");
}

}  // namespace penumbra::cli
