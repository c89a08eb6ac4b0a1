#include "devices/acpi_tables.h"

#include <algorithm>
#include <numeric>
#include <string_view>

#include "devices/acpi_pm.h"
#include "devices/aml.h"

namespace penumbra::devices {

namespace {

using aml::Bytes;

constexpr size_t kHeaderBytes = 36, kRsdpBytes = 36, kFacsBytes = 64;
constexpr size_t kChecksumOffset = 9;

/// Little-endian fields, one after the other.
class Fields {
 public:
  Fields& u(u64 value, u32 size) {
    for (u32 i = 0; i < size; ++i) bytes_.push_back(static_cast<u8>(value >> (8 * i)));
    return *this;
  }
  Fields& text(std::string_view text) {
    bytes_.insert(bytes_.end(), text.begin(), text.end());
    return *this;
  }
  Fields& zeros(size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  Bytes take() { return std::move(bytes_); }

 private:
  Bytes bytes_;
};

void set_checksum(Bytes& bytes, size_t at, size_t length) {
  bytes[at] = 0;
  u8 sum = std::accumulate(bytes.begin(), bytes.begin() + static_cast<i64>(length), u8{0});
  bytes[at] = static_cast<u8>(-sum);
}

/// A table with the common header (5.2.6).
Bytes table(std::string_view signature, u8 revision, const Bytes& body) {
  Fields fields;
  fields.text(signature).u(kHeaderBytes + body.size(), 4).u(revision, 1).u(0, 1);
  fields.text("PENUMB").text("PENUMBRA").u(1, 4).text("PNMB").u(1, 4);
  Bytes bytes = fields.take();
  bytes.insert(bytes.end(), body.begin(), body.end());
  set_checksum(bytes, kChecksumOffset, bytes.size());
  return bytes;
}

/// Generic address structure (5.2.3.2): `size` bytes of ports, read `access` bytes at a time.
void add_port_address(Fields& fields, u16 port, u32 size, u32 access) {
  constexpr u8 kSystemIo = 1;
  u8 access_code = access == 1 ? 1 : access == 2 ? 2 : 3;
  fields.u(kSystemIo, 1).u(8 * size, 1).u(0, 1).u(access_code, 1).u(port, 8);
}

void add_no_address(Fields& fields) { fields.zeros(12); }

// FADT flags (table 5.10) and IA-PC boot flags (table 5.11).
constexpr u32 kWbinvd = 1 << 0, kProcC1 = 1 << 2, kSleepButtonIsControl = 1 << 5,
              kTimerIs32Bit = 1 << 8, kResetRegister = 1 << 10;
constexpr u16 kLegacyDevices = 1 << 0, kHas8042 = 1 << 1, kNoVga = 1 << 2, kNoAspm = 1 << 4;
constexpr u16 kNoC2 = 101, kNoC3 = 1001;  ///< latencies that mean "not supported"

u16 boot_flags(const AcpiConfig& config) {
  u16 flags = kLegacyDevices | kNoAspm;
  if (config.has_keyboard) flags |= kHas8042;
  if (!config.has_vga) flags |= kNoVga;
  return flags;
}

Bytes fadt(const AcpiConfig& config, u64 facs, u64 dsdt) {
  constexpr u8 kRevision = 6, kMinorRevision = 4, kRtcCentury = 0x32;
  u32 flags = kWbinvd | kProcC1 | kSleepButtonIsControl | kResetRegister |
              (config.pm_timer_is_32_bit ? kTimerIs32Bit : 0);
  Fields fields;
  fields.u(facs, 4).u(dsdt, 4).u(0, 1).u(0, 1).u(config.sci_irq, 2);
  fields.u(config.smi_command_port, 4).u(AcpiPm::kAcpiEnable, 1).u(AcpiPm::kAcpiDisable, 1);
  fields.u(0, 1).u(0, 1);  // S4BIOS_REQ, PSTATE_CNT
  fields.u(config.pm1_event_port, 4).u(0, 4).u(config.pm1_control_port, 4).u(0, 4).u(0, 4);
  fields.u(config.pm_timer_port, 4).u(config.gpe0_port, 4).u(0, 4);
  fields.u(4, 1).u(2, 1).u(0, 1).u(4, 1).u(AcpiPm::kGpeBlockBytes, 1).u(0, 1).u(0, 1).u(0, 1);
  fields.u(kNoC2, 2).u(kNoC3, 2).u(0, 2).u(0, 2).u(0, 1).u(0, 1);
  fields.u(0, 1).u(0, 1).u(kRtcCentury, 1);  // no day and month alarm
  fields.u(boot_flags(config), 2).u(0, 1).u(flags, 4);
  add_port_address(fields, config.reset_port, 1, 1);
  fields.u(AcpiPm::kResetValue, 1).u(0, 2).u(kMinorRevision, 1);
  fields.u(0, 8).u(dsdt, 8);  // X_FIRMWARE_CTRL is used only above 4 GiB
  add_port_address(fields, config.pm1_event_port, 4, 2);
  add_no_address(fields);
  add_port_address(fields, config.pm1_control_port, 2, 2);
  add_no_address(fields);
  add_no_address(fields);
  add_port_address(fields, config.pm_timer_port, 4, 4);
  add_port_address(fields, config.gpe0_port, AcpiPm::kGpeBlockBytes, 1);
  add_no_address(fields);
  add_no_address(fields);  // sleep control and status: reduced hardware only
  add_no_address(fields);
  fields.u(0, 8);  // hypervisor vendor
  return table("FACP", kRevision, fields.take());
}

Bytes facs() {
  Fields fields;
  fields.text("FACS").u(kFacsBytes, 4).zeros(24).u(2, 1).zeros(kFacsBytes - 33);
  return fields.take();
}

Bytes madt(const AcpiConfig& config) {
  constexpr u8 kRevision = 5;
  constexpr u16 kConforms = 0, kActiveHighLevel = 0x0d;
  Fields fields;
  fields.u(config.local_apic_base, 4).u(1, 4);  // PCAT_COMPAT: there is an 8259A pair
  for (size_t i = 0; i < config.apic_ids.size(); ++i)
    fields.u(0, 1).u(8, 1).u(i, 1).u(config.apic_ids[i], 1).u(1, 4);
  fields.u(1, 1).u(12, 1).u(config.io_apic_id, 1).u(0, 1).u(config.io_apic_base, 4).u(0, 4);
  auto override_source = [&](u8 irq, u32 gsi, u16 flags) {
    fields.u(2, 1).u(10, 1).u(0, 1).u(irq, 1).u(gsi, 4).u(flags, 2);
  };
  override_source(0, 2, kConforms);
  override_source(static_cast<u8>(config.sci_irq), config.sci_irq, kActiveHighLevel);
  fields.u(4, 1).u(6, 1).u(0xff, 1).u(kConforms, 2).u(1, 1);  // LINT1 is NMI, everywhere
  return table("APIC", kRevision, fields.take());
}

// --- DSDT

Bytes isa_device(std::string_view name, std::string_view id, const Bytes& rest) {
  return aml::device(name, aml::concat({aml::name("_HID", aml::eisa_id(id)), rest}));
}

Bytes serial_port(std::string_view name, u8 unit, u16 port, u8 irq) {
  return isa_device(
      name, "PNP0501",
      aml::concat({aml::name("_UID", aml::integer(unit)), aml::name("_STA", aml::integer(15)),
                   aml::name("_CRS", aml::resources({aml::io(port, 8), aml::irq(irq)}))}));
}

Bytes keyboard_controller(const AcpiConfig& config) {
  if (!config.has_keyboard) return {};
  Bytes keyboard = isa_device(
      "KBD_", "PNP0303",
      aml::name("_CRS", aml::resources({aml::io(0x60, 1), aml::io(0x64, 1), aml::irq(1)})));
  if (!config.has_mouse) return keyboard;
  Bytes mouse = isa_device("MOU_", "PNP0F13", aml::name("_CRS", aml::resources({aml::irq(12)})));
  return aml::concat({keyboard, mouse});
}

Bytes isa_devices(const AcpiConfig& config) {
  Bytes rtc = isa_device("RTC_", "PNP0B00",
                         aml::name("_CRS", aml::resources({aml::io(0x70, 2), aml::irq(8)})));
  Bytes com1 = config.serial_ports >= 1 ? serial_port("COM1", 1, 0x3f8, 4) : Bytes{};
  Bytes com2 = config.serial_ports >= 2 ? serial_port("COM2", 2, 0x2f8, 3) : Bytes{};
  return aml::concat({rtc, com1, com2, keyboard_controller(config)});
}

/// _PRT (6.2.13) with fixed inputs: `input(n)` is where line n = (slot + pin) % 4 arrives.
template <class Input>
Bytes routing_table(Input input) {
  std::vector<Bytes> entries;
  for (u32 slot = 1; slot < 32; ++slot)
    for (u32 pin = 0; pin < 4; ++pin)
      entries.push_back(aml::package({aml::integer(slot << 16 | 0xffff), aml::integer(pin),
                                      aml::integer(0), aml::integer(input((slot + pin) % 4))}));
  return aml::package(entries);
}

Bytes root_bridge(const AcpiConfig& config) {
  Bytes windows =
      aml::resources({aml::bus_numbers(0, 255), aml::io(0xcf8, 8), aml::io_window(0, 0xcf7),
                      aml::io_window(0xd00, 0xffff), aml::memory_window(0xa0000, 0xbffff),
                      aml::memory_window(config.pci_memory_base, config.pci_memory_limit)});
  Bytes apic_routing = routing_table([&](u32 line) { return config.pci_first_gsi + line; });
  Bytes pic_routing = routing_table([&](u32 line) { return u32{config.pci_isa_irqs[line]}; });
  Bytes choose = aml::concat({aml::if_(aml::path("\\PICM"), aml::return_(aml::path("PRTA"))),
                              aml::return_(aml::path("PRTP"))});
  return aml::device(
      "PCI0",
      aml::concat({aml::name("_HID", aml::eisa_id("PNP0A03")), aml::name("_UID", aml::integer(0)),
                   aml::name("_BBN", aml::integer(0)), aml::name("_CRS", windows),
                   aml::name("PRTA", apic_routing), aml::name("PRTP", pic_routing),
                   aml::method("_PRT", 0, choose), isa_devices(config)}));
}

Bytes dsdt(const AcpiConfig& config) {
  Bytes s5 = aml::integer(AcpiPm::kSleepTypeS5);
  Bytes zero = aml::integer(0);
  // _PIC (5.8.1): the kernel says which interrupt model it uses.
  Bytes pic = aml::method("\\_PIC", 1, aml::store(aml::argument(0), aml::path("\\PICM")));
  return table("DSDT", 2,
               aml::concat({aml::name("\\PICM", zero), pic,
                            aml::name("\\_S5_", aml::package({s5, s5, zero, zero})),
                            aml::scope("\\_SB_", root_bridge(config))}));
}

// --- image

Bytes root_table(std::string_view signature, u32 pointer_size, const std::vector<u64>& tables) {
  Fields fields;
  for (u64 address : tables) fields.u(address, pointer_size);
  return table(signature, 1, fields.take());
}

Bytes rsdp(u64 rsdt, u64 xsdt) {
  constexpr size_t kFirstPart = 20, kExtendedChecksum = 32;
  Fields fields;
  fields.text("RSD PTR ").u(0, 1).text("PENUMB").u(2, 1).u(rsdt, 4);
  fields.u(kRsdpBytes, 4).u(xsdt, 8).u(0, 4);
  Bytes bytes = fields.take();
  set_checksum(bytes, 8, kFirstPart);
  set_checksum(bytes, kExtendedChecksum, kRsdpBytes);
  return bytes;
}

/// Appends tables at aligned places and knows their addresses.
class Image {
 public:
  explicit Image(u64 base) { image_.address = base; }

  u64 add(const Bytes& bytes) {
    constexpr size_t kAlignment = 64;  // the FACS needs it
    size_t at = (image_.bytes.size() + kAlignment - 1) / kAlignment * kAlignment;
    image_.bytes.resize(at);
    image_.bytes.insert(image_.bytes.end(), bytes.begin(), bytes.end());
    return image_.address + at;
  }
  void overwrite(u64 address, const Bytes& bytes) {
    std::copy(bytes.begin(), bytes.end(),
              image_.bytes.begin() + static_cast<i64>(address - image_.address));
  }
  AcpiImage take(u64 rsdp) {
    image_.rsdp = rsdp;
    return std::move(image_);
  }

 private:
  AcpiImage image_;
};

}  // namespace

AcpiImage build_acpi_tables(const AcpiConfig& config) {
  Image image(config.base);
  u64 root = image.add(Bytes(kRsdpBytes));
  u64 facs_at = image.add(facs());
  u64 dsdt_at = image.add(dsdt(config));
  u64 fadt_at = image.add(fadt(config, facs_at, dsdt_at));
  u64 madt_at = image.add(madt(config));
  u64 rsdt_at = image.add(root_table("RSDT", 4, {fadt_at, madt_at}));
  u64 xsdt_at = image.add(root_table("XSDT", 8, {fadt_at, madt_at}));
  image.overwrite(root, rsdp(rsdt_at, xsdt_at));
  return image.take(root);
}

}  // namespace penumbra::devices
