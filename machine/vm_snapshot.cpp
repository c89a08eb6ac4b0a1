// Saving, restoring and hashing a machine: the list of its sections, and RAM.
#include <fmt/format.h>

#include "machine/vm.h"

namespace penumbra::machine {

namespace {

constexpr u32 kConfigVersion = 1, kRamVersion = 1, kBootVersion = 1;
constexpr u64 kLargestSection = 16ull << 20;

template <class Field>
std::string differs(const char* what, const Field& saved, const Field& here) {
  return fmt::format("the snapshot was taken with {} {}, this machine has {}", what, saved, here);
}

void serialize(Archive& archive, Vm::SavedConfig& config) {
  archive(config.memory, config.cpu, config.cpu_description, config.clock, config.serial_ports);
}

std::vector<u8> saved_bytes(const StateSection& section) {
  Archive archive = Archive::saver();
  section.serialize(archive);
  return archive.take();
}

std::expected<void, std::string> load(const StateSection& section,
                                      const snapshot::Container& container,
                                      u64 limit = kLargestSection) {
  auto found = container.find(section.name, section.version);
  if (!found) return std::unexpected(found.error());
  auto bytes = snapshot::unpack(**found, limit);
  if (!bytes) return std::unexpected(bytes.error());
  Archive archive = Archive::loader(std::move(*bytes));
  section.serialize(archive);
  if (archive.exhausted()) return {};
  return std::unexpected(fmt::format("its section '{}' makes no sense", section.name));
}

}  // namespace

std::vector<StateSection> Vm::sections() {
  std::vector<StateSection> sections = {
      {"cpu", 2, [this](Archive& archive) { vcpu_->serialize(archive); }},
      {"machine", 1,
       [this](Archive& archive) {
         archive(retired_before_reset_, resets_, reset_wanted_, triple_faults_, entropy_state_,
                 gate_);
         bool a20 = space_->a20();
         archive(a20);
         if (!archive.loading()) return;
         space_->set_a20(a20);
         if (triple_faults_.size() > kTripleFaultsInARow) archive.fail();
       }},
      {"clock", 1, [this](Archive& archive) { archive(*clock_); }},
  };
  for (StateSection& section : board_->sections()) sections.push_back(std::move(section));
  return sections;
}

/// What a reset places again. Not part of the hash: it never changes.
StateSection Vm::boot_section() {
  return {"boot", kBootVersion, [this](Archive& archive) {
            archive(plan_);
            if (archive.loading() && !plan_.valid(map_.memory_end())) archive.fail();
          }};
}

u64 Vm::state_hash() {
  u64 hash = hash_bytes(space_->ram(), space_->ram_bytes());
  for (const StateSection& section : sections()) {
    std::vector<u8> bytes = saved_bytes(section);
    hash = hash_bytes(bytes.data(), bytes.size(), hash);
  }
  return hash;
}

Vm::SavedConfig Vm::described() const {
  SavedConfig config{config_.memory, config_.cpu, model_.description(), config_.clock, 0};
  for (u8 i = 0; i < BoardConfig::kSerialPorts; ++i) {
    if (config_.board.serial[i] != nullptr) config.serial_ports |= static_cast<u8>(1u << i);
  }
  return config;
}

std::expected<void, std::string> Vm::save(const std::string& path) {
  snapshot::Container container;
  SavedConfig config = described();
  Archive archive = Archive::saver();
  serialize(archive, config);
  container.add(snapshot::pack("config", kConfigVersion, archive.data()));
  for (const StateSection& section : sections()) {
    container.add(snapshot::pack(section.name, section.version, saved_bytes(section)));
  }
  container.add(snapshot::pack(boot_section().name, kBootVersion, saved_bytes(boot_section())));
  container.add(snapshot::pack_memory("ram", kRamVersion, {space_->ram(), space_->ram_bytes()}));
  return container.write(path);
}

std::expected<Vm::SavedConfig, std::string> Vm::saved_config(const snapshot::Container& container) {
  SavedConfig config;
  auto result = load(
      {"config", kConfigVersion, [&](Archive& archive) { serialize(archive, config); }}, container);
  if (!result) return std::unexpected(result.error());
  if (config.clock > VirtualClock::Mode::Host) {
    return std::unexpected("its section 'config' makes no sense");
  }
  return config;
}

std::expected<void, std::string> Vm::restore(const snapshot::Container& container) {
  auto saved = saved_config(container);
  if (!saved) return std::unexpected(saved.error());
  SavedConfig here = described();
  if (saved->memory != here.memory) {
    return std::unexpected(differs("MiB of memory:", saved->memory >> 20, here.memory >> 20));
  }
  if (saved->cpu_description != here.cpu_description) {
    return std::unexpected(differs("the CPU", saved->cpu_description, here.cpu_description));
  }
  if (saved->serial_ports != here.serial_ports) {
    return std::unexpected(
        differs("the serial ports (a mask)", saved->serial_ports, here.serial_ports));
  }
  if (saved->clock != here.clock) {
    return std::unexpected("the snapshot was taken with the other kind of --clock");
  }
  if (auto loaded = load(boot_section(), container, config_.memory + kLargestSection); !loaded) {
    return loaded;
  }
  auto ram = container.find("ram", kRamVersion);
  if (!ram) return std::unexpected(ram.error());
  if (!snapshot::unpack_memory(**ram, {space_->ram(), space_->ram_bytes()})) {
    return std::unexpected("its memory does not fit this machine");
  }
  space_->ram_replaced();
  for (const StateSection& section : sections()) {
    if (auto loaded = load(section, container); !loaded) return loaded;
  }
  vcpu_->state_changed();
  retired_at_start_ = retired();
  return {};
}

void Vm::become(Vm& other) {
  PENUMBRA_ASSERT(space_->ram_bytes() == other.space_->ram_bytes());
  for (u64 page = 0; page < space_->ram_bytes(); page += kPageSize) {
    u8* here = space_->ram() + page;
    const u8* there = other.space_->ram() + page;
    if (std::memcmp(here, there, kPageSize) != 0) std::memcpy(here, there, kPageSize);
  }
  space_->ram_replaced();
  std::vector<StateSection> from = other.sections(), to = sections();
  for (size_t i = 0; i < to.size(); ++i) {
    Archive archive = Archive::loader(saved_bytes(from[i]));
    to[i].serialize(archive);
    PENUMBRA_ASSERT(archive.exhausted());
  }
  halted_since_ = other.halted_since_;
  vcpu_->state_changed();
}

}  // namespace penumbra::machine
