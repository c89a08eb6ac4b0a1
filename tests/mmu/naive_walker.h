// A second derivation of paging, written from the manual alone (SDM 3A chapter 4), slow and plain.
//
// Works on a plain copy of physical memory; shares nothing with mmu/ but the types of its
// interface. One function per paging mode follows the manual's figures 4-2 to 4-11 step by step.
#pragma once

#include <optional>
#include <vector>

#include "common/guest_memory.h"
#include "mmu/paging_context.h"

namespace penumbra::mmu::test {

/// Physical memory of the model: bytes answer where `present` says so, else all ones.
class ModelMemory {
 public:
  virtual ~ModelMemory() = default;
  /// The byte at a physical address, nullptr for holes. `writable` is false for ROM.
  virtual u8* byte(u64 physical, bool& writable) = 0;

  u64 read(u64 physical, unsigned size) {
    u64 value = 0;
    for (unsigned i = 0; i < size; ++i) {
      bool writable;
      u8* at = byte(physical + i, writable);
      value |= u64{at ? *at : u8{0xff}} << (8 * i);
    }
    return value;
  }
  void write(u64 physical, u64 value, unsigned size) {
    for (unsigned i = 0; i < size; ++i) {
      bool writable;
      u8* at = byte(physical + i, writable);
      if (at && writable) *at = static_cast<u8>(value >> (8 * i));
    }
  }
};

struct NaiveResult {
  std::optional<Fault> fault;
  u64 physical = 0;
  /// Entries used, in order, and their size; the last one maps the page.
  std::vector<u64> entries;
  unsigned entry_size = 8;
};

class NaiveWalker {
 public:
  NaiveWalker(ModelMemory& memory, const PagingContext& context, const u64 (&pdpte)[4])
      : memory_(memory), context_(context), pdpte_(pdpte) {}

  /// Translates without changing memory. `implicit` accesses are supervisor accesses without AC.
  NaiveResult translate(u64 linear, Access access, bool implicit);
  /// Sets the accessed and dirty flags as a completed access does.
  void complete(const NaiveResult& result, Access access);

 private:
  struct Page {
    bool user = true, write = true, execute_disable = false;
    unsigned key = 0;
  };
  enum class Stop { NotPresent, Reserved };

  std::optional<Stop> walk_32_bit(u64 linear, Page& page, NaiveResult& result);
  std::optional<Stop> walk_pae(u64 linear, Page& page, NaiveResult& result);
  std::optional<Stop> walk_4_level(u64 linear, Page& page, NaiveResult& result);
  std::optional<Stop> use_64_bit_entry(u64 entry, u64 reserved, Page& page);
  bool permitted(const Page& page, Access access, bool user, bool ac, bool& by_key);

  bool cr0(unsigned n) const { return context_.cr0 >> n & 1; }
  bool cr4(unsigned n) const { return context_.cr4 >> n & 1; }
  bool efer(unsigned n) const { return context_.efer >> n & 1; }
  bool paging() const { return cr0(31); }
  bool pae() const { return cr4(5); }
  bool lma() const { return efer(10); }
  bool nxe() const { return efer(11); }

  ModelMemory& memory_;
  const PagingContext& context_;
  const u64 (&pdpte_)[4];
};

}  // namespace penumbra::mmu::test
