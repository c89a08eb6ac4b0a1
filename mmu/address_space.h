// The guest's physical address space: memory slots over one memfd, ROM, holes that are MMIO.
//
// Shared by all vCPUs of a Vm. Keeps per-page facts (translated code, byte by byte, page tables in
// use, dirty) and tells every Mmu and the CodeObserver when one changes. Stores by DMA, a debugger
// and the API go through write() and meet the same tests as the guest's own.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "common/types.h"
#include "mmu/store_filter.h"

namespace penumbra::mmu {

class CodeObserver;
class Mmu;

class AddressSpace {
 public:
  /// One line for the user when the host refuses the memory.
  static std::expected<std::unique_ptr<AddressSpace>, std::string> create(u64 ram_bytes);
  ~AddressSpace();

  /// Maps [physical, +size) to bytes [offset, +size) of the RAM file. Page-aligned.
  enum class SlotKind : u8 { Ram, Rom };
  void map(GuestPhys physical, u64 size, u64 offset, SlotKind kind);
  void unmap(GuestPhys physical, u64 size);

  /// A20 gate: when masked, bit 20 of every physical address reads as 0.
  void set_a20(bool enabled);
  bool a20() const;

  u64 ram_bytes() const;
  /// The whole RAM file, in file order, for snapshots and hashes.
  u8* ram() const;
  /// Tells that RAM was changed through ram(), which nothing tracks: drops what was derived from
  /// it.
  void ram_replaced();

  /// Host address of RAM or ROM at `physical`, nullptr for MMIO and holes. Valid to the page's end.
  u8* host(GuestPhys physical) const;

  /// Copies; the parts outside RAM read as 0xff and ignore writes. write() notifies observers.
  void read(GuestPhys physical, void* out, u64 size) const;
  void write(GuestPhys physical, const void* in, u64 size);

  /// Code tracking: marks bytes as translated, so that a store to them notifies.
  void mark_code(GuestPhys physical, u64 size);
  /// Nothing was translated from [physical, +size), which lies in one page, any more.
  void clear_code(GuestPhys physical, u64 size);
  void set_code_observer(CodeObserver* observer);
  StoreFilter store_filter() const;

  /// Dirty tracking, one bit a page of the RAM file: start, then collect-and-clear.
  void start_dirty_log();
  void stop_dirty_log();
  std::vector<u64> collect_dirty();

 private:
  friend class Mmu;
  AddressSpace();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penumbra::mmu
