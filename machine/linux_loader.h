// Direct boot of Linux kernels: bzImage by the x86 boot protocol (2.12 or later), vmlinux by its
// PVH note or its 64-bit entry.
//
// Everything in the files is untrusted: a plan either has all its pieces inside the machine's RAM
// or is not made. A bzImage with XLF_KERNEL_64 starts at its 64-bit entry when the CPU has long
// mode, else at its 32-bit one. The 16-bit setup code is not run. Sources: Documentation/arch/x86/
// boot.rst of Linux; the ELF specification; docs/misc/pvh of Xen.
#pragma once

#include <expected>
#include <span>
#include <string>

#include "machine/load_plan.h"
#include "machine/memory_map.h"

namespace penumbra::machine {

struct BootRequest {
  std::span<const u8> kernel;
  std::span<const u8> initrd;  ///< empty: none
  std::string command_line;
  u64 rsdp = 0;  ///< address of the ACPI root pointer
  bool long_mode = true;
  const MemoryMap& map;
};

/// The error says what is wrong with the kernel, in one line without the file's name.
std::expected<LoadPlan, std::string> plan_linux_boot(const BootRequest& request);

namespace boot {

/// Start of an initrd of `size` bytes as high as possible below `limit`, above `kernel_end`.
std::expected<u64, std::string> initrd_address(u64 size, u64 limit, u64 kernel_end);
/// boot_params with the E820 map, the command line and the initrd; the setup header is the
/// caller's. Adds both, and the initrd, to the plan.
void add_boot_params(LoadPlan& plan, std::vector<u8> params, const BootRequest& request,
                     u64 initrd_at);

std::expected<LoadPlan, std::string> plan_bzimage(const BootRequest& request);
std::expected<LoadPlan, std::string> plan_elf(const BootRequest& request);

}  // namespace boot

}  // namespace penumbra::machine
