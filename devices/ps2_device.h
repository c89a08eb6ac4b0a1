// The devices at the end of the PS/2 cables: a 102-key keyboard and a three-button mouse (IBM PS/2
// Hardware Interface Technical Reference: keyboards; auxiliary device).
//
// Each takes command bytes with receive() and offers bytes to the controller. They know no
// controller: enabling, translation and interrupts are its business. Resolution, sample rate and
// typematic settings are kept and reported, and change nothing, because injection decides the pace.
// Scan code sets: the set is kept and reported; injected bytes are passed as they are.
#pragma once

#include <array>

#include "common/log.h"
#include "common/types.h"

namespace penumbra::devices {

/// Bytes on their way to the controller. Full: further bytes are refused.
class Ps2Queue {
 public:
  static constexpr u8 kSize = 64;

  bool empty() const { return count_ == 0; }
  u8 room() const { return kSize - count_; }
  bool push(u8 byte);
  u8 pop();
  void clear() { first_ = count_ = 0; }
  bool valid() const { return first_ < kSize && count_ <= kSize; }

  template <class A>
  void serialize(A& archive) {
    archive(bytes_, first_, count_);
  }

 private:
  std::array<u8, kSize> bytes_{};
  u8 first_ = 0, count_ = 0;
};

class Ps2Keyboard {
 public:
  Ps2Keyboard() { reset(); }
  void receive(u8 byte);
  /// A key; refused while scanning is off or the buffer is full.
  void scancode(u8 byte);
  Ps2Queue& output() { return output_; }
  u8 leds() const { return leds_; }
  void reset();
  bool valid() const { return output_.valid() && scan_set_ >= 1 && scan_set_ <= 3; }

  template <class A>
  void serialize(A& archive) {
    archive(output_, leds_, typematic_, scan_set_, waiting_for_, last_sent_, scanning_);
  }

 private:
  void send(u8 byte);
  void argument(u8 command, u8 value);
  void set_defaults();

  Ps2Queue output_;
  u8 leds_ = 0, typematic_ = 0x2b, scan_set_ = 2;
  u8 waiting_for_ = 0;  ///< command whose argument comes next, 0 if none
  u8 last_sent_ = 0;
  bool scanning_ = true;
  LogOnce log_once_;
};

class Ps2Mouse {
 public:
  Ps2Mouse() { reset(); }
  void receive(u8 byte);
  /// dx to the right, dy upwards, as the packet has it.
  void move(int dx, int dy, u8 buttons);
  Ps2Queue& output() { return output_; }
  void reset();
  bool valid() const { return output_.valid() && resolution_ <= 3; }

  template <class A>
  void serialize(A& archive) {
    archive(output_, dx_, dy_, buttons_, resolution_, rate_, waiting_for_, last_sent_, reporting_,
            remote_, wrap_, scaling_);
  }

 private:
  void send(u8 byte);
  void argument(u8 command, u8 value);
  void command(u8 byte);
  void send_packet();
  void send_status();
  void set_defaults();

  Ps2Queue output_;
  i32 dx_ = 0, dy_ = 0;
  u8 buttons_ = 0, resolution_ = 2, rate_ = 100;
  u8 waiting_for_ = 0, last_sent_ = 0;
  bool reporting_ = false, remote_ = false, wrap_ = false, scaling_ = false;
  LogOnce log_once_;
};

}  // namespace penumbra::devices
