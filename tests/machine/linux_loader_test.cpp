#include "machine/linux_loader.h"

#include <catch2/catch.hpp>
#include <random>

#include "machine/boot_params.h"

namespace penumbra::machine {

namespace {

constexpr u64 kMemory = 64ull << 20;

template <class T>
void put(std::vector<u8>& bytes, size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

/// A bzImage with one sector of setup code and `payload` bytes of kernel.
std::vector<u8> bzimage(u32 payload = 4096) {
  std::vector<u8> image(1024 + payload);
  put<u8>(image, SetupHeader::kSetupSects, 1);
  put<u32>(image, SetupHeader::kSysSize, payload / 16);
  put<u16>(image, SetupHeader::kBootFlag, 0xAA55);
  put<u16>(image, SetupHeader::kJump, 0x66eb);
  put<u32>(image, SetupHeader::kHeader, SetupHeader::kMagic);
  put<u16>(image, SetupHeader::kVersion, 0x20f);
  put<u8>(image, SetupHeader::kLoadFlags, SetupHeader::kLoadedHigh);
  put<u32>(image, SetupHeader::kInitrdAddrMax, 0x7fffffff);
  put<u16>(image, SetupHeader::kXloadFlags, SetupHeader::kXlfKernel64);
  put<u32>(image, SetupHeader::kCmdlineSize, 2047);
  put<u64>(image, SetupHeader::kPrefAddress, 0x1000000);
  put<u32>(image, SetupHeader::kInitSize, 0x100000);
  for (u32 i = 0; i < payload; ++i) image[1024 + i] = static_cast<u8>(i * 7);
  return image;
}

struct Segment32 {
  u32 type, offset, virtual_address, physical_address, file_size, memory_size, flags, align;
};
struct Segment64 {
  u32 type, flags;
  u64 offset, virtual_address, physical_address, file_size, memory_size, align;
};

/// An ELF executable whose one segment holds the code at 1 MiB, and a PVH note if wanted.
std::vector<u8> elf(bool is_64, bool pvh) {
  std::vector<u8> image(0x2000);
  std::memcpy(image.data(),
              "\x7f"
              "ELF",
              4);
  image[4] = is_64 ? 2 : 1;
  image[5] = image[6] = 1;
  put<u16>(image, 16, 2);
  put<u16>(image, 18, is_64 ? 62 : 3);
  u16 count = pvh ? 2 : 1;
  if (is_64) {
    put<u64>(image, 24, 0x100010);
    put<u64>(image, 32, 64);
    put<u16>(image, 54, 56);
    put<u16>(image, 56, count);
    put(image, 64, Segment64{1, 5, 0x1000, 0xffffffff80100000, 0x100000, 0x100, 0x1000, 0x1000});
    put(image, 64 + 56, Segment64{4, 4, 0x800, 0, 0, 20, 20, 4});
  } else {
    put<u32>(image, 24, 0x100010);
    put<u32>(image, 28, 52);
    put<u16>(image, 42, 32);
    put<u16>(image, 44, count);
    put(image, 52, Segment32{1, 0x1000, 0xc0100000, 0x100000, 0x100, 0x1000, 5, 0x1000});
    put(image, 52 + 32, Segment32{4, 0x800, 0, 0, 20, 20, 4, 4});
  }
  put<u32>(image, 0x800, 4);
  put<u32>(image, 0x804, 4);
  put<u32>(image, 0x808, StartInfo::kNotePhys32Entry);
  std::memcpy(image.data() + 0x80c, "Xen", 4);
  put<u32>(image, 0x810, 0x100040);
  for (u32 i = 0; i < 0x100; ++i) image[0x1000 + i] = static_cast<u8>(i);
  return image;
}

std::expected<LoadPlan, std::string> plan(const std::vector<u8>& kernel,
                                          const std::vector<u8>& initrd = {},
                                          const std::string& command_line = "console=ttyS0",
                                          u64 memory = kMemory, bool long_mode = true) {
  MemoryMap map(memory);
  return plan_linux_boot({kernel, initrd, command_line, 0xf0000, long_mode, map});
}

const LoadPlan::Piece& piece(const LoadPlan& plan, u64 address) {
  for (const LoadPlan::Piece& p : plan.pieces) {
    if (p.address == address) return p;
  }
  FAIL("no piece at that address");
  return plan.pieces.front();
}

template <class T>
T at(const LoadPlan::Piece& piece, u32 offset) {
  return load_from<T>(piece.bytes.data() + offset);
}

/// Whatever the file says, a plan stays inside RAM and its pieces do not overlap.
void check_sound(const LoadPlan& plan, u64 memory) {
  std::vector<std::pair<u64, u64>> ranges;
  for (const LoadPlan::Piece& p : plan.pieces) {
    u64 size = p.bytes.size() + p.zeros;
    REQUIRE(size >= p.zeros);
    REQUIRE(p.address <= memory);
    REQUIRE(size <= memory - p.address);
    bool in_low = p.address + size <= MemoryMap::kExtendedBios;
    bool in_high = p.address >= MemoryMap::kHighStart;
    REQUIRE((in_low || in_high));
  }
}

}  // namespace

TEST_CASE("a bzImage starts at its 64-bit entry with boot_params in RSI") {
  auto result = plan(bzimage(), {}, "quiet");
  REQUIRE(result);
  CHECK(result->entry.mode == CpuEntry::Mode::Long);
  CHECK(result->entry.rip == 0x1000200);
  CHECK(result->entry.rsi == BootLayout::kBootParams);
  const auto& kernel = piece(*result, 0x1000000);
  CHECK(kernel.bytes.size() == 4096);
  CHECK(kernel.bytes[3] == 21);
  const auto& params = piece(*result, BootLayout::kBootParams);
  REQUIRE(params.bytes.size() == 4096);
  CHECK(at<u32>(params, SetupHeader::kHeader) == SetupHeader::kMagic);
  CHECK(at<u8>(params, SetupHeader::kTypeOfLoader) == 0xff);
  CHECK((at<u8>(params, SetupHeader::kLoadFlags) & SetupHeader::kCanUseHeap) != 0);
  CHECK(at<u32>(params, SetupHeader::kCode32Start) == 0x1000000);
  CHECK(at<u32>(params, SetupHeader::kCmdLinePtr) == BootLayout::kCommandLine);
  CHECK(at<u64>(params, BootParams::kAcpiRsdpAddr) == 0xf0000);
  CHECK(at<u32>(params, SetupHeader::kRamdiskSize) == 0);
  auto e820 = MemoryMap(kMemory).e820();
  REQUIRE(at<u8>(params, BootParams::kE820Entries) == e820.size());
  for (u32 i = 0; i < e820.size(); ++i) {
    CHECK(at<u64>(params, BootParams::kE820Table + 20 * i) == e820[i].start);
    CHECK(at<u64>(params, BootParams::kE820Table + 20 * i + 8) == e820[i].size);
  }
  const auto& line = piece(*result, BootLayout::kCommandLine);
  CHECK(std::string(line.bytes.begin(), line.bytes.end()) == "quiet");
  CHECK(line.zeros == 1);
  check_sound(*result, kMemory);
}

TEST_CASE("the identity map covers 4 GiB and the descriptors are flat") {
  auto result = plan(bzimage());
  REQUIRE(result);
  const auto& tables = piece(*result, BootLayout::kPageTables);
  u64 base = BootLayout::kPageTables;
  REQUIRE(tables.bytes.size() == 6 * 4096);
  for (u64 address : {0ull, 0x7000ull, 0x1000000ull, 0xc0000000ull, 0xffffffffull}) {
    u64 pml4 = at<u64>(tables, 0);
    u64 pdpte = at<u64>(tables, static_cast<u32>(page_of(pml4) - base + (address >> 30) * 8));
    u64 pde =
        at<u64>(tables, static_cast<u32>(page_of(pdpte) - base + ((address >> 21) & 511) * 8));
    CHECK((pml4 & pdpte & pde & 3) == 3);
    CHECK((pde & 0x80) != 0);
    CHECK((pde & ~0x1fffffull) == (address & ~0x1fffffull));
  }
  const auto& gdt = piece(*result, BootLayout::kGdt);
  CHECK(at<u64>(gdt, BootLayout::kCodeSelector) == 0x00af9b000000ffff);
  CHECK(at<u64>(gdt, BootLayout::kDataSelector) == 0x00cf93000000ffff);
}

TEST_CASE("without long mode, or without the flag, a bzImage starts at its 32-bit entry") {
  auto without_cpu = plan(bzimage(), {}, "", kMemory, false);
  REQUIRE(without_cpu);
  CHECK(without_cpu->entry.mode == CpuEntry::Mode::Protected32);
  CHECK(without_cpu->entry.rip == 0x1000000);
  const auto& gdt = piece(*without_cpu, BootLayout::kGdt);
  CHECK(at<u64>(gdt, BootLayout::kCodeSelector) == 0x00cf9b000000ffff);
  auto image = bzimage();
  put<u16>(image, SetupHeader::kXloadFlags, 0);
  CHECK(plan(image)->entry.mode == CpuEntry::Mode::Protected32);
}

TEST_CASE("an initrd lies high, page-aligned, below the kernel's limit") {
  std::vector<u8> initrd(10'000, 0x5a);
  auto result = plan(bzimage(), initrd);
  REQUIRE(result);
  const auto& params = piece(*result, BootLayout::kBootParams);
  u32 address = at<u32>(params, SetupHeader::kRamdiskImage);
  CHECK(address == page_of(kMemory - 10'000));
  CHECK(at<u32>(params, SetupHeader::kRamdiskSize) == 10'000);
  CHECK(piece(*result, address).bytes == initrd);

  auto image = bzimage();
  put<u32>(image, SetupHeader::kInitrdAddrMax, 0x2ffffff);
  auto limited = plan(image, initrd);
  REQUIRE(limited);
  CHECK(at<u32>(piece(*limited, BootLayout::kBootParams), SetupHeader::kRamdiskImage) ==
        page_of(0x3000000 - 10'000));

  std::vector<u8> large(60 << 20);
  CHECK_FALSE(plan(bzimage(), large));
}

TEST_CASE("a kernel needs its memory at its preferred address") {
  auto enough = plan(bzimage(), {}, "", 17ull << 20);
  REQUIRE(enough);
  CHECK(enough->entry.rip == 0x1000200);
  auto small = plan(bzimage(), {}, "", 16ull << 20);
  REQUIRE_FALSE(small);
  CHECK(small.error() == "does not fit into the guest's memory; it wants 17 MiB");
  auto image = bzimage();
  put<u64>(image, SetupHeader::kPrefAddress, 0x80000);
  CHECK_FALSE(plan(image));
}

TEST_CASE("what a bzImage can be wrong about is refused with its reason") {
  auto refused = [](std::vector<u8> image, const char* reason, const std::string& line = "") {
    auto result = plan(image, {}, line);
    CAPTURE(reason);
    REQUIRE_FALSE(result);
    CHECK(result.error().find(reason) != std::string::npos);
    CHECK(result.error().find('\n') == std::string::npos);
  };
  auto changed = [](u32 offset, auto value) {
    auto image = bzimage();
    put(image, offset, value);
    return image;
  };
  refused(changed(SetupHeader::kBootFlag, u16{0}), "boot flag");
  refused(changed(SetupHeader::kVersion, u16{0x20b}), "2.12 or later");
  refused(changed(SetupHeader::kLoadFlags, u8{0}), "zImage");
  refused(changed(SetupHeader::kSysSize, u32{0x10000}), "truncated");
  refused(changed(SetupHeader::kSetupSects, u8{200}), "truncated");
  refused(changed(SetupHeader::kInitSize, u32{0xffffffff}), "does not fit");
  refused(bzimage(), "command line", std::string(2048, 'x'));
  refused({'h', 'e', 'l', 'l', 'o'}, "not a Linux kernel");
  refused({0x1f, 0x8b, 8, 0}, "gzip");
  refused(std::vector<u8>(4096), "not a Linux kernel");
}

TEST_CASE("every truncation of a bzImage is refused or sound") {
  auto image = bzimage(1024);
  for (size_t size = 0; size < image.size() - 16; ++size) {
    CHECK_FALSE(plan({image.begin(), image.begin() + static_cast<long>(size)}));
  }
  CHECK(plan(image));
}

TEST_CASE("an ELF kernel with a PVH note starts in 32-bit mode with start_info in RBX") {
  for (bool is_64 : {false, true}) {
    std::vector<u8> initrd(100, 1);
    auto result = plan(elf(is_64, true), initrd);
    REQUIRE(result);
    CHECK(result->entry.mode == CpuEntry::Mode::Protected32);
    CHECK(result->entry.rip == 0x100040);
    CHECK(result->entry.rbx == BootLayout::kStartInfo);
    const auto& info = piece(*result, BootLayout::kStartInfo);
    CHECK(at<u32>(info, 0) == StartInfo::kMagic);
    CHECK(at<u32>(info, 4) == 1);
    CHECK(at<u32>(info, 12) == 1);
    CHECK(at<u64>(info, 24) == BootLayout::kCommandLine);
    CHECK(at<u64>(info, 32) == 0xf0000);
    u64 modules = at<u64>(info, 16) - BootLayout::kStartInfo;
    CHECK(at<u64>(info, static_cast<u32>(modules) + 8) == 100);
    CHECK(piece(*result, at<u64>(info, static_cast<u32>(modules))).bytes == initrd);
    u64 map = at<u64>(info, 40) - BootLayout::kStartInfo;
    CHECK(at<u32>(info, 48) == MemoryMap(kMemory).e820().size());
    CHECK(at<u64>(info, static_cast<u32>(map) + 8) == MemoryMap::kExtendedBios);
    const auto& segment = piece(*result, 0x100000);
    CHECK(segment.bytes.size() == 0x100);
    CHECK(segment.zeros == 0xf00);
    check_sound(*result, kMemory);
  }
}

TEST_CASE("a 64-bit ELF kernel without the note starts in long mode at its physical entry") {
  auto result = plan(elf(true, false));
  REQUIRE(result);
  CHECK(result->entry.mode == CpuEntry::Mode::Long);
  CHECK(result->entry.rip == 0x100010);
  auto image = elf(true, false);
  put<u64>(image, 24, 0xffffffff80100020);
  CHECK(plan(image)->entry.rip == 0x100020);
  put<u64>(image, 24, 0x300000);
  CHECK_FALSE(plan(image));
  CHECK_FALSE(plan(elf(false, false)));
}

TEST_CASE("every truncation of an ELF kernel is refused or sound") {
  for (bool is_64 : {false, true}) {
    auto image = elf(is_64, true);
    for (size_t size = 0; size <= image.size(); ++size) {
      auto result = plan({image.begin(), image.begin() + static_cast<long>(size)});
      if (result) check_sound(*result, kMemory);
      if (size < 0x1100) CHECK_FALSE(result);
    }
  }
}

TEST_CASE("random damage never leads out of RAM") {
  std::mt19937_64 random(1);
  std::vector<std::vector<u8>> images = {bzimage(1024), elf(false, true), elf(true, true),
                                         elf(true, false)};
  constexpr u32 kInteresting[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffff0, 0x100000};
  for (int round = 0; round < 20'000; ++round) {
    auto image = images[round % images.size()];
    size_t header = round % images.size() == 0 ? 0x280 : 0x820;
    for (int i = 0; i < 3; ++i) {
      size_t offset = random() % (header - 4);
      if (random() % 2) {
        image[offset] = static_cast<u8>(random());
      } else {
        put<u32>(image, offset, kInteresting[random() % std::size(kInteresting)]);
      }
    }
    if (auto result = plan(image, std::vector<u8>(5000))) check_sound(*result, kMemory);
  }
}

}  // namespace penumbra::machine
