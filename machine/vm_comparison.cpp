#include "machine/vm_comparison.h"

#include <fmt/format.h>

#include <algorithm>

#include "machine/cpu_fields.h"

namespace penumbra::machine {

namespace {

std::string hex_of(const u8* bytes, size_t size) {
  return fmt::format("{:02x}", fmt::join(bytes, bytes + size, " "));
}

/// Where two ranges differ first; `size` where they do not.
size_t first_difference(const u8* a, const u8* b, size_t size) {
  return static_cast<size_t>(std::mismatch(a, a + size, b).first - a);
}

std::vector<u8> explicit_flags_bytes(const cpu::CpuState& state) {
  cpu::CpuState copy = with_explicit_flags(state);
  Archive archive = Archive::saver();
  archive(copy);
  return archive.take();
}

}  // namespace

VmComparison::VmComparison(Vm& reference, Vm& subject)
    : reference_{reference, reference.sections()}, subject_{subject, subject.sections()} {
  PENUMBRA_ASSERT(reference_.sections.size() == subject_.sections.size());
  PENUMBRA_ASSERT(reference.memory().ram_bytes() == subject.memory().ram_bytes());
}

/// The CPU's section begins with its state, whose flags are replaced by their values.
std::vector<u8> VmComparison::bytes_of(Side& side, size_t section) {
  Archive archive = Archive::saver();
  side.sections[section].serialize(archive);
  std::vector<u8> bytes = archive.take();
  if (side.sections[section].name != std::string_view("cpu")) return bytes;
  std::vector<u8> state = explicit_flags_bytes(side.vm.vcpu().state());
  PENUMBRA_ASSERT(state.size() <= bytes.size());
  std::ranges::copy(state, bytes.begin());
  return bytes;
}

bool VmComparison::same_state() {
  for (size_t i = 0; i < reference_.sections.size(); ++i) {
    if (bytes_of(reference_, i) != bytes_of(subject_, i)) return false;
  }
  return true;
}

bool VmComparison::same_memory() const {
  return std::memcmp(reference_.vm.memory().ram(), subject_.vm.memory().ram(),
                     reference_.vm.memory().ram_bytes()) == 0;
}

std::vector<Difference> VmComparison::differences() {
  std::vector<Difference> found;
  compare_registers(found);
  compare_sections(found);
  compare_memory(found);
  return found;
}

void VmComparison::compare_registers(std::vector<Difference>& found) {
  std::vector<CpuField> reference = cpu_fields(reference_.vm.vcpu().state());
  std::vector<CpuField> subject = cpu_fields(subject_.vm.vcpu().state());
  for (size_t i = 0; i < reference.size(); ++i) {
    if (reference[i].value == subject[i].value) continue;
    found.push_back({reference[i].name, fmt::format("{:016x}", reference[i].value),
                     fmt::format("{:016x}", subject[i].value)});
  }
}

/// Of the CPU's section only what follows the registers.
void VmComparison::compare_sections(std::vector<Difference>& found) {
  size_t registers = explicit_flags_bytes(reference_.vm.vcpu().state()).size();
  for (size_t i = 0; i < reference_.sections.size(); ++i) {
    std::vector<u8> reference = bytes_of(reference_, i), subject = bytes_of(subject_, i);
    size_t skipped = reference_.sections[i].name == std::string_view("cpu") ? registers : 0;
    size_t common = std::min(reference.size(), subject.size());
    size_t at = skipped + first_difference(reference.data() + skipped, subject.data() + skipped,
                                           common - skipped);
    if (at == common && reference.size() == subject.size()) continue;
    auto shown = [at](const std::vector<u8>& bytes) {
      return hex_of(bytes.data() + at, std::min<size_t>(8, bytes.size() - at));
    };
    found.push_back({fmt::format("{}, byte {}", reference_.sections[i].name, at), shown(reference),
                     shown(subject)});
  }
}

void VmComparison::compare_memory(std::vector<Difference>& found) const {
  const u8* reference = reference_.vm.memory().ram();
  const u8* subject = subject_.vm.memory().ram();
  size_t most = found.size() + kMostPages;
  for (const MemoryMap::Slot& slot : reference_.vm.memory_map().slots()) {
    u64 end = slot.offset + slot.size;
    for (u64 page = slot.offset; page < end && found.size() < most; page += kPageSize) {
      if (std::memcmp(reference + page, subject + page, kPageSize) == 0) continue;
      u64 at = page + first_difference(reference + page, subject + page, kPageSize);
      size_t shown = std::min<u64>(8, page + kPageSize - at);
      found.push_back({fmt::format("memory {:x}", slot.physical + at - slot.offset),
                       hex_of(reference + at, shown), hex_of(subject + at, shown)});
    }
  }
}

}  // namespace penumbra::machine
