#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "machine/boot_params.h"
#include "machine/linux_loader.h"

namespace penumbra::machine::boot {

namespace {

/// One program header, of either class.
struct ProgramHeader {
  static constexpr u32 kLoad = 1, kNote = 4;
  u32 type = 0;
  u64 offset = 0, virtual_address = 0, physical_address = 0, file_size = 0, memory_size = 0;
};

/// An x86 ELF executable, read with bounds.
class Elf {
 public:
  explicit Elf(std::span<const u8> image) : image_(image) {}

  bool is_64() const { return field<u8>(4) == 2; }
  u64 entry() const { return is_64() ? field<u64>(24) : field<u32>(24); }
  /// What is wrong with the file, empty if nothing.
  std::string objection() const;
  std::vector<ProgramHeader> program_headers() const;
  bool holds(u64 offset, u64 size) const {
    return offset <= image_.size() && size <= image_.size() - offset;
  }
  std::span<const u8> bytes(u64 offset, u64 size) const { return image_.subspan(offset, size); }

 private:
  template <class T>
  T field(u64 offset) const {
    return holds(offset, sizeof(T)) ? load_from<T>(image_.data() + offset) : T{};
  }
  u64 headers_at() const { return is_64() ? field<u64>(32) : field<u32>(28); }
  u16 header_bytes() const { return is_64() ? 56 : 32; }
  u16 header_count() const { return field<u16>(is_64() ? 56 : 44); }
  ProgramHeader header(u64 at) const;

  std::span<const u8> image_;
};

std::string Elf::objection() const {
  constexpr u8 kLittleEndian = 1;
  constexpr u16 kExecutable = 2, k386 = 3, kX86_64 = 62;
  if (image_.size() < (is_64() ? 64 : 52)) return "is truncated inside its ELF header";
  if (field<u8>(5) != kLittleEndian || field<u16>(18) != (is_64() ? kX86_64 : k386)) {
    return "is an ELF file for another processor";
  }
  if (field<u16>(16) != kExecutable) return "is an ELF file, but not an executable kernel";
  if (header_count() == 0 || field<u16>(is_64() ? 54 : 42) != header_bytes() ||
      !holds(headers_at(), u64{header_count()} * header_bytes())) {
    return "is damaged: its ELF program headers lie outside the file";
  }
  return {};
}

ProgramHeader Elf::header(u64 at) const {
  if (is_64()) {
    return {field<u32>(at),      field<u64>(at + 8),  field<u64>(at + 16),
            field<u64>(at + 24), field<u64>(at + 32), field<u64>(at + 40)};
  }
  return {field<u32>(at),      field<u32>(at + 4),  field<u32>(at + 8),
          field<u32>(at + 12), field<u32>(at + 16), field<u32>(at + 20)};
}

std::vector<ProgramHeader> Elf::program_headers() const {
  std::vector<ProgramHeader> headers;
  for (u64 i = 0; i < header_count(); ++i) {
    headers.push_back(header(headers_at() + i * header_bytes()));
  }
  return headers;
}

/// The entry of a PVH note in `notes`: name "Xen", type PHYS32_ENTRY.
std::optional<u32> pvh_entry(std::span<const u8> notes) {
  auto padded = [](u64 size) { return (size + 3) & ~u64{3}; };
  while (notes.size() >= 12) {
    u64 name_size = padded(load_from<u32>(notes.data()));
    u64 data_size = padded(load_from<u32>(notes.data() + 4));
    u32 type = load_from<u32>(notes.data() + 8);
    notes = notes.subspan(12);
    if (name_size > notes.size() || data_size > notes.size() - name_size) break;
    bool xen = name_size == 4 && std::memcmp(notes.data(), "Xen", 4) == 0;
    if (xen && type == StartInfo::kNotePhys32Entry && data_size >= 4) {
      return load_from<u32>(notes.data() + name_size);
    }
    notes = notes.subspan(name_size + data_size);
  }
  return std::nullopt;
}

std::optional<u32> pvh_entry(const Elf& elf) {
  for (const ProgramHeader& header : elf.program_headers()) {
    if (header.type != ProgramHeader::kNote || !elf.holds(header.offset, header.file_size))
      continue;
    if (auto entry = pvh_entry(elf.bytes(header.offset, header.file_size))) return entry;
  }
  return std::nullopt;
}

/// Adds what is to be loaded; the end of the highest segment.
std::expected<u64, std::string> add_segments(LoadPlan& plan, const Elf& elf, u64 memory_end) {
  u64 end = 0;
  for (const ProgramHeader& header : elf.program_headers()) {
    if (header.type != ProgramHeader::kLoad || header.memory_size == 0) continue;
    u64 at = header.physical_address;
    if (header.file_size > header.memory_size || !elf.holds(header.offset, header.file_size)) {
      return std::unexpected("is truncated: a segment lies outside the file");
    }
    if (at < MemoryMap::kHighStart || at > memory_end || header.memory_size > memory_end - at) {
      return std::unexpected(fmt::format(
          "has a segment at {:#x} that does not fit into the guest's memory above 1 MiB", at));
    }
    std::span<const u8> bytes = elf.bytes(header.offset, header.file_size);
    plan.add(at, {bytes.begin(), bytes.end()}, header.memory_size - header.file_size);
    end = std::max(end, at + header.memory_size);
  }
  if (end == 0) return std::unexpected("is an ELF file without anything to load");
  return end;
}

/// The physical address of the ELF entry, which some linkers give as a virtual one.
std::optional<u64> physical_entry(const Elf& elf) {
  auto inside = [&](u64 start, u64 size) { return elf.entry() - start < size; };
  for (const ProgramHeader& header : elf.program_headers()) {
    if (header.type != ProgramHeader::kLoad) continue;
    if (inside(header.physical_address, header.memory_size)) return elf.entry();
    if (inside(header.virtual_address, header.memory_size)) {
      return elf.entry() - header.virtual_address + header.physical_address;
    }
  }
  return std::nullopt;
}

class Words {
 public:
  template <class T>
  Words& put(T value) {
    auto* begin = reinterpret_cast<const u8*>(&value);
    bytes_.insert(bytes_.end(), begin, begin + sizeof value);
    return *this;
  }
  std::vector<u8> take() { return std::move(bytes_); }

 private:
  std::vector<u8> bytes_;
};

/// start_info, its one module (the initrd) and the memory map, one after the other.
void add_start_info(LoadPlan& plan, const BootRequest& request, u64 initrd_at) {
  u64 modules = BootLayout::kStartInfo + StartInfo::kBytes;
  u64 memory_map = modules + StartInfo::kModuleBytes;
  auto e820 = request.map.e820();
  Words words;
  words.put(StartInfo::kMagic).put(u32{1}).put(u32{0}).put(u32{!request.initrd.empty()});
  words.put(modules).put(u64{BootLayout::kCommandLine}).put(request.rsdp);
  words.put(memory_map).put(static_cast<u32>(e820.size())).put(u32{0});
  words.put(initrd_at).put(u64{request.initrd.size()}).put(u64{0}).put(u64{0});
  for (const MemoryMap::Range& range : e820) {
    words.put(range.start).put(range.size).put(static_cast<u32>(range.kind)).put(u32{0});
  }
  plan.add(BootLayout::kStartInfo, words.take());
}

std::vector<u8> blank_boot_params() {
  std::vector<u8> params(BootParams::kBytes);
  auto put = [&](u32 offset, auto value) {
    std::memcpy(params.data() + offset, &value, sizeof value);
  };
  put(SetupHeader::kBootFlag, SetupHeader::kBootFlagValue);
  put(SetupHeader::kHeader, SetupHeader::kMagic);
  put(SetupHeader::kVersion, SetupHeader::kOldestVersion);
  put(SetupHeader::kLoadFlags, SetupHeader::kLoadedHigh);
  return params;
}

}  // namespace

std::expected<LoadPlan, std::string> plan_elf(const BootRequest& request) {
  Elf elf(request.kernel);
  if (std::string what = elf.objection(); !what.empty()) return std::unexpected(what);
  LoadPlan plan;
  u64 memory_end = request.map.below_hole();
  auto kernel_end = add_segments(plan, elf, memory_end);
  if (!kernel_end) return std::unexpected(kernel_end.error());
  auto initrd_at = initrd_address(request.initrd.size(), memory_end, *kernel_end);
  if (!initrd_at) return std::unexpected(initrd_at.error());
  if (request.command_line.size() >= BootLayout::kCommandLineRoom) {
    return std::unexpected("takes a command line of at most 65535 bytes");
  }
  auto pvh = pvh_entry(elf);
  auto entry = physical_entry(elf);
  if (!pvh && (!elf.is_64() || !request.long_mode)) {
    return std::unexpected("is an ELF file without a PVH entry, which a 32-bit start needs");
  }
  if (!pvh && !entry) return std::unexpected("is damaged: its entry lies outside its segments");
  plan.entry.mode = pvh ? CpuEntry::Mode::Protected32 : CpuEntry::Mode::Long;
  plan.entry.rip = pvh ? *pvh : *entry;
  plan.entry.rsi = BootLayout::kBootParams;
  plan.entry.rbx = BootLayout::kStartInfo;
  add_cpu_tables(plan, plan.entry.mode);
  add_boot_params(plan, blank_boot_params(), request, *initrd_at);
  add_start_info(plan, request, *initrd_at);
  return plan;
}

}  // namespace penumbra::machine::boot
