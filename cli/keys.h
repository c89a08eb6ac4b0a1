// What typed characters mean: Ctrl-A is the escape, everything else goes to the guest.
#pragma once

#include "common/types.h"

namespace penumbra::cli {

struct Key {
  enum class Action : u8 { None, Send, Quit, Help, Status };
  Action action = Action::None;
  u8 byte = 0;  ///< what to send

  friend bool operator==(const Key&, const Key&) = default;
};

class KeyDecoder {
 public:
  static constexpr u8 kEscape = 0x01;

  Key feed(u8 byte) {
    if (!escaped_) {
      escaped_ = byte == kEscape;
      return escaped_ ? Key{} : Key{Key::Action::Send, byte};
    }
    escaped_ = false;
    switch (byte) {
      case 'x':
      case 'X':
        return {Key::Action::Quit};
      case 'h':
      case 'H':
      case '?':
        return {Key::Action::Help};
      case 'c':
      case 'C':
        return {Key::Action::Status};
      case 'a':
      case 'A':
      case kEscape:
        return {Key::Action::Send, kEscape};
      default:
        return {};
    }
  }

  static constexpr const char* kHelp =
      "Ctrl-A x  quit\r\n"
      "Ctrl-A c  show instructions and speed\r\n"
      "Ctrl-A a  send Ctrl-A to the guest\r\n"
      "Ctrl-A h  show this list\r\n";

 private:
  bool escaped_ = false;
};

}  // namespace penumbra::cli
