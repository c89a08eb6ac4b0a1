// UART 16550A: a serial port with 16-byte FIFOs (National PC16550D datasheet, section 8).
//
// Transmission is immediate: a byte written to THR is in the backend before the write returns, so
// THRE and TEMT are always set, and the THRE interrupt follows at once. Reception comes through
// receive() and paces nothing; the character timeout (four character times at the programmed rate)
// runs on the clock. INTR reaches the line only while MCR.OUT2 is set and loopback is off, as the
// PC wires it. Not there: the DMA pins (FCR bit 3 is kept and ignored), parity and framing errors.
#pragma once

#include <array>

#include "common/log.h"
#include "devices/interfaces.h"

namespace penumbra::devices {

class Uart16550 final : public BusDevice {
 public:
  Uart16550(IrqLine& irq, Clock& clock, CharBackend& backend);

  /// Eight byte registers.
  u64 read(u64 offset, u32 size) override;
  void write(u64 offset, u32 size, u64 value) override;

  /// Whether receive() would not lose a byte.
  bool can_receive() const;
  /// A byte from the other side; without room it sets the overrun error.
  void receive(u8 byte);
  /// The other side holds the line in a break condition for one character.
  void receive_break();
  /// CTS, DSR, RI, DCD as bits 4..7, as MSR shows them.
  void set_modem_inputs(u8 inputs);
  void reset();

  template <class A>
  void serialize(A& archive) {
    archive(state_);
    if (archive.loading()) restored();
  }

 private:
  static constexpr u8 kFifoSize = 16;

  struct Received {
    u8 byte = 0;
    u8 errors = 0;  ///< the LSR bits that come with it
    template <class A>
    void serialize(A& archive) {
      archive(byte, errors);
    }
  };
  struct State {
    std::array<Received, kFifoSize> fifo;
    u8 fifo_first = 0, fifo_count = 0;
    u8 rbr = 0;
    u8 ier = 0, fcr = 0, lcr = 0, mcr = 0, msr = 0, scr = 0;
    u16 divisor = 12;
    u8 line_errors = 0;            ///< OE, PE, FE, BI of LSR, cleared by reading it
    u8 modem_inputs = 0xb0;        ///< of the outside world: DCD, DSR, CTS
    bool thre_pending = false;     ///< the THRE interrupt waits for IIR or THR
    bool timeout_pending = false;  ///< the character timeout interrupt waits for RBR
    u64 timeout_at = 0;            ///< 0: not running

    template <class A>
    void serialize(A& archive) {
      archive(fifo, fifo_first, fifo_count, rbr, ier, fcr, lcr, mcr, msr, scr, divisor, line_errors,
              modem_inputs, thre_pending, timeout_pending, timeout_at);
    }
  };

  bool fifo_enabled() const;
  bool loopback() const;
  u8 capacity() const;
  u8 trigger_level() const;
  u64 character_time_ns() const;
  u8 read_rbr();
  u8 read_iir();
  u8 read_lsr();
  u8 read_msr();
  u8 line_status() const;
  u8 interrupt_identification() const;
  void write_thr(u8 byte);
  void write_ier(u8 value);
  void write_fcr(u8 value);
  void write_mcr(u8 value);
  void push(Received received);
  void clear_receiver();
  void update_modem_status();
  void restart_timeout();
  void timeout_expired();
  void update_irq();
  void restored();

  IrqLine& irq_;
  Clock& clock_;
  CharBackend& backend_;
  std::unique_ptr<Timer> timeout_;
  LogOnce log_once_;
  State state_;
};

}  // namespace penumbra::devices
