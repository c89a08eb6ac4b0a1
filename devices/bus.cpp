#include "devices/bus.h"

#include <algorithm>

namespace penumbra::devices {

namespace {

constexpr u64 kPorts = 0x10000;

u64 mask_of(u32 size) { return size >= 8 ? ~0ull : (1ull << (8 * size)) - 1; }

}  // namespace

Bus::Bus(Space space) : space_(space) {
  if (space == Space::Port) port_table_.assign(kPorts, 0);
}

bool Bus::fits(u64 base, u64 size) const {
  if (size == 0 || base + (size - 1) < base) return false;
  if (space_ == Space::Port && (base >= kPorts || size > kPorts - base)) return false;
  return std::none_of(mappings_.begin(), mappings_.end(), [&](const Mapping& other) {
    return base <= other.base + (other.size - 1) && other.base <= base + (size - 1);
  });
}

bool Bus::map(u64 base, u64 size, BusDevice& device, AccessSizes sizes) {
  if (!fits(base, size)) return false;
  auto after = std::find_if(mappings_.begin(), mappings_.end(),
                            [&](const Mapping& other) { return other.base > base; });
  mappings_.insert(after, Mapping{base, size, &device, sizes});
  rebuild();
  return true;
}

bool Bus::unmap(u64 base) {
  auto removed = std::erase_if(mappings_, [&](const Mapping& m) { return m.base == base; });
  if (removed) rebuild();
  return removed != 0;
}

bool Bus::remap(u64 base, u64 new_base) {
  auto found = std::find_if(mappings_.begin(), mappings_.end(),
                            [&](const Mapping& m) { return m.base == base; });
  if (found == mappings_.end()) return false;
  Mapping moved = *found;
  unmap(base);
  u64 place = fits(new_base, moved.size) ? new_base : base;
  return map(place, moved.size, *moved.device, moved.sizes) && place == new_base;
}

void Bus::rebuild() {
  last_ = 0;
  if (space_ != Space::Port) return;
  std::fill(port_table_.begin(), port_table_.end(), u16{0});
  for (size_t i = 0; i < mappings_.size(); ++i) {
    auto first = port_table_.begin() + static_cast<i64>(mappings_[i].base);
    std::fill_n(first, mappings_[i].size, static_cast<u16>(i + 1));
  }
}

const Bus::Mapping* Bus::find(u64 address) {
  if (space_ == Space::Port) {
    u16 index = address < kPorts ? port_table_[address] : 0;
    return index ? &mappings_[index - 1] : nullptr;
  }
  if (last_ < mappings_.size() && mappings_[last_].contains(address)) return &mappings_[last_];
  auto after = std::upper_bound(mappings_.begin(), mappings_.end(), address,
                                [](u64 wanted, const Mapping& m) { return wanted < m.base; });
  if (after == mappings_.begin() || !std::prev(after)->contains(address)) return nullptr;
  last_ = static_cast<size_t>(std::prev(after) - mappings_.begin());
  return &mappings_[last_];
}

bool Bus::is_mapped(u64 address) { return find(address) != nullptr; }

u64 Bus::read(u64 address, u32 size) {
  const Mapping* mapping = find(address);
  if (mapping && mapping->takes(address, size)) [[likely]]
    return mapping->device->read(address - mapping->base, size) & mask_of(size);
  return read_pieces(address, size);
}

void Bus::write(u64 address, u32 size, u64 value) {
  const Mapping* mapping = find(address);
  if (mapping && mapping->takes(address, size)) [[likely]]
    return mapping->device->write(address - mapping->base, size, value & mask_of(size));
  write_pieces(address, size, value);
}

/// The largest size that `mapping` takes at `address` within `remaining` bytes; 0 if none.
u32 Bus::piece(const Mapping& mapping, u64 address, u32 remaining) const {
  for (u32 size = 8; size != 0; size /= 2)
    if (size <= remaining && mapping.takes(address, size)) return size;
  return 0;
}

u64 Bus::read_pieces(u64 address, u32 size) {
  u64 value = 0;
  for (u32 done = 0; done < size;) {
    u64 at = address + done;
    const Mapping* mapping = find(at);
    u32 bytes = mapping ? piece(*mapping, at, size - done) : 1;
    u64 part = 0xff;
    if (mapping && bytes != 0) {
      part = mapping->device->read(at - mapping->base, bytes) & mask_of(bytes);
    } else if (mapping) {
      bytes = 1;
      u64 aligned = at & ~3ull;
      if (mapping->contains(aligned) && mapping->takes(aligned, 4))
        part = (mapping->device->read(aligned - mapping->base, 4) >> (8 * (at - aligned))) & 0xff;
    }
    value |= part << (8 * done);
    done += bytes;
  }
  return value;
}

void Bus::write_pieces(u64 address, u32 size, u64 value) {
  for (u32 done = 0; done < size;) {
    u64 at = address + done;
    const Mapping* mapping = find(at);
    u32 bytes = mapping ? piece(*mapping, at, size - done) : 0;
    if (bytes != 0)
      mapping->device->write(at - mapping->base, bytes, (value >> (8 * done)) & mask_of(bytes));
    done += bytes != 0 ? bytes : 1;
  }
}

}  // namespace penumbra::devices
