#include "machine/board.h"

#include "common/log.h"

namespace penumbra::machine {

using devices::AccessSizes;

namespace {

constexpr u8 kBootApicId = 0, kIoApicId = 1;

struct SerialPlace {
  u16 port;
  u8 irq;
};
constexpr SerialPlace kSerialPlaces[BoardConfig::kSerialPorts] = {
    {0x3f8, 4}, {0x2f8, 3}, {0x3e8, 4}, {0x2e8, 3}};

/// Claims of the board itself never collide.
void claim(devices::Bus& bus, u64 base, u64 size, devices::BusDevice& device, AccessSizes sizes) {
  bool mapped = bus.map(base, size, device, sizes);
  PENUMBRA_ASSERT(mapped);
}

template <class Chip>
StateSection section(const char* name, Chip& chip, u32 version = 1) {
  return {name, version, [&chip](Archive& archive) { archive(chip); }};
}

}  // namespace

Board::Board(const BoardConfig& config, const MemoryMap& map, devices::Clock& clock,
             devices::LocalApicHost& apic_host, BoardHooks hooks)
    : hooks_(std::move(hooks)),
      local_apic_(kBootApicId, devices::LocalApic::Role::Bootstrap, clock, apic_bus_, apic_host),
      io_apic_(kIoApicId, apic_bus_),
      pic_(intr_),
      pit_(isa_.driver(0), clock),
      rtc_(isa_.driver(8), clock, config.unix_time),
      keyboard_(isa_.driver(1), isa_.driver(12), devices::I8042::AuxPort::Mouse,
                {hooks_.on_reset,
                 [this](bool enabled) {
                   keyboard_a20_ = enabled;
                   update_a20();
                 }}),
      port92_({hooks_.on_reset,
               [this](bool enabled) {
                 port92_a20_ = enabled;
                 update_a20();
               }}),
      pci_(hooks_.on_reset),
      acpi_(isa_.driver(kSciIrq), clock, devices::AcpiPm::TimerWidth::Bits32,
            {hooks_.on_power_off, hooks_.on_reset}) {
  wire_interrupts();
  map_system_ports();
  map_acpi_ports();
  map_serial_ports(config, clock);
  map_debug_ports(config);
  fill_cmos(map);
  reset();
}

void Board::wire_interrupts() {
  intr_.connect(local_apic_.lint0());
  for (u8 irq = 0; irq < IsaLines::kCount; ++irq) {
    if (irq == 2) continue;  // the cascade
    isa_.connect(irq, pic_.input(irq));
    isa_.connect(irq, io_apic_.input(irq == 0 ? 2 : irq));
  }
}

void Board::map_system_ports() {
  claim(ports_, 0x20, 2, pic_.master_ports(), AccessSizes::Byte);
  claim(ports_, 0xa0, 2, pic_.slave_ports(), AccessSizes::Byte);
  claim(ports_, 0x4d0, 2, pic_.elcr_ports(), AccessSizes::Byte);
  claim(ports_, 0x40, 4, pit_.ports(), AccessSizes::Byte);
  claim(ports_, 0x61, 1, pit_.port61(), AccessSizes::Byte);
  claim(ports_, 0x60, 1, keyboard_.data_port(), AccessSizes::Byte);
  claim(ports_, 0x64, 1, keyboard_.command_port(), AccessSizes::Byte);
  claim(ports_, 0x70, 2, rtc_, AccessSizes::Byte);
  claim(ports_, 0x92, 1, port92_, AccessSizes::Byte);
  claim(ports_, 0xcf8, 4, pci_.address_port(), AccessSizes::ByteWordDword);
  claim(ports_, 0xcfc, 4, pci_.data_port(), AccessSizes::ByteWordDword);
  claim(mmio_, devices::IoApic::kDefaultBase, devices::IoApic::kPageBytes, io_apic_,
        AccessSizes::ByteWordDword);
}

void Board::map_acpi_ports() {
  devices::AcpiConfig at;
  claim(ports_, at.pm1_event_port, 4, acpi_.pm1_event(), AccessSizes::ByteWordDword);
  claim(ports_, at.pm1_control_port, 2, acpi_.pm1_control(), AccessSizes::ByteWord);
  claim(ports_, at.pm_timer_port, 4, acpi_.pm_timer(), AccessSizes::ByteWordDword);
  claim(ports_, at.gpe0_port, devices::AcpiPm::kGpeBlockBytes, acpi_.gpe0(),
        AccessSizes::ByteWordDword);
  claim(ports_, at.smi_command_port, 2, acpi_.smi_command(), AccessSizes::Byte);
  claim(ports_, at.reset_port, 1, acpi_.reset_register(), AccessSizes::Byte);
}

void Board::map_serial_ports(const BoardConfig& config, devices::Clock& clock) {
  for (u8 i = 0; i < BoardConfig::kSerialPorts; ++i) {
    if (config.serial[i] == nullptr) continue;
    SerialPlace place = kSerialPlaces[i];
    serial_[i] =
        std::make_unique<devices::Uart16550>(isa_.driver(place.irq), clock, *config.serial[i]);
    claim(ports_, place.port, 8, *serial_[i], AccessSizes::Byte);
  }
}

void Board::map_debug_ports(const BoardConfig& config) {
  if (config.debug_exit) {
    debug_exit_ = std::make_unique<devices::DebugExit>(hooks_.on_debug_exit);
    claim(ports_, 0xf4, 1, *debug_exit_, AccessSizes::ByteWordDword);
  }
  if (config.debug_console != nullptr) {
    debug_console_ = std::make_unique<devices::DebugConsole>(*config.debug_console);
    claim(ports_, 0xe9, 1, *debug_console_, AccessSizes::Byte);
  }
}

/// Memory sizes where PC firmware leaves them: base memory in KiB, extended memory in KiB up to
/// 64 MiB, memory above 16 MiB in 64 KiB, memory above 4 GiB in 64 KiB; an FPU and no disks.
void Board::fill_cmos(const MemoryMap& map) {
  auto put = [&](u8 index, u64 value, u8 count) {
    for (u8 i = 0; i < count; ++i) rtc_.set_cmos(index + i, static_cast<u8>(value >> (8 * i)));
  };
  u64 extended = std::min<u64>((map.below_hole() - MemoryMap::kHighStart) >> 10, 0xffff);
  u64 above_16m = map.below_hole() > (16 << 20) ? (map.below_hole() - (16 << 20)) >> 16 : 0;
  put(0x14, 0x06, 1);
  put(0x15, 640, 2);
  put(0x17, extended, 2);
  put(0x30, extended, 2);
  put(0x34, above_16m, 2);
  put(0x5b, map.above_hole() >> 16, 3);
}

void Board::update_a20() { hooks_.on_a20(keyboard_a20_ || port92_a20_); }

void Board::local_apic_moved() {
  u64 wanted = local_apic_.globally_enabled() ? local_apic_.base() : 0;
  if (wanted == apic_page_) return;
  if (apic_page_ != 0) mmio_.unmap(apic_page_);
  bool mapped = wanted != 0 && mmio_.map(wanted, devices::LocalApic::kPageBytes, local_apic_,
                                         AccessSizes::ByteWordDword);
  apic_page_ = mapped ? wanted : 0;
}

void Board::reset() {
  local_apic_.reset();
  local_apic_.enter_virtual_wire_mode();
  local_apic_moved();
  io_apic_.reset();
  pic_.reset();
  pit_.reset();
  rtc_.reset();
  keyboard_.reset();
  port92_.reset();
  pci_.reset();
  acpi_.reset();
  for (auto& uart : serial_) {
    if (uart) uart->reset();
  }
  keyboard_a20_ = true;
  port92_a20_ = false;
  update_a20();
}

std::vector<StateSection> Board::sections() {
  static constexpr const char* kSerialNames[] = {"com1", "com2", "com3", "com4"};
  std::vector<StateSection> sections = {
      section("pic", pic_),
      section("pit", pit_),
      section("rtc", rtc_),
      section("i8042", keyboard_),
      section("port92", port92_),
      section("pci", pci_),
      section("acpi", acpi_),
      section("ioapic", io_apic_),
      {"lapic", 1,
       [this](Archive& archive) {
         archive(local_apic_);
         if (archive.loading()) local_apic_moved();
       }},
      {"a20", 1, [this](Archive& archive) { archive(keyboard_a20_, port92_a20_); }},
  };
  for (u8 i = 0; i < BoardConfig::kSerialPorts; ++i) {
    if (serial_[i]) sections.push_back(section(kSerialNames[i], *serial_[i]));
  }
  return sections;
}

devices::AcpiImage Board::acpi_tables() const {
  devices::AcpiConfig config;
  config.apic_ids = {kBootApicId};
  config.io_apic_id = kIoApicId;
  config.sci_irq = kSciIrq;
  config.serial_ports = serial_[1] ? 2 : serial_[0] ? 1 : 0;
  return devices::build_acpi_tables(config);
}

}  // namespace penumbra::machine
