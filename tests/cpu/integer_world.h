// A CPU without a machine, for tests of named operations: flat guest memory at host addresses.
//
// Guest linear addresses are host addresses of `bytes`, so that a
// native run and the operation under test see the same pointers. Pages can be made absent,
// read-only, device or code pages.
#pragma once

#include <algorithm>
#include <vector>

#include "cpu/context.h"

namespace penumbra::cpu::test {

enum class PageKind : u8 { Ram, ReadOnly, Absent, Device, Code };

class RegionMemory final : public GuestMemory {
 public:
  RegionMemory(u64 base, u64 size) : base_(base), bytes_(size), kinds_(size / kPageSize + 1) {}
  /// Uses the host's memory at `host` in place.
  RegionMemory(void* host, u64 size)
      : base_(reinterpret_cast<u64>(host)), host_(static_cast<u8*>(host)), size_(size) {}

  u8* at(u64 linear) { return (host_ ? host_ : bytes_.data()) + (linear - base_); }
  void set(u64 linear, PageKind kind) { kinds_[(linear - base_) / kPageSize] = kind; }

  Expected<> read(u64 linear, void* out, u32 size, Privilege) override {
    TRY(check(linear, size, Access::Read));
    if (kind(linear) == PageKind::Device) {
      TRY_ASSIGN(u64 value, external.read(ExternalAccess::Space::Mmio, linear, u8(size)));
      std::memcpy(out, &value, size);
    } else {
      std::memcpy(out, at(linear), size);
    }
    return {};
  }
  Expected<> write(u64 linear, const void* in, u32 size, Privilege) override {
    TRY(check(linear, size, Access::Write));
    if (kind(linear) == PageKind::Device) {
      u64 value = 0;
      std::memcpy(&value, in, size);
      return external.write(ExternalAccess::Space::Mmio, linear, u8(size), value);
    }
    std::memcpy(at(linear), in, size);
    return {};
  }
  Expected<> probe(u64 linear, u32 size, Access access, Privilege) override {
    return check(linear, size, access);
  }
  Expected<u8*> span(u64 linear, Access access, Privilege, u32& length) override {
    TRY(check(linear, 1, access));
    length = static_cast<u32>(kPageSize - (linear & kPageMask));
    PageKind page = kind(linear);
    if (page == PageKind::Device) return nullptr;
    if (page == PageKind::Code && access == Access::Write) return nullptr;
    return at(linear);
  }
  /// Refuses every third time, so that the ways around it are taken, too.
  u8* direct(u64 linear, u32 size, Access access) override {
    bool inside = page_of(linear) == page_of(linear + size - 1) && check(linear, size, access);
    if (!inside || kind(linear) != PageKind::Ram || ++asked_ % 3 == 0) return nullptr;
    return at(linear);
  }

  ExternalBuffer external;

 private:
  PageKind kind(u64 linear) const {
    return kinds_.empty() ? PageKind::Ram : kinds_[(linear - base_) / kPageSize];
  }
  Expected<> check(u64 linear, u32 size, Access access) {
    for (u64 byte : {linear, page_of(linear + size - 1)}) {
      u64 address = std::max(linear, byte);
      bool inside = address >= base_ && address - base_ < (host_ ? size_ : bytes_.size());
      PageKind page = inside ? kind(address) : PageKind::Absent;
      u32 write = access == Access::Write ? PageFaultCode::kWrite : 0;
      if (page == PageKind::Absent) return std::unexpected(Fault::page(address, write));
      if (page == PageKind::ReadOnly && write)
        return std::unexpected(Fault::page(address, write | PageFaultCode::kPresent));
    }
    return {};
  }

  u64 base_;
  std::vector<u8> bytes_;
  u8* host_ = nullptr;
  u64 size_ = 0;
  std::vector<PageKind> kinds_;
  u64 asked_ = 0;
};

/// Answers ports through `external` of the memory; everything else is inert.
class PlainEnvironment final : public Environment {
 public:
  explicit PlainEnvironment(ExternalBuffer& external) : external_(external) {}

  u64 budget = ~0ull;
  u64 charged = 0;
  u64 entropy = 0x123456789abcdef0;

  Expected<u32> port_read(u16 port, u8 size) override {
    TRY_ASSIGN(u64 value, external_.read(ExternalAccess::Space::Port, port, size));
    return static_cast<u32>(value);
  }
  Expected<> port_write(u16 port, u8 size, u32 value) override {
    return external_.write(ExternalAccess::Space::Port, port, size, value);
  }
  u64 clock_tsc() override { return 0; }
  u64 random() override { return entropy; }
  Expected<u64> apic_read_msr(u32) override { return 0; }
  Expected<> apic_write_msr(u32, u64) override { return {}; }
  u64 read_cr8() override { return 0; }
  void write_cr8(u64) override {}
  void paging_changed() override {}
  void cr3_written(u64) override {}
  void paging_mode_changed() override {}
  void invlpg(u64) override {}
  void invpcid(u64, u16, u64) override {}
  u64 repeat_budget() override { return budget; }
  void charge_repeat(u64 bytes) override { charged += bytes; }

 private:
  ExternalBuffer& external_;
};

/// 64-bit mode, CPL 3, or flat 32-bit protected mode, or real mode.
enum class Mode : u8 { Long, Protected32, Real };

inline CpuState make_state(Mode mode) {
  CpuState state;
  constexpr u32 kData = 0x93 | SegmentRegister::kBig | SegmentRegister::kGranular;
  constexpr u32 kCode = 0x9b | SegmentRegister::kGranular;
  for (SegmentRegister& segment : state.segment) segment = {0, 0xffffffff, kData, 0};
  SegmentRegister& cs = state.seg(Segment::Cs);
  cs.attributes = kCode | (mode == Mode::Long ? SegmentRegister::kLong : SegmentRegister::kBig);
  state.cr0 = Cr0::kPe | Cr0::kNe;
  state.cr4 = Cr4::kOsfxsr | Cr4::kOsxsave;
  state.xcr0 = 3;
  if (mode == Mode::Long) state.efer = Efer::kLma;
  if (mode == Mode::Real) {
    state.cr0 = Cr0::kNe;
    for (SegmentRegister& segment : state.segment) segment = {0, 0xffff, 0x93, 0};
  }
  return state;
}

struct World {
  RegionMemory memory;
  PlainEnvironment environment{memory.external};
  CpuModel model;
  CpuState state;

  World(Mode mode, u64 base, u64 size) : memory(base, size), state(make_state(mode)) {}
  World(Mode mode, void* host, u64 size) : memory(host, size), state(make_state(mode)) {}

  CpuContext context() { return {state, memory, environment, model}; }
  Outcome run(NamedOperation operation, const Operands& ops) {
    CpuContext ctx = context();
    memory.external.rewind();
    Outcome outcome = operation(ctx, ops);
    if (outcome || outcome.error().kind == Fault::Kind::Exception) memory.external.clear();
    return outcome;
  }
};

}  // namespace penumbra::cpu::test
