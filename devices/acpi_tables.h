// The ACPI tables of the board (ACPI Specification 6.4, chapter 5): RSDP, RSDT, XSDT, FADT, FACS,
// MADT and a DSDT in AML.
//
// A pure function from the board's addresses to bytes and where they belong. One contiguous image,
// meant for the F0000h segment, with the RSDP at its start so that both a scan and a boot protocol
// find it. No MCFG, HPET, SRAT or SSDT.
#pragma once

#include <array>
#include <vector>

#include "common/types.h"

namespace penumbra::devices {

struct AcpiConfig {
  u64 base = 0xf0000;  ///< where the image goes; a multiple of 64
  std::vector<u8> apic_ids = {0};
  u32 local_apic_base = 0xfee00000;
  u8 io_apic_id = 1;  ///< one that no local APIC has
  u32 io_apic_base = 0xfec00000;

  u16 sci_irq = 9;
  u16 pm1_event_port = 0x600;
  u16 pm1_control_port = 0x604;
  u16 pm_timer_port = 0x608;
  u16 gpe0_port = 0x620;
  u16 smi_command_port = 0xb2;
  u16 reset_port = 0x610;
  bool pm_timer_is_32_bit = true;

  bool has_keyboard = true, has_mouse = true, has_vga = false;
  u8 serial_ports = 1;  ///< 1: COM1; 2: COM1 and COM2

  u32 pci_memory_base = 0xc0000000;   ///< window for BARs
  u32 pci_memory_limit = 0xfebfffff;  ///< inclusive
  u8 pci_first_gsi = 16;              ///< INTA# of slot s, pin p: first + (s + p) % 4
  std::array<u8, 4> pci_isa_irqs = {10, 11, 10, 11};  ///< the same inputs at the 8259A pair
};

struct AcpiImage {
  u64 address = 0;
  std::vector<u8> bytes;
  u64 rsdp = 0;  ///< address of the RSDP
};

AcpiImage build_acpi_tables(const AcpiConfig& config);

}  // namespace penumbra::devices
