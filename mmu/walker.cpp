#include "mmu/walker.h"

namespace penumbra::mmu {
namespace {

u64 load_entry(const u8* host, u8 bytes) {
  if (bytes == 4) return __atomic_load_n(reinterpret_cast<const u32*>(host), __ATOMIC_RELAXED);
  return __atomic_load_n(reinterpret_cast<const u64*>(host), __ATOMIC_RELAXED);
}

template <class T>
bool exchange_entry(u8* host, u64 old_value, u64 new_value) {
  T expected = static_cast<T>(old_value);
  return __atomic_compare_exchange_n(reinterpret_cast<T*>(host), &expected,
                                     static_cast<T>(new_value), false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED);
}

/// Takes the entry behind the last into the walk; true when it ends the walk.
bool take(const PagingMode& mode, Walk& walk) {
  const TableEntry& entry = walk.entries[walk.count++];
  bool present = entry.value & Entry::kPresent;
  if (!present || (entry.value & mode.reserved(entry.level, entry.value))) {
    walk.end = present ? Walk::End::Reserved : Walk::End::NotPresent;
    return true;
  }
  walk.rights = walk.rights.with(entry.value);
  if (!mode.is_leaf(entry.level, entry.value)) return false;
  walk.end = Walk::End::Mapped;
  walk.leaf_shift = static_cast<u8>(mode.shift(entry.level));
  walk.frame = mode.leaf_frame(entry.level, entry.value);
  if (mode.keys) walk.rights.key = static_cast<u8>(Entry::Key::get(entry.value));
  return true;
}

}  // namespace

TableEntry Walker::read_entry(const PagingMode& mode, u64 table, u64 index, u8 level) const {
  u64 offset = index * mode.entry_bytes;
  Location location = memory_.locate(table + offset);
  u64 value = mode.entry_bytes == 4 ? 0xffffffff : ~0ull;
  if (location.host) value = load_entry(location.host, mode.entry_bytes);
  return {value, location.page, static_cast<u16>(offset), level, location.rom};
}

void Walker::walk(const PagingMode& mode, const Root& root, u64 linear, Walk& walk) const {
  if (mode.kind == PagingKind::Off) {
    walk.end = Walk::End::Mapped;
    walk.frame = page_of(linear);
    return;
  }
  u64 table = root.value[0];
  if (mode.kind == PagingKind::Pae) {
    table = root.value[Bits<31, 30>::get(linear)];
    if (!(table & Entry::kPresent)) return;
    walk.end = Walk::End::Reserved;
    if (table & PagingMode::reserved_pdpte()) return;
  }
  for (unsigned level = mode.levels;; --level) {
    u64 index = (linear >> mode.shift(level)) & ((1u << mode.index_bits) - 1);
    TableEntry& entry = walk.entries[walk.count];
    entry = read_entry(mode, table & kFrameMask, index, static_cast<u8>(level));
    if (take(mode, walk)) return;
    table = entry.value;
  }
}

void Walker::walk_leaf(const PagingMode& mode, const TableEntry& leaf, u16 offset, Rights upper,
                       Walk& walk) const {
  walk.rights = upper;
  walk.from_leaf = true;
  u64 value = load_entry(memory_.page_host(leaf.page) + offset, mode.entry_bytes);
  walk.entries[0] = {value, leaf.page, offset, leaf.level, leaf.rom};
  take(mode, walk);
}

bool Walker::set_flags(const PagingMode& mode, Walk& walk, bool write) {
  for (u8 i = 0; i < walk.count; ++i) {
    bool leaf = i + 1 == walk.count;
    u64 wanted = Entry::kAccessed | (leaf && write ? Entry::kDirty : 0);
    if ((walk.entries[i].value & wanted) == wanted) continue;
    if (!set_entry_flags(mode, walk.entries[i], wanted)) return false;
  }
  return true;
}

bool Walker::set_entry_flags(const PagingMode& mode, TableEntry& entry, u64 wanted) {
  if (entry.page == kNoPage || entry.rom) return true;
  u8* host = memory_.page_host(entry.page) + entry.offset;
  u64 value = entry.value | wanted;
  bool exchanged = mode.entry_bytes == 4 ? exchange_entry<u32>(host, entry.value, value)
                                         : exchange_entry<u64>(host, entry.value, value);
  if (!exchanged) return false;
  entry.value = value;
  memory_.note_store(entry.page, entry.offset, mode.entry_bytes);
  return true;
}

Fault page_fault(const PagingMode& mode, const Walk& walk, u64 linear, Access access,
                 Requester requester) {
  u32 code = 0;
  if (walk.end != Walk::End::NotPresent) code |= PageFaultCode::kPresent;
  if (walk.end == Walk::End::Reserved) code |= PageFaultCode::kReserved;
  if (access == Access::Write) code |= PageFaultCode::kWrite;
  if (requester == Requester::User) code |= PageFaultCode::kUser;
  if (access == Access::Execute && (mode.no_execute || mode.smep)) code |= PageFaultCode::kFetch;
  if (walk.mapped() && key_denied(mode, walk.rights, access, requester))
    code |= PageFaultCode::kKey;
  return Fault::page(linear, code);
}

}  // namespace penumbra::mmu
