// What direct boot puts into a machine: pieces of memory and the state in which the CPU starts.
//
// A plan is made once from untrusted files and can be placed again whenever the machine is reset.
// Every piece lies in RAM; the loaders check that before they return a plan.
#pragma once

#include <vector>

#include "cpu/state.h"
#include "mmu/address_space.h"

namespace penumbra::machine {

struct CpuEntry {
  enum class Mode : u8 { Protected32, Long };
  Mode mode = Mode::Protected32;
  u64 rip = 0;
  u64 rsi = 0;  ///< boot_params (Linux boot protocol)
  u64 rbx = 0;  ///< start_info (PVH)

  template <class A>
  void serialize(A& archive) {
    archive(mode, rip, rsi, rbx);
  }
};

struct LoadPlan {
  struct Piece {
    u64 address;
    std::vector<u8> bytes;
    u64 zeros = 0;  ///< that follow the bytes

    template <class A>
    void serialize(A& archive) {
      archive(address, bytes, zeros);
    }
  };
  std::vector<Piece> pieces;
  CpuEntry entry;

  void add(u64 address, std::vector<u8> bytes, u64 zeros = 0) {
    pieces.push_back({address, std::move(bytes), zeros});
  }
  /// Every piece ends at or below `end`, and the mode is one: what a loaded plan has to prove.
  bool valid(u64 end) const;

  template <class A>
  void serialize(A& archive) {
    archive(pieces, entry);
  }
};

/// The descriptor table and, for Long, the identity mapping of the first 4 GiB that `mode` needs.
void add_cpu_tables(LoadPlan& plan, CpuEntry::Mode mode);

/// Writes all pieces into guest memory.
void place(const LoadPlan& plan, mmu::AddressSpace& space);

/// Puts a CPU that has just been reset into the entry state: flat segments, interrupts off.
void enter(const CpuEntry& entry, cpu::CpuState& state);

}  // namespace penumbra::machine
