#include "devices/acpi_tables.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <set>
#include <string>

#include "devices/acpi_pm.h"

namespace penumbra::devices {
namespace {

u8 sum(const u8* bytes, size_t size) { return std::accumulate(bytes, bytes + size, u8{0}); }

/// Reads the image as an operating system does, from the RSDP on.
class Reader {
 public:
  explicit Reader(const AcpiConfig& config) : image_(build_acpi_tables(config)) {}

  const u8* at(u64 address, size_t size) const {
    REQUIRE(address >= image_.address);
    REQUIRE(address - image_.address + size <= image_.bytes.size());
    return image_.bytes.data() + (address - image_.address);
  }
  template <class T>
  T get(u64 address) const {
    return load_from<T>(at(address, sizeof(T)));
  }
  std::string text(u64 address, size_t size) const {
    return {reinterpret_cast<const char*>(at(address, size)), size};
  }
  /// Checks a table's length and checksum; its address.
  u64 table(u64 address, const std::string& signature) const {
    CHECK(text(address, 4) == signature);
    u32 length = get<u32>(address + 4);
    CHECK(sum(at(address, length), length) == 0);
    return address;
  }
  u64 rsdp() const { return image_.rsdp; }
  u64 xsdt() const { return table(get<u64>(rsdp() + 24), "XSDT"); }
  u64 rsdt() const { return table(get<u32>(rsdp() + 16), "RSDT"); }
  std::map<std::string, u64> tables() const {
    std::map<std::string, u64> found;
    u64 root = xsdt();
    for (u64 entry = root + 36; entry < root + get<u32>(root + 4); entry += 8)
      found[text(get<u64>(entry), 4)] = get<u64>(entry);
    return found;
  }
  u64 fadt() const { return table(tables().at("FACP"), "FACP"); }
  u64 dsdt() const { return table(get<u64>(fadt() + 140), "DSDT"); }
  const AcpiImage& image() const { return image_; }

 private:
  AcpiImage image_;
};

TEST_CASE("acpi tables: the RSDP is where scans look, with both checksums") {
  AcpiConfig config;
  Reader reader(config);
  u64 rsdp = reader.rsdp();
  CHECK(rsdp % 16 == 0);
  CHECK(rsdp >= 0xe0000);
  CHECK(reader.image().address + reader.image().bytes.size() <= 0x100000);
  CHECK(reader.text(rsdp, 8) == "RSD PTR ");
  CHECK(sum(reader.at(rsdp, 20), 20) == 0);
  CHECK(reader.get<u8>(rsdp + 15) == 2);
  CHECK(reader.get<u32>(rsdp + 20) == 36);
  CHECK(sum(reader.at(rsdp, 36), 36) == 0);
}

TEST_CASE("acpi tables: RSDT and XSDT name the same tables") {
  Reader reader(AcpiConfig{});
  u64 rsdt = reader.rsdt(), xsdt = reader.xsdt();
  u32 count = (reader.get<u32>(rsdt + 4) - 36) / 4;
  REQUIRE(count == 2);
  for (u32 i = 0; i < count; ++i)
    CHECK(reader.get<u32>(rsdt + 36 + 4 * i) == reader.get<u64>(xsdt + 36 + 8 * i));
  auto tables = reader.tables();
  CHECK(tables.count("FACP") == 1);
  CHECK(tables.count("APIC") == 1);
}

TEST_CASE("acpi tables: the FADT says where the fixed hardware is") {
  AcpiConfig config;
  Reader reader(config);
  u64 fadt = reader.fadt();
  CHECK(reader.get<u32>(fadt + 4) == 276);
  CHECK(reader.get<u8>(fadt + 8) >= 5);
  CHECK(reader.get<u16>(fadt + 46) == config.sci_irq);
  CHECK(reader.get<u32>(fadt + 48) == config.smi_command_port);
  CHECK(reader.get<u8>(fadt + 52) == AcpiPm::kAcpiEnable);
  CHECK(reader.get<u32>(fadt + 56) == config.pm1_event_port);
  CHECK(reader.get<u64>(fadt + 152) == config.pm1_event_port);
  CHECK(reader.get<u32>(fadt + 64) == config.pm1_control_port);
  CHECK(reader.get<u64>(fadt + 176) == config.pm1_control_port);
  CHECK(reader.get<u32>(fadt + 76) == config.pm_timer_port);
  CHECK(reader.get<u64>(fadt + 212) == config.pm_timer_port);
  CHECK(reader.get<u32>(fadt + 80) == config.gpe0_port);
  CHECK(reader.get<u64>(fadt + 224) == config.gpe0_port);
  CHECK(reader.get<u8>(fadt + 88) == 4);
  CHECK(reader.get<u8>(fadt + 89) == 2);
  CHECK(reader.get<u8>(fadt + 91) == 4);
  CHECK(reader.get<u64>(fadt + 120) == config.reset_port);
  CHECK(reader.get<u8>(fadt + 116) == 1);  // system I/O
  CHECK(reader.get<u8>(fadt + 128) == AcpiPm::kResetValue);
  u32 flags = reader.get<u32>(fadt + 112);
  CHECK((flags & 1 << 10) != 0);  // reset register
  CHECK((flags & 1 << 8) != 0);   // 32-bit timer
  CHECK((flags & 1 << 4) == 0);   // fixed power button
  CHECK((flags & 1 << 20) == 0);  // not reduced hardware
  CHECK(reader.get<u32>(fadt + 40) == reader.dsdt());
  u64 facs = reader.get<u32>(fadt + 36);
  CHECK(facs % 64 == 0);
  CHECK(reader.text(facs, 4) == "FACS");
  CHECK(reader.get<u32>(facs + 4) == 64);
}

TEST_CASE("acpi tables: boot flags follow the configuration") {
  auto flags = [](const AcpiConfig& config) {
    Reader reader(config);
    return reader.get<u16>(reader.fadt() + 109) & 6;
  };
  AcpiConfig config;
  CHECK(flags(config) == 6);  // 8042, no VGA
  config.has_keyboard = false;
  config.has_vga = true;
  CHECK(flags(config) == 0);
  config.pm_timer_is_32_bit = false;
  Reader reader(config);
  CHECK((reader.get<u32>(reader.fadt() + 112) & 1 << 8) == 0);
}

TEST_CASE("acpi tables: the MADT lists every interrupt controller") {
  AcpiConfig config;
  config.apic_ids = {0, 1, 4};
  config.io_apic_id = 5;
  Reader reader(config);
  u64 madt = reader.table(reader.tables().at("APIC"), "APIC");
  CHECK(reader.get<u32>(madt + 36) == 0xfee00000);
  CHECK(reader.get<u32>(madt + 40) == 1);
  std::vector<u8> ids;
  std::map<u8, std::pair<u32, u16>> overrides;
  u32 io_apics = 0, nmis = 0;
  u64 end = madt + reader.get<u32>(madt + 4), entry = madt + 44;
  while (entry < end) {
    switch (reader.get<u8>(entry)) {
      case 0:
        CHECK(reader.get<u8>(entry + 2) == ids.size());
        CHECK(reader.get<u32>(entry + 4) == 1);
        ids.push_back(reader.get<u8>(entry + 3));
        break;
      case 1:
        ++io_apics;
        CHECK(reader.get<u8>(entry + 2) == 5);
        CHECK(reader.get<u32>(entry + 4) == 0xfec00000);
        CHECK(reader.get<u32>(entry + 8) == 0);
        break;
      case 2:
        overrides[reader.get<u8>(entry + 3)] = {reader.get<u32>(entry + 4),
                                                reader.get<u16>(entry + 8)};
        break;
      case 4:
        ++nmis;
        CHECK(reader.get<u8>(entry + 2) == 0xff);
        CHECK(reader.get<u8>(entry + 5) == 1);
        break;
      default:
        FAIL("unknown MADT entry");
    }
    entry += reader.get<u8>(entry + 1);
  }
  CHECK(entry == end);
  CHECK(ids == config.apic_ids);
  CHECK(io_apics == 1);
  CHECK(nmis == 1);
  CHECK(overrides.at(0) == std::pair<u32, u16>{2, 0});
  CHECK(overrides.at(9) == std::pair<u32, u16>{9, 0x0d});
}

/// Walks the packages of an AML term list; every PkgLength must end inside its parent.
class AmlWalker {
 public:
  AmlWalker(const u8* bytes, size_t size) : bytes_(bytes) { terms(0, size); }
  const std::set<std::string>& names() const { return names_; }

 private:
  size_t package_end(size_t& at, size_t limit) {
    size_t start = at;
    u8 lead = bytes_[at++];
    size_t length = lead >> 6 ? lead & 15 : lead & 63;
    for (int i = 0; i < lead >> 6; ++i) length |= size_t{bytes_[at++]} << (4 + 8 * i);
    REQUIRE(start + length <= limit);
    return start + length;
  }
  void name(size_t& at) {
    if (bytes_[at] == '\\') ++at;
    size_t segments = 1;
    if (bytes_[at] == 0x2e) segments = 2, ++at;
    for (; segments; --segments, at += 4)
      names_.insert(std::string(reinterpret_cast<const char*>(bytes_ + at), 4));
  }
  void terms(size_t at, size_t end) {
    while (at < end) term(at, end);
    REQUIRE(at == end);
  }
  void term(size_t& at, size_t end) {
    u8 opcode = bytes_[at++];
    switch (opcode) {
      case 0x00:
      case 0x01:
      case 0x68:
        return;
      case 0x0a:
        at += 1;
        return;
      case 0x0b:
        at += 2;
        return;
      case 0x0c:
        at += 4;
        return;
      case 0x08:
        name(at);
        return term(at, end);
      case 0x70:
        term(at, end);
        return term(at, end);
      case 0xa4:
        return term(at, end);
      case 0x5b:
        CHECK(bytes_[at] == 0x82);
        ++at;
        [[fallthrough]];
      case 0x10:
      case 0x14:
      case 0x11:
      case 0x12:
      case 0xa0: {
        size_t inner = package_end(at, end);
        if (opcode == 0x11) {
          term(at, inner);  // the size
          at = inner;
        }
        if (opcode == 0x10 || opcode == 0x14 || opcode == 0x5b) name(at);
        if (opcode == 0x14 || opcode == 0x12) ++at;  // flags; number of elements
        terms(at, inner);
        at = inner;
        return;
      }
      default:
        --at;
        REQUIRE((bytes_[at] == '\\' || bytes_[at] == '_' || std::isupper(bytes_[at])));
        name(at);
    }
  }

  const u8* bytes_;
  std::set<std::string> names_;
};

std::set<std::string> dsdt_names(const AcpiConfig& config) {
  Reader reader(config);
  u64 dsdt = reader.dsdt();
  size_t size = reader.get<u32>(dsdt + 4) - 36;
  return AmlWalker(reader.at(dsdt + 36, size), size).names();
}

TEST_CASE("acpi tables: the DSDT nests properly and names the devices") {
  AcpiConfig config;
  auto names = dsdt_names(config);
  for (const char* name : {"_S5_", "_SB_", "PCI0", "_CRS", "_PRT", "_PIC", "COM1", "RTC_", "KBD_"})
    CHECK(names.count(name) == 1);
  CHECK(names.count("COM2") == 0);
  config.serial_ports = 2;
  config.has_keyboard = false;
  names = dsdt_names(config);
  CHECK(names.count("COM2") == 1);
  CHECK(names.count("KBD_") == 0);
  CHECK(names.count("MOU_") == 0);
}

/// Runs a command in a fresh folder that holds dsdt.aml; what it printed.
std::string run_beside(const u8* dsdt, size_t size, const std::string& command) {
  namespace fs = std::filesystem;
  std::string folder = (fs::temp_directory_path() / "penumbra-dsdt-XXXXXX").string();
  REQUIRE(mkdtemp(folder.data()) != nullptr);
  std::ofstream(folder + "/dsdt.aml", std::ios::binary)
      .write(reinterpret_cast<const char*>(dsdt), static_cast<std::streamsize>(size));
  (void)std::system(("cd '" + folder + "' && (" + command + ") > log 2>&1").c_str());
  std::ifstream log(folder + "/log");
  std::string text{std::istreambuf_iterator<char>(log), {}};
  fs::remove_all(folder);
  return text;
}

TEST_CASE("acpi tables: iasl takes the DSDT apart and puts it together without complaint") {
  if (std::system("iasl -v > /dev/null 2>&1") != 0) {
    WARN("iasl is not installed");
    return;
  }
  AcpiConfig config;
  config.serial_ports = 2;
  Reader reader(config);
  u64 dsdt = reader.dsdt();
  size_t size = reader.get<u32>(dsdt + 4);
  std::string log =
      run_beside(reader.at(dsdt, size), size, "iasl -d dsdt.aml && iasl -p again dsdt.dsl");
  CHECK_THAT(log, Catch::Contains("0 Errors, 0 Warnings, 0 Remarks"));
}

TEST_CASE("acpi tables: moving the image moves every pointer") {
  AcpiConfig config;
  config.base = 0xe0000;
  Reader reader(config);
  CHECK(reader.rsdp() == 0xe0000);
  CHECK(reader.dsdt() > 0xe0000);
}

}  // namespace
}  // namespace penumbra::devices
