#include "devices/ps2_device.h"

#include <algorithm>
#include <cstdlib>

namespace penumbra::devices {

namespace {

constexpr u8 kAck = 0xfa, kResend = 0xfe, kSelfTestPassed = 0xaa, kEcho = 0xee;

}  // namespace

bool Ps2Queue::push(u8 byte) {
  if (count_ == kSize) return false;
  bytes_[(first_ + count_++) % kSize] = byte;
  return true;
}

u8 Ps2Queue::pop() {
  u8 byte = bytes_[first_];
  first_ = (first_ + 1) % kSize;
  --count_;
  return byte;
}

// --- keyboard

namespace {

enum KeyboardCommand : u8 {
  kSetLeds = 0xed,
  kSelectScanSet = 0xf0,
  kReadId = 0xf2,
  kSetTypematic = 0xf3,
  kEnable = 0xf4,
  kDefaultDisable = 0xf5,
  kSetDefaults = 0xf6,
  kSetAllFirst = 0xf7,
  kSetAllLast = 0xfa,
  kSetKeyFirst = 0xfb,
  kSetKeyLast = 0xfd,
  kKeyboardResend = 0xfe,
  kKeyboardReset = 0xff,
};

}  // namespace

void Ps2Keyboard::reset() {
  output_.clear();
  waiting_for_ = 0;
  leds_ = 0;
  set_defaults();
  scanning_ = true;
}

void Ps2Keyboard::set_defaults() {
  typematic_ = 0x2b;
  scan_set_ = 2;
}

void Ps2Keyboard::send(u8 byte) {
  if (output_.push(byte)) last_sent_ = byte;
}

void Ps2Keyboard::scancode(u8 byte) {
  constexpr u8 kReserved = 8;  // answers to commands always find room
  if (scanning_ && output_.room() > kReserved) send(byte);
}

void Ps2Keyboard::receive(u8 byte) {
  // A command takes the place of an argument that is due.
  if (waiting_for_ != 0 && byte < kSetLeds) {
    u8 command = waiting_for_;
    waiting_for_ = 0;
    return argument(command, byte);
  }
  waiting_for_ = 0;
  switch (byte) {
    case kSetLeds:
    case kSelectScanSet:
    case kSetTypematic:
      waiting_for_ = byte;
      return send(kAck);
    case kEcho:
      return send(kEcho);
    case kReadId:
      for (u8 answer : {kAck, u8{0xab}, u8{0x83}}) send(answer);
      return;
    case kEnable:
      output_.clear();
      scanning_ = true;
      return send(kAck);
    case kDefaultDisable:
    case kSetDefaults:
      output_.clear();
      set_defaults();
      scanning_ = byte == kSetDefaults;
      return send(kAck);
    case kKeyboardResend:
      return send(last_sent_);
    case kKeyboardReset:
      reset();
      send(kAck);
      return send(kSelfTestPassed);
    default:
      break;
  }
  // Per-key modes of scan code set 3: accepted, without effect on injected codes.
  if (byte >= kSetAllFirst && byte <= kSetAllLast) return send(kAck);
  if (byte >= kSetKeyFirst && byte <= kSetKeyLast) {
    waiting_for_ = byte;
    return send(kAck);
  }
  log_once_(fmt::format("keyboard: unknown command {:02x}h", byte));
  send(kResend);
}

void Ps2Keyboard::argument(u8 command, u8 value) {
  if (command == kSetLeds) leds_ = value & 7;
  if (command == kSetTypematic) typematic_ = value & 0x7f;
  if (command != kSelectScanSet) return send(kAck);
  if (value > 3) return send(kResend);
  send(kAck);
  if (value == 0) return send(scan_set_);
  scan_set_ = value;
}

// --- mouse

namespace {

enum MouseCommand : u8 {
  kScaling1 = 0xe6,
  kScaling2 = 0xe7,
  kSetResolution = 0xe8,
  kStatusRequest = 0xe9,
  kStreamMode = 0xea,
  kReadData = 0xeb,
  kResetWrap = 0xec,
  kSetWrap = 0xee,
  kRemoteMode = 0xf0,
  kMouseReadId = 0xf2,
  kSetSampleRate = 0xf3,
  kEnableReporting = 0xf4,
  kDisableReporting = 0xf5,
  kMouseDefaults = 0xf6,
  kMouseResend = 0xfe,
  kMouseReset = 0xff,
};

}  // namespace

void Ps2Mouse::reset() {
  output_.clear();
  waiting_for_ = 0;
  wrap_ = false;
  set_defaults();
}

void Ps2Mouse::set_defaults() {
  resolution_ = 2;
  rate_ = 100;
  scaling_ = reporting_ = remote_ = false;
  dx_ = dy_ = 0;
}

void Ps2Mouse::send(u8 byte) {
  if (output_.push(byte)) last_sent_ = byte;
}

void Ps2Mouse::move(int dx, int dy, u8 buttons) {
  constexpr int kMost = 1 << 20;
  dx_ = std::clamp(dx_ + std::clamp(dx, -kMost, kMost), -kMost, kMost);
  dy_ = std::clamp(dy_ + std::clamp(dy, -kMost, kMost), -kMost, kMost);
  buttons_ = buttons & 7;
  constexpr u8 kReserved = 16;
  if (reporting_ && !remote_ && output_.room() > kReserved) send_packet();
}

/// Three bytes; what does not fit in nine bits saturates and sets the overflow bit.
void Ps2Mouse::send_packet() {
  i32 dx = std::clamp(dx_, -256, 255), dy = std::clamp(dy_, -256, 255);
  u8 first = static_cast<u8>(0x08 | buttons_ | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0) |
                             (dx != dx_ ? 0x40 : 0) | (dy != dy_ ? 0x80 : 0));
  for (u8 byte : {first, static_cast<u8>(dx), static_cast<u8>(dy)}) send(byte);
  dx_ = dy_ = 0;
}

void Ps2Mouse::send_status() {
  u8 swapped = static_cast<u8>((buttons_ & 1) << 2 | (buttons_ & 4) >> 1 | (buttons_ & 2) >> 1);
  send(static_cast<u8>(remote_ << 6 | reporting_ << 5 | scaling_ << 4 | swapped));
  send(resolution_);
  send(rate_);
}

void Ps2Mouse::receive(u8 byte) {
  if (waiting_for_ != 0) {
    u8 command = waiting_for_;
    waiting_for_ = 0;
    return argument(command, byte);
  }
  // In wrap mode everything but reset and its end is sent back.
  if (wrap_ && byte != kMouseReset && byte != kResetWrap) return send(byte);
  command(byte);
}

void Ps2Mouse::argument(u8 command, u8 value) {
  if (command == kSetSampleRate) rate_ = value;
  if (command == kSetResolution) {
    if (value > 3) return send(kResend);
    resolution_ = value;
  }
  send(kAck);
}

void Ps2Mouse::command(u8 byte) {
  bool known = byte >= kScaling1 && byte != 0xed && byte != 0xef && byte != 0xf1 &&
               (byte <= kMouseDefaults || byte >= kMouseResend);
  if (!known) {
    log_once_(fmt::format("mouse: unknown command {:02x}h", byte));
    return send(kResend);
  }
  if (byte == kMouseResend) return send(last_sent_);
  if (byte == kMouseReset) reset();
  send(kAck);
  switch (byte) {
    case kScaling1:
    case kScaling2:
      scaling_ = byte == kScaling2;
      break;
    case kSetResolution:
    case kSetSampleRate:
      waiting_for_ = byte;
      break;
    case kStatusRequest:
      send_status();
      break;
    case kStreamMode:
    case kRemoteMode:
      remote_ = byte == kRemoteMode;
      dx_ = dy_ = 0;
      break;
    case kReadData:
      send_packet();
      break;
    case kResetWrap:
    case kSetWrap:
      wrap_ = byte == kSetWrap;
      break;
    case kMouseReadId:
      send(0x00);
      break;
    case kEnableReporting:
    case kDisableReporting:
      reporting_ = byte == kEnableReporting;
      dx_ = dy_ = 0;
      break;
    case kMouseDefaults:
      set_defaults();
      break;
    case kMouseReset:
      send(kSelfTestPassed);
      send(0x00);
      break;
    default:
      break;
  }
}

}  // namespace penumbra::devices
