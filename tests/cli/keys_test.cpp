#include "cli/keys.h"

#include <catch2/catch.hpp>
#include <string>

namespace penumbra::cli {

namespace {

std::string sent_by(const std::string& typed) {
  KeyDecoder keys;
  std::string sent;
  for (char c : typed) {
    Key key = keys.feed(static_cast<u8>(c));
    if (key.action == Key::Action::Send) sent.push_back(static_cast<char>(key.byte));
  }
  return sent;
}

Key last_of(const std::string& typed) {
  KeyDecoder keys;
  Key key;
  for (char c : typed) key = keys.feed(static_cast<u8>(c));
  return key;
}

}  // namespace

TEST_CASE("ordinary characters reach the guest unchanged, control characters too") {
  std::string all;
  for (int c = 0; c < 256; ++c) {
    if (c != KeyDecoder::kEscape) all.push_back(static_cast<char>(c));
  }
  CHECK(sent_by(all) == all);
}

TEST_CASE("Ctrl-A escapes exactly one character") {
  CHECK(last_of("\x01").action == Key::Action::None);
  CHECK(last_of("\x01x").action == Key::Action::Quit);
  CHECK(last_of("\x01h").action == Key::Action::Help);
  CHECK(last_of("\x01"
                "c")
            .action == Key::Action::Status);
  CHECK(sent_by("\x01h\x01"
                "cx") == "x");
  CHECK(sent_by("a\x01zb") == "ab");
}

TEST_CASE("Ctrl-A a and Ctrl-A Ctrl-A send one Ctrl-A") {
  CHECK(sent_by("\x01"
                "a") == "\x01");
  CHECK(sent_by("\x01\x01x") == "\x01x");
}

}  // namespace penumbra::cli
