#include "devices/i8042.h"

namespace penumbra::devices {

namespace {

constexpr u8 kStatusOutputFull = 0x01, kStatusSystem = 0x04, kStatusCommand = 0x08,
             kStatusUnlocked = 0x10, kStatusAux = 0x20;
constexpr u8 kByteIrq1 = 0x01, kByteIrq12 = 0x02, kByteSystem = 0x04, kByteNoKeyboard = 0x10,
             kByteNoAux = 0x20, kByteTranslate = 0x40;
constexpr u8 kPortReset = 0x01, kPortA20 = 0x02, kPortIrq1 = 0x10, kPortIrq12 = 0x20;
constexpr u8 kPortAtReset = 0xc0 | kPortA20 | kPortReset;
constexpr u8 kBreakPrefix = 0xf0;

enum Command : u8 {
  kReadRam = 0x20,
  kReadRamLast = 0x3f,
  kWriteRam = 0x60,
  kWriteRamLast = 0x7f,
  kDisableAux = 0xa7,
  kEnableAux = 0xa8,
  kTestAux = 0xa9,
  kSelfTest = 0xaa,
  kTestKeyboard = 0xab,
  kDisableKeyboard = 0xad,
  kEnableKeyboard = 0xae,
  kReadInputPort = 0xc0,
  kReadOutputPort = 0xd0,
  kWriteOutputPort = 0xd1,
  kWriteKeyboardOutput = 0xd2,
  kWriteAuxOutput = 0xd3,
  kWriteAux = 0xd4,
  kReadTestInputs = 0xe0,
  kPulse = 0xf0,
};

// Scan code set 2 to set 1, as the controller translates (PS/2 reference, "Scan Code Tables").
constexpr u8 kSet1[132] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29,
    0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11,
    0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14,
    0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24,
    0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35,
    0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36,
    0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c,
    0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
    0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54, 0x80, 0x81, 0x82, 0x41};
constexpr u8 kAltSysRq = 0x84;

u8 to_set1(u8 code) {
  if (code == kAltSysRq) return 0x54;
  return code < sizeof kSet1 ? kSet1[code] : code;
}

}  // namespace

I8042::I8042(IrqLine& irq1, IrqLine& irq12, AuxPort aux, Hooks hooks)
    : irq1_(irq1),
      irq12_(irq12),
      aux_(aux),
      hooks_(std::move(hooks)),
      data_port_(*this, &I8042::read_data, &I8042::write_data),
      command_port_(*this, &I8042::read_status, &I8042::write_command) {
  reset();
}

void I8042::reset() {
  state_ = State{};
  state_.command_byte = kByteIrq1 | kByteSystem | kByteTranslate | kByteNoAux;
  state_.status = kStatusUnlocked | kStatusSystem;
  state_.output_port = kPortAtReset;
  keyboard_.reset();
  mouse_.reset();
  update_irq();
}

u64 I8042::read(u64 offset, u32 size) {
  return offset & 4 ? read_status(offset, size) : read_data(offset, size);
}

void I8042::write(u64 offset, u32 size, u64 value) {
  if (offset & 4) {
    write_command(offset, size, value);
  } else {
    write_data(offset, size, value);
  }
}

u64 I8042::read_status(u64, u32) { return state_.status; }

u64 I8042::read_data(u64, u32) {
  u8 byte = state_.output;
  state_.status &= ~(kStatusOutputFull | kStatusAux);
  update_irq();
  fill();
  return byte;
}

void I8042::write_data(u64, u32, u64 value) {
  u8 byte = static_cast<u8>(value);
  state_.status &= ~kStatusCommand;
  u8 command = state_.waiting_for;
  state_.waiting_for = 0;
  if (command != 0) {
    command_data(command, byte);
  } else {
    // Sending to the keyboard enables its interface.
    state_.command_byte &= ~kByteNoKeyboard;
    keyboard_.receive(byte);
  }
  fill();
}

void I8042::command_data(u8 command, u8 value) {
  switch (command) {
    case kWriteRam:
      return set_command_byte(value);
    case kWriteOutputPort:
      return set_output_port(value);
    case kWriteKeyboardOutput:
      return put(value, 0);
    case kWriteAuxOutput:
      if (has_aux()) put(value, kStatusAux);
      return;
    case kWriteAux:
      state_.command_byte &= ~kByteNoAux;
      if (has_aux()) mouse_.receive(value);
      return;
    default:
      state_.ram[command & 31] = value;
  }
}

void I8042::write_command(u64, u32, u64 value) {
  u8 command = static_cast<u8>(value);
  state_.status |= kStatusCommand;
  state_.waiting_for = 0;
  bool has_data = (command >= kWriteRam && command <= kWriteRamLast) ||
                  (command >= kWriteOutputPort && command <= kWriteAux);
  if (has_data) {
    state_.waiting_for = command;
    return;
  }
  if (command >= kPulse) return pulse_output_port(~command & 0x0f);
  if (command > kReadRam && command <= kReadRamLast) return reply(state_.ram[command & 31]);
  switch (command) {
    case kReadRam:
      return reply(state_.command_byte);
    case kDisableAux:
      return set_command_byte(state_.command_byte | kByteNoAux);
    case kEnableAux:
      return set_command_byte(state_.command_byte & ~kByteNoAux);
    case kTestAux:
      if (has_aux()) reply(0x00);
      return;
    case kSelfTest:
      state_.command_byte |= kByteSystem;
      state_.status |= kStatusSystem;
      return reply(0x55);
    case kTestKeyboard:
      return reply(0x00);
    case kDisableKeyboard:
      return set_command_byte(state_.command_byte | kByteNoKeyboard);
    case kEnableKeyboard:
      return set_command_byte(state_.command_byte & ~kByteNoKeyboard);
    case kReadInputPort:
      return reply(0x80);  // keyboard not locked
    case kReadOutputPort: {
      bool full = state_.status & kStatusOutputFull, is_aux = state_.status & kStatusAux;
      u8 lines = full ? (is_aux ? kPortIrq12 : kPortIrq1) : 0;
      return reply(state_.output_port | lines);
    }
    case kReadTestInputs:
      return reply(0x00);
    default:
      log_once_(fmt::format("8042: unknown command {:02x}h", command));
  }
}

void I8042::set_command_byte(u8 value) {
  state_.command_byte = value & 0x7f;
  static_assert(kByteSystem == kStatusSystem);  // the flag is shown in the status register
  state_.status = (state_.status & ~kStatusSystem) | (value & kByteSystem);
  update_irq();
  fill();
}

void I8042::set_output_port(u8 value) {
  u8 changed = state_.output_port ^ value;
  state_.output_port = value & ~(kPortIrq1 | kPortIrq12);
  if ((changed & kPortA20) && hooks_.on_a20) hooks_.on_a20(value & kPortA20);
  if (!(value & kPortReset) && hooks_.on_reset) hooks_.on_reset();
}

/// Pulls the output bits of `mask` low for a moment; only the reset line feels it.
void I8042::pulse_output_port(u8 mask) {
  if ((mask & kPortReset) && hooks_.on_reset) hooks_.on_reset();
}

void I8042::reply(u8 byte) { put(byte, 0); }

void I8042::put(u8 byte, u8 status) {
  state_.output = byte;
  state_.status = (state_.status & ~kStatusAux) | kStatusOutputFull | status;
  update_irq();
}

void I8042::fill() {
  if (!(state_.command_byte & kByteNoKeyboard)) fill_from_keyboard();
  if (state_.status & kStatusOutputFull) return;
  bool aux = !(state_.command_byte & kByteNoAux) && !mouse_.output().empty();
  if (aux) put(mouse_.output().pop(), kStatusAux);
}

void I8042::fill_from_keyboard() {
  Ps2Queue& queue = keyboard_.output();
  while (!(state_.status & kStatusOutputFull) && !queue.empty()) {
    u8 byte = queue.pop();
    if (!(state_.command_byte & kByteTranslate)) {
      put(byte, 0);
    } else if (byte == kBreakPrefix) {
      state_.break_prefix = true;  // becomes bit 7 of the next byte
    } else {
      u8 high = state_.break_prefix ? 0x80 : 0;
      state_.break_prefix = false;
      put(to_set1(byte) | high, 0);
    }
  }
}

void I8042::push_scancode(u8 byte) {
  keyboard_.scancode(byte);
  fill();
}

void I8042::push_mouse(int dx, int dy, u8 buttons) {
  if (!has_aux()) return;
  mouse_.move(dx, dy, buttons);
  fill();
}

void I8042::update_irq() {
  bool full = state_.status & kStatusOutputFull, is_aux = state_.status & kStatusAux;
  irq1_.set(full && !is_aux && (state_.command_byte & kByteIrq1));
  irq12_.set(full && is_aux && (state_.command_byte & kByteIrq12));
}

void I8042::restored() {
  if (!keyboard_.valid()) keyboard_.reset();
  if (!mouse_.valid()) mouse_.reset();
  update_irq();
}

}  // namespace penumbra::devices
