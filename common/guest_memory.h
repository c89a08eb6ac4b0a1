// Guest memory by linear address, as instructions see it: translated, checked, faulting.
//
// The interface between what instructions mean (cpu) and the software MMU (mmu), which implements
// it. Addresses are linear: segmentation and canonical checks are done before (cpu/segmentation.h).
// All-or-nothing: an access that faults on its second page has changed nothing.
#pragma once

#include "common/fault.h"

namespace penumbra {

enum class Access : u8 { Read, Write, Execute };

/// Whose rights an access has. Implicit: descriptor tables and the TSS, always supervisor and never
/// subject to EFLAGS.AC (SDM 3A 4.6.1). Current: the CPL of the PagingContext in force.
enum class Privilege : u8 { Current, Implicit };

class GuestMemory {
 public:
  virtual ~GuestMemory() = default;

  /// Reads or writes `size` bytes (1..4096, may span two pages). Raises #PF, #AC or External.
  virtual Expected<> read(u64 linear, void* out, u32 size, Privilege privilege) = 0;
  virtual Expected<> write(u64 linear, const void* in, u32 size, Privilege privilege) = 0;

  /// Checks all pages of an access without performing it (sets A and D as the access would).
  virtual Expected<> probe(u64 linear, u32 size, Access access, Privilege privilege) = 0;

  /// Host address of plain RAM for bulk work, valid until the next read, write or probe: at most up
  /// to the page's end, `length` becomes the bytes available. nullptr: not plain RAM (MMIO, code
  /// for writing, page tables, ...), use read() and write(). Faults as the access would.
  virtual Expected<u8*> span(u64 linear, Access access, Privilege privilege, u32& length) = 0;

  /// Host address of `size` bytes (1..4096) of plain RAM where this access of the current privilege
  /// has nothing left to check or to note; valid as that of span(). nullptr: ask the others.
  virtual u8* direct(u64 linear, u32 size, Access access) = 0;

  template <class T>
  Expected<T> load(u64 linear, Privilege privilege = Privilege::Current) {
    T value;
    TRY(read(linear, &value, sizeof value, privilege));
    return value;
  }
  template <class T>
  Expected<> store(u64 linear, T value, Privilege privilege = Privilege::Current) {
    return write(linear, &value, sizeof value, privilege);
  }
};

}  // namespace penumbra
