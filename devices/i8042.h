// The 8042 keyboard controller of the PC with a keyboard and, optionally, a PS/2 mouse behind it
// (IBM PS/2 Hardware Interface Technical Reference: keyboard and auxiliary device controller).
//
// Controller commands 20h, 60h, A7h-ABh, ADh, AEh, C0h, D0h-D4h, E0h, F0h-FFh; bytes between the
// devices and the guest take no time. The devices' own commands are in ps2_device.h. The keyboard
// speaks scan code set 2, translated to set 1 while the command byte says so.
// Without a mouse the controller is that of an AT: auxiliary commands go unanswered.
// A20 and reset leave through hooks. Unknown commands are logged once and ignored.
#pragma once

#include "common/log.h"
#include "devices/ps2_device.h"
#include "devices/register_block.h"

namespace penumbra::devices {

class I8042 final : public BusDevice {
 public:
  enum class AuxPort : u8 { Absent, Mouse };
  struct Hooks {
    std::function<void()> on_reset;
    std::function<void(bool enabled)> on_a20;
  };

  I8042(IrqLine& irq1, IrqLine& irq12, AuxPort aux, Hooks hooks);

  /// Data register: port 60h. Status and command register: port 64h. Both at offset 0.
  BusDevice& data_port() { return data_port_; }
  BusDevice& command_port() { return command_port_; }
  /// The same registers as one range 60h..64h: offset 0 is data, 4 is status and command.
  u64 read(u64 offset, u32 size) override;
  void write(u64 offset, u32 size, u64 value) override;

  /// A byte that the keyboard sends: scan code set 2. Lost if its buffer is full or scanning off.
  void push_scancode(u8 byte);
  /// A movement and the buttons (bit 0 left, 1 right, 2 middle). Without a mouse, ignored.
  void push_mouse(int dx, int dy, u8 buttons);
  void reset();

  template <class A>
  void serialize(A& archive) {
    archive(state_, keyboard_, mouse_);
    if (archive.loading()) restored();
  }

 private:
  struct State {
    u8 command_byte = 0;
    u8 status = 0;
    u8 output = 0;  ///< the output buffer
    u8 output_port = 0;
    u8 waiting_for = 0;         ///< command whose data byte comes next to port 60h, 0 if none
    bool break_prefix = false;  ///< translation has seen F0h
    std::array<u8, 32> ram{};

    template <class A>
    void serialize(A& archive) {
      archive(command_byte, status, output, output_port, waiting_for, break_prefix, ram);
    }
  };

  bool has_aux() const { return aux_ == AuxPort::Mouse; }
  u64 read_data(u64 offset, u32 size);
  u64 read_status(u64 offset, u32 size);
  void write_data(u64 offset, u32 size, u64 value);
  void write_command(u64 offset, u32 size, u64 value);
  void command_data(u8 command, u8 value);
  void set_command_byte(u8 value);
  void set_output_port(u8 value);
  void pulse_output_port(u8 mask);
  void reply(u8 byte);
  /// Moves the next byte of a device into the output buffer if that is free.
  void fill();
  void fill_from_keyboard();
  void put(u8 byte, u8 status);
  void update_irq();
  void restored();

  IrqLine& irq1_;
  IrqLine& irq12_;
  AuxPort aux_;
  Hooks hooks_;
  LogOnce log_once_;
  State state_;
  Ps2Keyboard keyboard_;
  Ps2Mouse mouse_;
  RegisterBlock<I8042> data_port_, command_port_;
};

}  // namespace penumbra::devices
