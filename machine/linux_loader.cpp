#include "machine/linux_loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "machine/boot_params.h"

namespace penumbra::machine {

namespace {

template <class T>
void put(std::vector<u8>& bytes, u32 offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

bool starts_with(std::span<const u8> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

bool has_setup_header(std::span<const u8> image) {
  return image.size() >= SetupHeader::kVersion &&
         load_from<u32>(image.data() + SetupHeader::kHeader) == SetupHeader::kMagic;
}

std::string unknown_type(std::span<const u8> image) {
  if (starts_with(image, "\x1f\x8b")) return "is gzip data; give the unpacked kernel";
  if (starts_with(image, std::string_view("\xfd"
                                          "7zXZ\0",
                                          6))) {
    return "is xz data; give the unpacked kernel";
  }
  if (starts_with(image, "\x28\xb5\x2f\xfd")) return "is zstd data; give the unpacked kernel";
  if (starts_with(image, "!<arch>\n")) return "is a package or archive; unpack it first";
  return "is not a Linux kernel (neither a bzImage nor an x86 ELF file)";
}

}  // namespace

std::expected<LoadPlan, std::string> plan_linux_boot(const BootRequest& request) {
  if (starts_with(request.kernel,
                  "\x7f"
                  "ELF"))
    return boot::plan_elf(request);
  if (has_setup_header(request.kernel)) return boot::plan_bzimage(request);
  return std::unexpected(unknown_type(request.kernel));
}

namespace boot {

std::expected<u64, std::string> initrd_address(u64 size, u64 limit, u64 kernel_end) {
  if (size == 0) return 0;
  u64 room = limit > kernel_end ? limit - kernel_end : 0;
  if (size > room || page_of(limit - size) < kernel_end) {
    return std::unexpected(
        fmt::format("the initrd ({} bytes) does not fit into memory above the kernel", size));
  }
  return page_of(limit - size);
}

void add_boot_params(LoadPlan& plan, std::vector<u8> params, const BootRequest& request,
                     u64 initrd_at) {
  u64 size = request.initrd.size();
  put<u8>(params, SetupHeader::kTypeOfLoader, SetupHeader::kUndefinedLoader);
  put<u16>(params, SetupHeader::kVidMode, 0xffff);
  put<u32>(params, SetupHeader::kRamdiskImage, static_cast<u32>(initrd_at));
  put<u32>(params, BootParams::kExtRamdiskImage, static_cast<u32>(initrd_at >> 32));
  put<u32>(params, SetupHeader::kRamdiskSize, static_cast<u32>(size));
  put<u32>(params, BootParams::kExtRamdiskSize, static_cast<u32>(size >> 32));
  put<u32>(params, SetupHeader::kCmdLinePtr, u32{BootLayout::kCommandLine});
  put<u64>(params, BootParams::kAcpiRsdpAddr, request.rsdp);
  u32 entries = 0;
  for (const MemoryMap::Range& range : request.map.e820()) {
    u32 at = BootParams::kE820Table + entries++ * BootParams::kE820EntryBytes;
    put<u64>(params, at, range.start);
    put<u64>(params, at + 8, range.size);
    put<u32>(params, at + 16, static_cast<u32>(range.kind));
  }
  put<u8>(params, BootParams::kE820Entries, static_cast<u8>(entries));
  plan.add(BootLayout::kBootParams, std::move(params));
  const std::string& line = request.command_line;
  plan.add(BootLayout::kCommandLine, {line.begin(), line.end()}, 1);
  if (size != 0) plan.add(initrd_at, {request.initrd.begin(), request.initrd.end()});
}

namespace {

/// The setup header of a bzImage, read with bounds: fields past the file's end are zero.
class BzImage {
 public:
  explicit BzImage(std::span<const u8> image) : image_(image) {}

  template <class T>
  T field(u32 offset) const {
    return offset + sizeof(T) <= image_.size() ? load_from<T>(image_.data() + offset) : T{};
  }
  u16 version() const { return field<u16>(SetupHeader::kVersion); }
  /// boot.rst: "for backwards compatibility, if the setup_sects field contains 0, the real value
  /// is 4".
  u64 setup_bytes() const {
    u8 sectors = field<u8>(SetupHeader::kSetupSects);
    return (u64{sectors == 0 ? u8{4} : sectors} + 1) * 512;
  }
  std::span<const u8> payload() const { return image_.subspan(setup_bytes()); }
  /// Bytes of the protected-mode code as the header states them.
  u64 stated_payload() const { return u64{field<u32>(SetupHeader::kSysSize)} * 16; }
  u64 memory_needed() const {
    return std::max<u64>(field<u32>(SetupHeader::kInitSize), payload().size());
  }
  bool starts_in_long_mode() const {
    return field<u16>(SetupHeader::kXloadFlags) & SetupHeader::kXlfKernel64;
  }

  /// What is wrong with the file, empty if nothing.
  std::string objection() const;
  /// boot_params holding the header: from 1F1h to where the jump at 200h leads.
  std::vector<u8> boot_params() const;
  /// Where in [1 MiB, end) the kernel goes.
  std::optional<u64> load_address(u64 end) const;

 private:
  std::span<const u8> image_;
};

std::string BzImage::objection() const {
  if (image_.size() <= SetupHeader::kInitSize + 4) return "is truncated inside its setup header";
  if (field<u16>(SetupHeader::kBootFlag) != SetupHeader::kBootFlagValue) {
    return "is damaged: its boot flag is missing";
  }
  if (version() < SetupHeader::kOldestVersion) {
    return fmt::format("speaks boot protocol {}.{:02}; 2.12 or later is needed", version() >> 8,
                       version() & 0xff);
  }
  if (!(field<u8>(SetupHeader::kLoadFlags) & SetupHeader::kLoadedHigh)) {
    return "is a zImage that loads low; only bzImages are supported";
  }
  // The stated size is rounded up to 16 bytes.
  if (image_.size() <= setup_bytes() + 0x200 || payload().size() + 16 < stated_payload()) {
    return "is truncated: the file ends before the kernel does";
  }
  return {};
}

std::vector<u8> BzImage::boot_params() const {
  std::vector<u8> params(BootParams::kBytes);
  u64 end = SetupHeader::kHeader + u64{field<u8>(SetupHeader::kJump + 1)};
  end = std::min<u64>({end, SetupHeader::kEnd, image_.size()});
  std::memcpy(params.data() + SetupHeader::kStart, image_.data() + SetupHeader::kStart,
              end > SetupHeader::kStart ? end - SetupHeader::kStart : 0);
  return params;
}

/// The preferred address. Lower ones are of no use even to a relocatable kernel: it moves itself up
/// to that address when it unpacks itself (arch/x86/boot/compressed/head_64.S).
std::optional<u64> BzImage::load_address(u64 end) const {
  u64 address = field<u64>(SetupHeader::kPrefAddress);
  bool fits = address >= MemoryMap::kHighStart && address < end && memory_needed() <= end - address;
  return fits ? std::optional(address) : std::nullopt;
}

std::string too_small(const BzImage& image) {
  u64 top = image.field<u64>(SetupHeader::kPrefAddress) + image.memory_needed();
  return fmt::format("does not fit into the guest's memory; it wants {} MiB",
                     (top + (1 << 20) - 1) >> 20);
}

}  // namespace

std::expected<LoadPlan, std::string> plan_bzimage(const BootRequest& request) {
  BzImage image(request.kernel);
  if (std::string what = image.objection(); !what.empty()) return std::unexpected(what);
  u64 memory_end = request.map.below_hole();
  auto address = image.load_address(memory_end);
  if (!address) return std::unexpected(too_small(image));
  u64 longest =
      std::min<u64>(image.field<u32>(SetupHeader::kCmdlineSize), BootLayout::kCommandLineRoom - 1);
  if (request.command_line.size() > longest) {
    return std::unexpected(fmt::format("takes a command line of at most {} bytes", longest));
  }
  u64 limit = u64{image.field<u32>(SetupHeader::kInitrdAddrMax)} + 1;
  auto initrd_at = initrd_address(request.initrd.size(), std::min(limit, memory_end),
                                  *address + image.memory_needed());
  if (!initrd_at) return std::unexpected(initrd_at.error());

  bool is_long = request.long_mode && image.starts_in_long_mode();
  LoadPlan plan;
  plan.entry.mode = is_long ? CpuEntry::Mode::Long : CpuEntry::Mode::Protected32;
  plan.entry.rip = *address + (is_long ? 0x200 : 0);
  plan.entry.rsi = BootLayout::kBootParams;
  std::vector<u8> params = image.boot_params();
  put<u8>(params, SetupHeader::kLoadFlags,
          image.field<u8>(SetupHeader::kLoadFlags) | SetupHeader::kCanUseHeap);
  put<u16>(params, SetupHeader::kHeapEndPtr, 0xfe00);
  put<u32>(params, SetupHeader::kCode32Start, static_cast<u32>(*address));
  add_cpu_tables(plan, plan.entry.mode);
  add_boot_params(plan, std::move(params), request, *initrd_at);
  plan.add(*address, {image.payload().begin(), image.payload().end()});
  return plan;
}

}  // namespace boot

}  // namespace penumbra::machine
