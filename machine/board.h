// The PC board: which chips there are, at which addresses, and how they are wired.
//
// Ports: 8259A pair 20h/A0h, ELCR 4D0h, 8254 40h and 61h, 8042 60h/64h, MC146818 70h, port 92h,
// COM1-4 as configured, PCI CF8h with CF9h, ACPI power management 600h..623h (SCI 9) and SMI
// command B2h, debug exit F4h and debug console E9h as configured. Memory: IO APIC FEC00000h, local
// APIC where its base MSR says. Everything else, port 80h and the DMA and VGA ports among it,
// answers as an empty bus. No disk, network or display.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "common/archive.h"
#include "common/external.h"
#include "devices/acpi_pm.h"
#include "devices/acpi_tables.h"
#include "devices/bus.h"
#include "devices/debug_ports.h"
#include "devices/i8042.h"
#include "devices/i8254.h"
#include "devices/i8259.h"
#include "devices/io_apic.h"
#include "devices/local_apic.h"
#include "devices/mc146818.h"
#include "devices/pci_host.h"
#include "devices/port92.h"
#include "devices/uart16550.h"
#include "machine/isa_lines.h"
#include "machine/memory_map.h"

namespace penumbra::machine {

struct BoardConfig {
  static constexpr u8 kSerialPorts = 4;

  /// COM1..COM4; nullptr where there is none. They outlive the board.
  std::array<devices::CharBackend*, kSerialPorts> serial{};
  bool debug_exit = false;
  devices::CharBackend* debug_console = nullptr;  ///< nullptr: no port E9h
  i64 unix_time = 0;                              ///< of the real-time clock at power-on
};

/// What the chips ask of the machine. Called while a device is being accessed or a timer expires.
struct BoardHooks {
  std::function<void()> on_reset;
  std::function<void()> on_power_off;
  std::function<void(u32 status)> on_debug_exit;
  std::function<void(bool enabled)> on_a20;
};

/// One entry of the list of everything that a snapshot holds and a state hash covers.
struct StateSection {
  const char* name;
  u32 version;
  std::function<void(Archive&)> serialize;
};

class Board {
 public:
  static constexpr u8 kSciIrq = 9;

  Board(const BoardConfig& config, const MemoryMap& map, devices::Clock& clock,
        devices::LocalApicHost& apic_host, BoardHooks hooks);

  u64 read(const ExternalAccess& access) { return bus(access).read(access.address, access.size); }
  void write(const ExternalAccess& access) {
    bus(access).write(access.address, access.size, access.data);
  }

  devices::LocalApic& local_apic() { return local_apic_; }
  devices::I8259Pair& pic() { return pic_; }
  devices::AcpiPm& acpi() { return acpi_; }
  /// COM1 is 0; nullptr where there is none.
  devices::Uart16550* serial(u8 index) { return serial_[index].get(); }

  /// The local APIC's base MSR was written: decodes its page where it lies now.
  void local_apic_moved();
  /// The state that firmware leaves behind: controllers reset, local APIC in virtual wire mode.
  void reset();

  std::vector<StateSection> sections();

  /// The tables for this board, to be placed in guest memory.
  devices::AcpiImage acpi_tables() const;

 private:
  devices::Bus& bus(const ExternalAccess& access) {
    return access.space == ExternalAccess::Space::Port ? ports_ : mmio_;
  }
  void map_system_ports();
  void map_acpi_ports();
  void map_serial_ports(const BoardConfig& config, devices::Clock& clock);
  void map_debug_ports(const BoardConfig& config);
  void wire_interrupts();
  void fill_cmos(const MemoryMap& map);
  void update_a20();

  BoardHooks hooks_;
  devices::Bus ports_{devices::Bus::Space::Port};
  devices::Bus mmio_{devices::Bus::Space::Mmio};
  IsaLines isa_;
  FanOut intr_;
  devices::ApicBus apic_bus_;
  devices::LocalApic local_apic_;
  devices::IoApic io_apic_;
  devices::I8259Pair pic_;
  devices::I8254 pit_;
  devices::Mc146818 rtc_;
  devices::I8042 keyboard_;
  devices::Port92 port92_;
  devices::PciHost pci_;
  devices::AcpiPm acpi_;
  std::array<std::unique_ptr<devices::Uart16550>, BoardConfig::kSerialPorts> serial_;
  std::unique_ptr<devices::DebugExit> debug_exit_;
  std::unique_ptr<devices::DebugConsole> debug_console_;
  bool keyboard_a20_ = true, port92_a20_ = false;
  u64 apic_page_ = 0;  ///< where the local APIC's page is mapped, 0: nowhere
};

}  // namespace penumbra::machine
