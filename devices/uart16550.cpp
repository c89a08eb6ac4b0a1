#include "devices/uart16550.h"

#include <algorithm>

namespace penumbra::devices {

namespace {

// PC16550D, table II: register bits.
constexpr u8 kIerReceived = 1, kIerTransmit = 2, kIerLine = 4, kIerModem = 8;
constexpr u8 kIirNone = 1, kIirModem = 0, kIirTransmit = 2, kIirReceived = 4, kIirLine = 6,
             kIirTimeout = 0xc, kIirFifos = 0xc0;
constexpr u8 kFcrEnable = 1, kFcrClearReceiver = 2, kFcrDma = 8;
constexpr u8 kLcrDlab = 0x80;
constexpr u8 kMcrDtr = 1, kMcrRts = 2, kMcrOut1 = 4, kMcrOut2 = 8, kMcrLoop = 0x10;
constexpr u8 kLsrDataReady = 1, kLsrOverrun = 2, kLsrParity = 4, kLsrFraming = 8, kLsrBreak = 0x10,
             kLsrThre = 0x20, kLsrTemt = 0x40, kLsrFifoError = 0x80;
constexpr u8 kLsrErrors = kLsrOverrun | kLsrParity | kLsrFraming | kLsrBreak;
constexpr u8 kMsrCts = 0x10, kMsrDsr = 0x20, kMsrRi = 0x40, kMsrDcd = 0x80;
constexpr u8 kMsrDeltaRi = 4;
constexpr u64 kInputHz = 1'843'200;

enum Register : u8 { kData, kIer, kIirFcr, kLcr, kMcr, kLsr, kMsr, kScr };

}  // namespace

Uart16550::Uart16550(IrqLine& irq, Clock& clock, CharBackend& backend)
    : irq_(irq),
      clock_(clock),
      backend_(backend),
      timeout_(clock.make_timer([this] { timeout_expired(); })) {
  reset();
}

void Uart16550::reset() {
  u8 inputs = state_.modem_inputs;
  state_ = State{};
  state_.modem_inputs = inputs;
  state_.msr = inputs;
  timeout_->cancel();
  update_irq();
}

bool Uart16550::fifo_enabled() const { return state_.fcr & kFcrEnable; }
bool Uart16550::loopback() const { return state_.mcr & kMcrLoop; }
u8 Uart16550::capacity() const { return fifo_enabled() ? kFifoSize : 1; }

u8 Uart16550::trigger_level() const {
  static constexpr u8 kLevels[] = {1, 4, 8, 14};
  return fifo_enabled() ? kLevels[state_.fcr >> 6] : 1;
}

u64 Uart16550::character_time_ns() const {
  u64 half_bits = 2 * (1 + 5 + (state_.lcr & 3u)) + (state_.lcr & 8 ? 2 : 0);
  half_bits += (state_.lcr & 4) == 0 ? 2 : (state_.lcr & 3) == 0 ? 3 : 4;
  u64 divisor = std::max<u64>(state_.divisor, 1);
  return half_bits * divisor * 16 * 1'000'000'000 / (2 * kInputHz);
}

u64 Uart16550::read(u64 offset, u32) {
  bool dlab = state_.lcr & kLcrDlab;
  switch (offset & 7) {
    case kData:
      return dlab ? state_.divisor & 0xff : read_rbr();
    case kIer:
      return dlab ? state_.divisor >> 8 : state_.ier;
    case kIirFcr:
      return read_iir();
    case kLcr:
      return state_.lcr;
    case kMcr:
      return state_.mcr;
    case kLsr:
      return read_lsr();
    case kMsr:
      return read_msr();
    default:
      return state_.scr;
  }
}

void Uart16550::write(u64 offset, u32, u64 value) {
  u8 byte = static_cast<u8>(value);
  bool dlab = state_.lcr & kLcrDlab;
  switch (offset & 7) {
    case kData:
      if (!dlab) return write_thr(byte);
      state_.divisor = static_cast<u16>((state_.divisor & 0xff00) | byte);
      break;
    case kIer:
      if (!dlab) return write_ier(byte);
      state_.divisor = static_cast<u16>((state_.divisor & 0xff) | byte << 8);
      break;
    case kIirFcr:
      return write_fcr(byte);
    case kLcr:
      state_.lcr = byte;
      break;
    case kMcr:
      return write_mcr(byte);
    case kScr:
      state_.scr = byte;
      break;
    default:
      break;  // LSR is meant for factory tests, MSR is read-only
  }
}

u8 Uart16550::read_rbr() {
  if (state_.fifo_count == 0) return state_.rbr;
  state_.rbr = state_.fifo[state_.fifo_first].byte;
  state_.fifo_first = (state_.fifo_first + 1) % kFifoSize;
  --state_.fifo_count;
  // Errors become visible when their character reaches the top of the FIFO.
  if (state_.fifo_count != 0) state_.line_errors |= state_.fifo[state_.fifo_first].errors;
  state_.timeout_pending = false;
  restart_timeout();
  update_irq();
  return state_.rbr;
}

u8 Uart16550::interrupt_identification() const {
  if ((state_.ier & kIerLine) && (state_.line_errors & kLsrErrors)) return kIirLine;
  if ((state_.ier & kIerReceived) && state_.fifo_count >= trigger_level()) return kIirReceived;
  if ((state_.ier & kIerReceived) && state_.timeout_pending) return kIirTimeout;
  if ((state_.ier & kIerTransmit) && state_.thre_pending) return kIirTransmit;
  if ((state_.ier & kIerModem) && (state_.msr & 0x0f)) return kIirModem;
  return kIirNone;
}

u8 Uart16550::read_iir() {
  u8 identification = interrupt_identification();
  if (identification == kIirTransmit) {
    state_.thre_pending = false;
    update_irq();
  }
  return identification | (fifo_enabled() ? kIirFifos : 0);
}

u8 Uart16550::line_status() const {
  u8 status = kLsrThre | kLsrTemt | state_.line_errors;
  if (state_.fifo_count != 0) status |= kLsrDataReady;
  if (!fifo_enabled()) return status;
  for (u8 i = 0; i < state_.fifo_count; ++i)
    if (state_.fifo[(state_.fifo_first + i) % kFifoSize].errors) status |= kLsrFifoError;
  return status;
}

u8 Uart16550::read_lsr() {
  u8 status = line_status();
  state_.line_errors = 0;
  if (state_.fifo_count != 0) state_.fifo[state_.fifo_first].errors = 0;
  update_irq();
  return status;
}

u8 Uart16550::read_msr() {
  u8 status = state_.msr;
  state_.msr &= 0xf0;
  update_irq();
  return status;
}

void Uart16550::write_thr(u8 byte) {
  if (loopback()) {
    push({byte, 0});
  } else {
    backend_.write(byte);
  }
  state_.thre_pending = true;
  update_irq();
}

void Uart16550::write_ier(u8 value) {
  u8 raised = value & ~state_.ier;
  state_.ier = value & 0x0f;
  // Enabling the interrupt while THR is empty raises it again (PC16550D, 8.6.4).
  if (raised & kIerTransmit) state_.thre_pending = true;
  if (!(value & kIerTransmit)) state_.thre_pending = false;
  update_irq();
}

void Uart16550::write_fcr(u8 value) {
  bool toggled = (value ^ state_.fcr) & kFcrEnable;
  if (toggled || ((value & kFcrEnable) && (value & kFcrClearReceiver))) clear_receiver();
  // The other bits are programmed only while bit 0 is written as 1 (8.4).
  state_.fcr = value & kFcrEnable ? value & 0xc9 : 0;
  if (state_.fcr & kFcrDma) log_once_("16550A: no DMA pins, FCR bit 3 has no effect");
  restart_timeout();
  update_irq();
}

void Uart16550::write_mcr(u8 value) {
  state_.mcr = value & 0x1f;
  update_modem_status();
}

void Uart16550::clear_receiver() {
  state_.fifo_first = state_.fifo_count = 0;
  state_.timeout_pending = false;
}

bool Uart16550::can_receive() const { return !loopback() && state_.fifo_count < capacity(); }

void Uart16550::receive(u8 byte) {
  if (loopback()) return;  // SIN is disconnected (8.7)
  push({byte, 0});
}

void Uart16550::receive_break() {
  if (loopback()) return;
  push({0, kLsrBreak | kLsrFraming});
}

void Uart16550::push(Received received) {
  if (state_.fifo_count >= capacity()) {
    state_.line_errors |= kLsrOverrun;
    // Without FIFOs the new character replaces the old one (8.3).
    if (!fifo_enabled()) state_.fifo[state_.fifo_first] = received;
  } else {
    state_.fifo[(state_.fifo_first + state_.fifo_count) % kFifoSize] = received;
    if (state_.fifo_count++ == 0) state_.line_errors |= received.errors;
  }
  restart_timeout();
  update_irq();
}

void Uart16550::restart_timeout() {
  if (!fifo_enabled() || state_.fifo_count == 0) {
    state_.timeout_at = 0;
    return timeout_->cancel();
  }
  state_.timeout_at = clock_.now_ns() + 4 * character_time_ns();
  timeout_->arm(state_.timeout_at);
}

void Uart16550::timeout_expired() {
  state_.timeout_at = 0;
  state_.timeout_pending = state_.fifo_count != 0;
  update_irq();
}

void Uart16550::set_modem_inputs(u8 inputs) {
  state_.modem_inputs = inputs & 0xf0;
  update_modem_status();
}

void Uart16550::update_modem_status() {
  u8 inputs = state_.modem_inputs;
  if (loopback()) {  // the modem outputs come back as inputs (8.7)
    inputs = (state_.mcr & kMcrRts ? kMsrCts : 0) | (state_.mcr & kMcrDtr ? kMsrDsr : 0) |
             (state_.mcr & kMcrOut1 ? kMsrRi : 0) | (state_.mcr & kMcrOut2 ? kMsrDcd : 0);
  }
  u8 changed = (state_.msr ^ inputs) & 0xf0;
  u8 deltas = (changed & (kMsrCts | kMsrDsr | kMsrDcd)) >> 4;
  if ((changed & kMsrRi) && !(inputs & kMsrRi)) deltas |= kMsrDeltaRi;  // trailing edge only
  state_.msr = static_cast<u8>(inputs | (state_.msr & 0x0f) | deltas);
  update_irq();
}

void Uart16550::update_irq() {
  bool connected = (state_.mcr & kMcrOut2) && !loopback();
  irq_.set(connected && interrupt_identification() != kIirNone);
}

void Uart16550::restored() {
  state_.fifo_first %= kFifoSize;
  state_.fifo_count = std::min(state_.fifo_count, capacity());
  if (state_.timeout_at != 0) {
    timeout_->arm(state_.timeout_at);
  } else {
    timeout_->cancel();
  }
  update_irq();
}

}  // namespace penumbra::devices
