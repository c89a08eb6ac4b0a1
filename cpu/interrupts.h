// Delivery of interrupts and exceptions: from an event to the handler's first instruction.
//
// Real-mode vector table, 32-bit IDT (interrupt, trap and task gates, virtual-8086 entry), 64-bit
// IDT with IST; SDM 3A chapter 6, 20.3 for virtual-8086 mode, AMD APM 2 chapter 8. All-or-nothing:
// when delivery itself faults nothing but CR2 and DR6 has changed (a task switch may fault late,
// see system/task_switch.h). RIP must be the address that the handler should see: of the
// instruction for faults, of the next one for traps and interrupts; only INT n and its like give
// their own length.
#pragma once

#include <string>

#include "cpu/context.h"

namespace penumbra::cpu {

enum class EventSource : u8 {
  Exception,       ///< raised by the CPU
  SoftwareInt,     ///< INT n: gate DPL is checked, IOPL in virtual-8086 mode
  SoftwareTrap,    ///< INT3, INTO: gate DPL is checked
  PrivilegedTrap,  ///< INT1: no DPL check
  External,        ///< INTR
  Nmi,             ///< blocks further NMIs until IRET
};

struct Event {
  u8 vector = 0;
  EventSource source = EventSource::Exception;
  bool has_error_code = false;
  u32 error_code = 0;
  bool restart = false;  ///< RF is pushed as 1: faults, except instruction breakpoints
  u8 length = 0;         ///< of the software-interrupt instruction at rip
  u64 address = 0;       ///< what CR2 becomes; page faults
  u64 dr6 = 0;           ///< causes for DR6; debug exceptions

  static Event of(const Fault& fault);
  static Event of(EventSource source, u8 vector) { return {vector, source}; }

  template <class A>
  void serialize(A& archive) {
    archive(vector, source, has_error_code, error_code, restart, length, address, dr6);
  }
};

/// How the delivery of an event ended.
struct Delivery {
  enum class Kind : u8 {
    Delivered,  ///< rip is the handler's; a HLT is over
    Shutdown,   ///< a fault during a double fault; `detail` tells what led there
    External,   ///< the stack or a table lies in MMIO: complete the access, then deliver again
  };
  Kind kind = Kind::Delivered;
  std::string detail;
};

/// Delivers an exception that an instruction raised (fault.kind must be Exception).
Delivery deliver(CpuContext& ctx, const Fault& fault);
/// Delivers any event: CR2 or DR6 and DR7.GD, then the handler, with the rules for double and
/// triple faults (SDM 3A table 6-5).
Delivery deliver(CpuContext& ctx, const Event& event);

/// One attempt, without the double-fault rules: what INT n, INT3, INTO and INT1 do.
Expected<> deliver_once(CpuContext& ctx, const Event& event);

}  // namespace penumbra::cpu
