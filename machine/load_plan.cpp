#include "machine/load_plan.h"

#include <algorithm>

#include "machine/boot_params.h"

namespace penumbra::machine {

namespace {

using cpu::SegmentRegister;

constexpr u32 kFlat = SegmentRegister::kPresent | SegmentRegister::kNonSystem |
                      SegmentRegister::kAccessed | SegmentRegister::kWritableOrReadable |
                      SegmentRegister::kGranular;
constexpr u32 kCode64 = kFlat | SegmentRegister::kCode | SegmentRegister::kLong;
constexpr u32 kCode32 = kFlat | SegmentRegister::kCode | SegmentRegister::kBig;
constexpr u32 kData = kFlat | SegmentRegister::kBig;
constexpr u32 kBusyTask = SegmentRegister::kPresent | 0xb;  // SDM 3A table 3-2
constexpr u32 kTaskLimit = 0x67;
constexpr u32 kGdtEntries = 6;

u32 code_attributes(CpuEntry::Mode mode) {
  return mode == CpuEntry::Mode::Long ? kCode64 : kCode32;
}

/// A descriptor with base 0 (SDM 3A 3.4.5); `limit` in units of its granularity.
u64 descriptor(u32 attributes, u32 limit) {
  return u64{attributes} << 40 | u64{limit & 0xf0000} << 32 | (limit & 0xffff);
}

std::vector<u8> bytes_of(const std::vector<u64>& words) {
  std::vector<u8> bytes(words.size() * sizeof(u64));
  std::memcpy(bytes.data(), words.data(), bytes.size());
  return bytes;
}

/// One PML4, one page-directory pointer table and four directories of 2 MiB pages.
std::vector<u8> identity_tables(u64 address) {
  constexpr u64 kPresentWritable = 3, kLarge = 0x80, kEntries = 512;
  std::vector<u64> words(6 * kEntries);
  words[0] = (address + kPageSize) | kPresentWritable;
  for (u64 gib = 0; gib < 4; ++gib) {
    words[kEntries + gib] = (address + (2 + gib) * kPageSize) | kPresentWritable;
  }
  for (u64 page = 0; page < 4 * kEntries; ++page) {
    words[2 * kEntries + page] = (page << 21) | kPresentWritable | kLarge;
  }
  return bytes_of(words);
}

SegmentRegister flat_segment(u16 selector, u32 attributes) {
  return {0, 0xffffffff, attributes, selector};
}

/// What firmware leaves: write-back, but for the last gigabyte below 4 GiB (SDM 3A 11.11.2).
void set_memory_types(cpu::StoredMsrs& msr) {
  constexpr u64 kWriteBack = 6, kUncacheable = 0, kEnabled = bit(11);
  constexpr u64 kHole = 0xC0000000, kHoleMask = 0xFFC0000000;
  msr.mtrr_default = kEnabled | kWriteBack;
  msr.mtrr_base[0] = kHole | kUncacheable;
  msr.mtrr_mask[0] = kHoleMask | kEnabled;
}

}  // namespace

bool LoadPlan::valid(u64 end) const {
  auto inside = [end](const Piece& piece) {
    u64 size = piece.bytes.size();
    return piece.address <= end && size <= end - piece.address &&
           piece.zeros <= end - piece.address - size;
  };
  return entry.mode <= CpuEntry::Mode::Long && std::ranges::all_of(pieces, inside);
}

void add_cpu_tables(LoadPlan& plan, CpuEntry::Mode mode) {
  plan.add(BootLayout::kGdt,
           bytes_of({0, 0, descriptor(code_attributes(mode), 0xfffff), descriptor(kData, 0xfffff),
                     descriptor(kBusyTask, kTaskLimit), 0}));
  if (mode == CpuEntry::Mode::Long) {
    plan.add(BootLayout::kPageTables, identity_tables(BootLayout::kPageTables));
  }
}

void place(const LoadPlan& plan, mmu::AddressSpace& space) {
  const std::vector<u8> zeros(1 << 16);
  for (const LoadPlan::Piece& piece : plan.pieces) {
    space.write({piece.address}, piece.bytes.data(), piece.bytes.size());
    u64 end = piece.address + piece.bytes.size() + piece.zeros;
    for (u64 at = end - piece.zeros; at < end;) {
      u64 size = std::min<u64>(end - at, zeros.size());
      space.write({at}, zeros.data(), size);
      at += size;
    }
  }
}

void enter(const CpuEntry& entry, cpu::CpuState& state) {
  bool is_long = entry.mode == CpuEntry::Mode::Long;
  state.seg(Segment::Cs) = flat_segment(BootLayout::kCodeSelector, code_attributes(entry.mode));
  for (Segment s : {Segment::Ds, Segment::Es, Segment::Ss, Segment::Fs, Segment::Gs}) {
    state.seg(s) = flat_segment(BootLayout::kDataSelector, kData);
  }
  state.tr = {0, kTaskLimit, kBusyTask, BootLayout::kTaskSelector};
  state.gdtr = {BootLayout::kGdt, kGdtEntries * 8 - 1};
  state.idtr = {0, 0};
  state.cr0 = cpu::Cr0::kPe | cpu::Cr0::kEt | (is_long ? cpu::Cr0::kPg : 0);
  state.cr3 = is_long ? BootLayout::kPageTables : 0;
  state.cr4 = is_long ? cpu::Cr4::kPae : 0;
  state.efer = is_long ? cpu::Efer::kLme | cpu::Efer::kLma : 0;
  state.cpl = 0;
  set_memory_types(state.msr);
  for (u64& gpr : state.gpr) gpr = 0;
  state.reg(cpu::Reg::Rsi) = entry.rsi;
  state.reg(cpu::Reg::Rbx) = entry.rbx;
  state.set_flags(0);
  state.rip = entry.rip;
}

}  // namespace penumbra::machine
