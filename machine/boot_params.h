// The layouts that the Linux x86 boot protocol fixes (Documentation/arch/x86/boot.rst and
// zero-page.rst), and where direct boot puts its own pieces in low memory.
#pragma once

#include "common/types.h"

namespace penumbra::machine {

/// Offsets in a bzImage, which are also those of the setup header inside boot_params.
struct SetupHeader {
  static constexpr u32 kStart = 0x1f1;
  static constexpr u32 kSetupSects = 0x1f1, kSysSize = 0x1f4, kVidMode = 0x1fa, kBootFlag = 0x1fe,
                       kJump = 0x200, kHeader = 0x202, kVersion = 0x206, kTypeOfLoader = 0x210,
                       kLoadFlags = 0x211, kCode32Start = 0x214, kRamdiskImage = 0x218,
                       kRamdiskSize = 0x21c, kHeapEndPtr = 0x224, kCmdLinePtr = 0x228,
                       kInitrdAddrMax = 0x22c, kXloadFlags = 0x236, kCmdlineSize = 0x238,
                       kPrefAddress = 0x258, kInitSize = 0x260;
  static constexpr u32 kEnd = 0x290;  ///< of the room for it in boot_params

  static constexpr u16 kBootFlagValue = 0xAA55;
  static constexpr u32 kMagic = 0x53726448;  ///< "HdrS"
  static constexpr u16 kOldestVersion = 0x20c;
  static constexpr u8 kLoadedHigh = 1, kCanUseHeap = 0x80;
  static constexpr u16 kXlfKernel64 = 1;
  static constexpr u8 kUndefinedLoader = 0xff;
};

/// Offsets in boot_params, "the zero page".
struct BootParams {
  static constexpr u32 kBytes = 4096;
  static constexpr u32 kAcpiRsdpAddr = 0x70, kExtRamdiskImage = 0xc0, kExtRamdiskSize = 0xc4,
                       kExtCmdLinePtr = 0xc8, kE820Entries = 0x1e8, kE820Table = 0x2d0;
  static constexpr u32 kE820EntryBytes = 20, kMostE820 = 128;
};

/// Low memory used before the kernel sets up its own.
struct BootLayout {
  static constexpr u64 kGdt = 0x1000, kStartInfo = 0x6000, kBootParams = 0x7000,
                       kPageTables = 0x9000, kCommandLine = 0x20000;
  static constexpr u32 kCommandLineRoom = 0x10000;
  /// Selectors that the boot protocol demands.
  static constexpr u16 kCodeSelector = 0x10, kDataSelector = 0x18, kTaskSelector = 0x20;
};

/// PVH start_info (Xen public/arch-x86/hvm/start_info.h), version 1.
struct StartInfo {
  static constexpr u32 kMagic = 0x336ec578;
  static constexpr u32 kBytes = 56, kModuleBytes = 32, kMemoryEntryBytes = 24;
  static constexpr u32 kNotePhys32Entry = 18;  ///< XEN_ELFNOTE_PHYS32_ENTRY
};

}  // namespace penumbra::machine
