// What an AddressSpace holds: the RAM file, the map from physical pages to it, facts per page.
//
// Facts belong to pages of the RAM file, not to physical pages, so that a store through one alias
// (a second slot, A20 wrapping) meets the facts that were established through another.
// Invariant: a page that is not plain() is absent for writing in every fast view, so each store to
// it comes to store() or note_store().
// Not thread-safe: when several vCPU threads run, what changes slots, flags or page tables in use
// needs the others at safe points (design 2.9).
#pragma once

#include <vector>

#include "common/log.h"
#include "mmu/address_space.h"
#include "mmu/mapped_array.h"

namespace penumbra::mmu {

/// Page number in the RAM file.
using RamPage = u32;
constexpr RamPage kNoPage = ~0u;
constexpr unsigned kPhysicalBits = 40;
/// The page address in CR3 and in entries that name a 4-KByte page.
constexpr u64 kFrameMask = ((1ull << kPhysicalBits) - 1) & ~kPageMask;

/// Copies of the usual sizes are single host accesses, as the guest's would be.
inline void copy_bytes(void* to, const void* from, u32 size) {
  switch (size) {
    case 1:
      std::memcpy(to, from, 1);
      break;
    case 2:
      std::memcpy(to, from, 2);
      break;
    case 4:
      std::memcpy(to, from, 4);
      break;
    case 8:
      std::memcpy(to, from, 8);
      break;
    default:
      std::memcpy(to, from, size);
  }
}

/// The shadow tables of one vCPU, as the memory that they depend on sees them.
class ShadowListener {
 public:
  virtual ~ShadowListener() = default;
  /// The page is no longer plain: take it out of the fast views for writing.
  virtual void drop_writers(RamPage page) = 0;
  /// Bytes [offset, offset + size) of a page table changed; `old` is the whole previous content of
  /// the 8-byte units that they touch.
  virtual void table_written(RamPage page, u32 offset, u32 size, const u8* old) = 0;
  /// The page will be overwritten as a whole: forget that it was a page table.
  virtual void retire_table(RamPage page) = 0;
  /// Physical addresses mean something else now.
  virtual void drop_everything() = 0;
};

/// What answers at a physical address. host points at the byte itself; nullptr: MMIO or a hole.
struct Location {
  u8* host = nullptr;
  RamPage page = kNoPage;
  bool rom = false;
};

class PhysicalMemory {
 public:
  PhysicalMemory() = default;
  ~PhysicalMemory();
  PhysicalMemory(const PhysicalMemory&) = delete;

  /// One line for the user when the host refuses the memory.
  std::expected<void, std::string> allocate(u64 ram_bytes);

  u8* ram() const { return ram_; }
  u64 ram_bytes() const { return ram_bytes_; }
  u64 ram_pages() const { return ram_bytes_ / kPageSize; }
  u8* page_host(RamPage page) const { return ram_ + u64{page} * kPageSize; }
  /// Stores to the page have no consequences: it holds no code and no page table in use, and the
  /// dirty log does not wait for it.
  bool plain(RamPage page) const { return !flags_[page]; }

  /// The address with A20 applied: what the bus sees.
  u64 bus_address(u64 physical) const { return physical & a20_mask_; }
  Location locate(u64 physical) const {
    physical = bus_address(physical);
    for (const Slot& slot : slots_) {
      u64 inside = physical - slot.physical;
      if (inside >= slot.size) continue;
      u64 in_file = slot.offset + inside;
      return {ram_ + in_file, static_cast<RamPage>(in_file / kPageSize), slot.rom};
    }
    return {};
  }

  void map(u64 physical, u64 size, u64 offset, AddressSpace::SlotKind kind);
  void unmap(u64 physical, u64 size);
  void set_a20(bool enabled);
  bool a20() const { return a20_mask_ == ~0ull; }
  /// RAM changed behind the back of all tracking: forgets what was derived from it.
  void ram_replaced();

  /// A store to RAM with all its consequences; does not cross the page.
  void store(RamPage page, u32 offset, const void* in, u32 size);
  /// Whether bulk stores may start at this byte; cuts `length` to what has no consequences. A page
  /// table stops being one: whoever fills or copies a page wholesale reuses it for something else.
  bool bulk_writable(RamPage page, u32 offset, u32& length);
  /// Consequences of a store that was performed and changed no translation (A and D bits).
  void note_store(RamPage page, u32 offset, u32 size);

  void mark_code(u64 physical, u64 size);
  void clear_code(u64 physical, u64 size);
  void set_code_observer(CodeObserver* observer) { observer_ = observer; }
  StoreFilter store_filter() const { return {ram_, flags_.data(), kCode, code_.data()}; }

  void start_dirty_log();
  void stop_dirty_log();
  std::vector<u64> collect_dirty();
  /// The page is about to be written through a fast view.
  void mark_dirty(RamPage page) {
    if (has_flag(page, kClean)) clear_flag(page, kClean);
  }

  void add_listener(ShadowListener* listener) { listeners_.push_back(listener); }
  void remove_listener(ShadowListener* listener) { std::erase(listeners_, listener); }
  void add_table_user(RamPage page);
  void remove_table_user(RamPage page);

 private:
  enum Flag : u8 { kCode = 1, kTable = 2, kClean = 4 };
  struct Slot {
    u64 physical, size, offset;
    bool rom;
    bool shows(RamPage page) const { return u64{page} * kPageSize - offset < size; }
  };

  void store_to_table(RamPage page, u32 offset, const void* in, u32 size);
  void notify_code(RamPage page, u32 offset, u32 size);
  size_t aliases(RamPage page) const;
  void forget_slots(u64 physical, u64 size);
  void notify_remapped(u64 physical, u64 size);
  void set_flag(RamPage page, Flag flag);
  void clear_flag(RamPage page, Flag flag) { flags_[page] &= static_cast<u8>(~flag); }
  bool has_flag(RamPage page, Flag flag) const { return flags_[page] & flag; }
  static u64 in_file(RamPage page, u32 offset) { return u64{page} * kPageSize + offset; }
  void drop_everything();

  u8* ram_ = nullptr;
  u64 ram_bytes_ = 0;
  u64 a20_mask_ = ~0ull;
  std::vector<Slot> slots_;       ///< disjoint; large ones first, they are looked for most
  MappedArray<u8> flags_;         ///< by RAM page: Flag bits
  CodeBytes code_;                ///< by offset in the RAM file
  MappedArray<u32> table_users_;  ///< Mmus whose shadow tables depend on the page as a page table
  std::vector<ShadowListener*> listeners_;
  CodeObserver* observer_ = nullptr;
  bool dirty_log_ = false;
};

struct AddressSpace::Impl {
  PhysicalMemory memory;
};

}  // namespace penumbra::mmu
