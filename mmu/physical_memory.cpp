#include "mmu/physical_memory.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "mmu/mmu.h"

namespace penumbra::mmu {
namespace {

constexpr u64 kPhysicalSize = 1ull << kPhysicalBits;

bool page_aligned(u64 value) { return (value & kPageMask) == 0; }

}  // namespace

PhysicalMemory::~PhysicalMemory() {
  if (ram_) ::munmap(ram_, ram_bytes_);
}

std::expected<void, std::string> PhysicalMemory::allocate(u64 ram_bytes) {
  constexpr u64 kMost = u64{kNoPage} * kPageSize;
  if (ram_bytes == 0 || !page_aligned(ram_bytes) || ram_bytes > kMost)
    return std::unexpected(fmt::format("guest memory of {} bytes is not possible", ram_bytes));
  int file = ::memfd_create("guest-ram", MFD_CLOEXEC);
  void* bytes = MAP_FAILED;
  if (file >= 0 && ::ftruncate(file, static_cast<off_t>(ram_bytes)) == 0)
    bytes = ::mmap(nullptr, ram_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
  int error = errno;
  if (file >= 0) ::close(file);
  if (bytes == MAP_FAILED)
    return std::unexpected(fmt::format("the host refuses {} bytes of guest memory: {}", ram_bytes,
                                       std::strerror(error)));
  ram_ = static_cast<u8*>(bytes);
  ram_bytes_ = ram_bytes;
  flags_ = MappedArray<u8>(ram_pages());
  code_ = CodeBytes(ram_bytes);
  table_users_ = MappedArray<u32>(ram_pages());
  return {};
}

void PhysicalMemory::map(u64 physical, u64 size, u64 offset, AddressSpace::SlotKind kind) {
  PENUMBRA_ASSERT(page_aligned(physical | size | offset));
  PENUMBRA_ASSERT(physical <= kPhysicalSize && size <= kPhysicalSize - physical);
  PENUMBRA_ASSERT(offset <= ram_bytes_ && size <= ram_bytes_ - offset);
  notify_remapped(physical, size);
  forget_slots(physical, size);
  if (size) slots_.push_back({physical, size, offset, kind == AddressSpace::SlotKind::Rom});
  std::ranges::sort(slots_, std::ranges::greater{}, &Slot::size);
  drop_everything();
}

void PhysicalMemory::unmap(u64 physical, u64 size) {
  PENUMBRA_ASSERT(page_aligned(physical | size));
  PENUMBRA_ASSERT(physical <= kPhysicalSize && size <= kPhysicalSize - physical);
  notify_remapped(physical, size);
  forget_slots(physical, size);
  drop_everything();
}

/// Cuts [physical, physical + size) out of the list of slots.
void PhysicalMemory::forget_slots(u64 physical, u64 size) {
  std::vector<Slot> kept;
  for (const Slot& slot : slots_) {
    u64 end = slot.physical + slot.size, cut_end = physical + size;
    if (slot.physical < physical)
      kept.push_back(
          {slot.physical, std::min(end, physical) - slot.physical, slot.offset, slot.rom});
    if (end > cut_end) {
      u64 from = std::max(cut_end, slot.physical);
      kept.push_back({from, end - from, slot.offset + (from - slot.physical), slot.rom});
    }
  }
  slots_ = std::move(kept);
}

/// Code at these physical addresses is about to become something else.
void PhysicalMemory::notify_remapped(u64 physical, u64 size) {
  if (!observer_) return;
  std::vector<Slot> slots = slots_;
  for (const Slot& slot : slots) {
    u64 first = std::max(physical, slot.physical);
    u64 last = std::min(physical + size, slot.physical + slot.size);
    for (u64 at = first; at < last; at += kPageSize)
      if (Location old = locate(at); old.host && has_flag(old.page, kCode))
        observer_->code_written({at}, kPageSize);
  }
}

void PhysicalMemory::set_a20(bool enabled) {
  u64 wanted = enabled ? ~0ull : ~bit(20);
  if (a20_mask_ == wanted) return;
  a20_mask_ = wanted;
  drop_everything();
}

void PhysicalMemory::ram_replaced() {
  drop_everything();
  for (u64 page = 0; page < ram_pages(); ++page)
    if (flags_[page]) note_store(static_cast<RamPage>(page), 0, kPageSize);
}

void PhysicalMemory::drop_everything() {
  for (ShadowListener* listener : listeners_) listener->drop_everything();
}

void PhysicalMemory::set_flag(RamPage page, Flag flag) {
  bool was_plain = plain(page);
  flags_[page] |= flag;
  if (!was_plain) return;
  for (ShadowListener* listener : listeners_) listener->drop_writers(page);
}

// -- stores --------------------------------------------------------------------------------------

void PhysicalMemory::store(RamPage page, u32 offset, const void* in, u32 size) {
  if (has_flag(page, kTable)) {
    store_to_table(page, offset, in, size);
  } else {
    copy_bytes(page_host(page) + offset, in, size);
  }
  note_store(page, offset, size);
}

void PhysicalMemory::store_to_table(RamPage page, u32 offset, const void* in, u32 size) {
  alignas(8) u8 old[kPageSize];
  u32 first = offset & ~7u, end = (offset + size + 7) & ~7u;
  u8* host = page_host(page);
  copy_bytes(old, host + first, end - first);
  copy_bytes(host + offset, in, size);
  for (ShadowListener* listener : listeners_) listener->table_written(page, offset, size, old);
}

void PhysicalMemory::note_store(RamPage page, u32 offset, u32 size) {
  mark_dirty(page);
  if (has_flag(page, kCode) && code_.any(in_file(page, offset), size))
    notify_code(page, offset, size);
}

bool PhysicalMemory::bulk_writable(RamPage page, u32 offset, u32& length) {
  mark_dirty(page);
  if (has_flag(page, kTable))
    for (ShadowListener* listener : listeners_) listener->retire_table(page);
  if (!has_flag(page, kCode)) return true;
  u64 here = in_file(page, offset);
  length = static_cast<u32>(code_.first(here, here + length) - here);
  return length != 0;
}

/// Blocks are known by the physical address that they were fetched from: tells all aliases.
void PhysicalMemory::notify_code(RamPage page, u32 offset, u32 size) {
  if (!observer_) return;
  for (size_t i = 0; i < slots_.size(); ++i) {
    Slot slot = slots_[i];
    u64 in_slot = u64{page} * kPageSize - slot.offset + offset;
    if (slot.shows(page)) observer_->code_written({slot.physical + in_slot}, size);
  }
}

// -- facts ---------------------------------------------------------------------------------------

void PhysicalMemory::mark_code(u64 physical, u64 size) {
  while (size) {
    u32 offset = physical & kPageMask;
    u32 length = static_cast<u32>(std::min<u64>(size, kPageSize - offset));
    if (Location location = locate(physical); location.host) {
      code_.set(in_file(location.page, offset), length);
      set_flag(location.page, kCode);
    }
    physical += length;
    size -= length;
  }
}

/// Within one page. Where several physical pages show one RAM page, the others may still hold code:
/// stays tracked.
void PhysicalMemory::clear_code(u64 physical, u64 size) {
  Location location = locate(physical);
  if (!location.host || aliases(location.page) != 1) return;
  code_.clear(in_file(location.page, physical & kPageMask), size);
  if (!code_.any(in_file(location.page, 0), kPageSize)) clear_flag(location.page, kCode);
}

size_t PhysicalMemory::aliases(RamPage page) const {
  return std::ranges::count_if(slots_, [&](const Slot& slot) { return slot.shows(page); });
}

void PhysicalMemory::add_table_user(RamPage page) {
  if (table_users_[page]++ == 0) set_flag(page, kTable);
}

void PhysicalMemory::remove_table_user(RamPage page) {
  if (--table_users_[page] == 0) clear_flag(page, kTable);
}

// -- dirty log -----------------------------------------------------------------------------------

void PhysicalMemory::start_dirty_log() {
  dirty_log_ = true;
  for (u64 page = 0; page < ram_pages(); ++page) set_flag(static_cast<RamPage>(page), kClean);
}

void PhysicalMemory::stop_dirty_log() {
  dirty_log_ = false;
  for (u64 page = 0; page < ram_pages(); ++page) clear_flag(static_cast<RamPage>(page), kClean);
}

std::vector<u64> PhysicalMemory::collect_dirty() {
  std::vector<u64> dirty((ram_pages() + 63) / 64);
  if (!dirty_log_) return dirty;
  for (u64 page = 0; page < ram_pages(); ++page) {
    if (has_flag(static_cast<RamPage>(page), kClean)) continue;
    dirty[page / 64] |= bit(page % 64);
    set_flag(static_cast<RamPage>(page), kClean);
  }
  return dirty;
}

}  // namespace penumbra::mmu
