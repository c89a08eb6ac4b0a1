// A CPU around flat memory: linear address = index into an array, some pages absent or read-only.
//
// Tables stand at fixed places; the builders below write descriptors as the manual draws them.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "cpu/context.h"
#include "cpu/operand_access.h"
#include "cpu/reset.h"

namespace penumbra::cpu::test {

class FlatMemory final : public GuestMemory {
 public:
  static constexpr u64 kSize = 1 << 20;

  Expected<> read(u64 linear, void* out, u32 size, Privilege privilege) override {
    TRY(probe(linear, size, Access::Read, privilege));
    std::memcpy(out, &bytes_[linear], size);
    return {};
  }
  Expected<> write(u64 linear, const void* in, u32 size, Privilege privilege) override {
    TRY(probe(linear, size, Access::Write, privilege));
    std::memcpy(&bytes_[linear], in, size);
    return {};
  }
  Expected<> probe(u64 linear, u32 size, Access access, Privilege) override {
    for (u64 at = linear; at < linear + size; ++at) {
      u32 write = access == Access::Write ? PageFaultCode::kWrite : 0;
      if (at >= kSize || absent.contains(at >> 12)) return std::unexpected(Fault::page(at, write));
      if (write && read_only.contains(at >> 12))
        return std::unexpected(Fault::page(at, write | PageFaultCode::kPresent));
    }
    return {};
  }
  Expected<u8*> span(u64 linear, Access access, Privilege privilege, u32& length) override {
    TRY(probe(linear, 1, access, privilege));
    length = static_cast<u32>(kPageSize - (linear & kPageMask));
    return &bytes_[linear];
  }
  u8* direct(u64, u32, Access) override { return nullptr; }

  template <class T>
  T get(u64 linear) const {
    return load_from<T>(&bytes_[linear]);
  }
  template <class T>
  void put(u64 linear, T value) {
    store_to(&bytes_[linear], value);
  }
  const std::vector<u8>& bytes() const { return bytes_; }

  std::set<u64> absent, read_only;  ///< page numbers

 private:
  std::vector<u8> bytes_ = std::vector<u8>(kSize);
};

class FakeEnvironment final : public Environment {
 public:
  Expected<u32> port_read(u16 port, u8) override { return ports[port]; }
  Expected<> port_write(u16 port, u8, u32 value) override {
    ports[port] = value;
    return {};
  }
  u64 clock_tsc() override { return tsc; }
  u64 random() override { return 4; }
  Expected<u64> apic_read_msr(u32 index) override {
    if (index != 0x1b) return std::unexpected(Fault::gp(0));
    return apic_base;
  }
  Expected<> apic_write_msr(u32 index, u64 value) override {
    if (index != 0x1b) return std::unexpected(Fault::gp(0));
    apic_base = value;
    return {};
  }
  u64 read_cr8() override { return cr8; }
  void write_cr8(u64 value) override { cr8 = value; }
  void paging_changed() override { ++changes; }
  void cr3_written(u64 value) override { cr3_values.push_back(value); }
  void paging_mode_changed() override { ++mode_changes; }
  void invlpg(u64 linear) override { invalidated.push_back(linear); }
  void invpcid(u64 type, u16, u64) override { invpcid_types.push_back(type); }
  u64 repeat_budget() override { return 1u << 20; }
  void charge_repeat(u64) override {}

  std::map<u16, u32> ports;
  u64 tsc = 1000, apic_base = 0xfee00900, cr8 = 0;
  int changes = 0, mode_changes = 0;
  std::vector<u64> cr3_values, invalidated, invpcid_types;
};

/// Access bytes (SDM 3A 3.4.5): present, DPL in `dpl`, accessed unless said otherwise.
constexpr u8 access_byte(u8 type, u8 dpl, bool system = false, bool present = true) {
  return static_cast<u8>((present ? 0x80 : 0) | dpl << 5 | (system ? 0 : 0x10) | type);
}
constexpr u8 kReadWrite = 3, kCodeRead = 11, kConforming = 15, kReadOnly = 1, kExecuteOnly = 9;
constexpr u8 kLongFlag = 2, kBigFlag = 4, kPages = 8;  // bits 53..55

constexpr u64 descriptor(u32 base, u32 limit, u8 access, u8 flags) {
  return Bits<15, 0>::get(limit) | u64{base & 0xffffff} << 16 | u64{access} << 40 |
         Bits<19, 16>::get(limit) << 48 | u64{flags} << 52 | u64{base >> 24} << 56;
}
constexpr u64 gate(u16 selector, u32 offset, u8 access, u8 low = 0) {
  return (offset & 0xffff) | u64{selector} << 16 | u64{low} << 32 | u64{access} << 40 |
         u64{offset >> 16} << 48;
}

struct FakeMachine {
  static constexpr u64 kGdt = 0x1000, kIdt = 0x3000, kTss = 0x4000, kOldTss = 0x4800,
                       kStack0 = 0x9000, kStack3 = 0xb000, kIst1 = 0xd000, kHandler = 0x6000;
  // GDT of every mode; in long mode the code segments have L instead of D.
  static constexpr u16 kCode0 = 0x08, kData0 = 0x10, kCode3 = 0x1b, kData3 = 0x23,
                       kTssSelector = 0x28, kFree = 0x40;

  CpuModel model;
  FlatMemory memory;
  FakeEnvironment environment;
  CpuState state;
  CpuContext ctx{state, memory, environment, model};

  FakeMachine() { reset(state, model); }

  void set_descriptor(u16 selector, u64 low, u64 high = 0) {
    memory.put(kGdt + (selector & 0xfff8), low);
    if (high) memory.put(kGdt + (selector & 0xfff8) + 8, high);
  }
  u64 descriptor_at(u16 selector) const { return memory.get<u64>(kGdt + (selector & 0xfff8)); }

  /// Protected mode with flat 32-bit segments, CPL 0, a 32-bit TSS with an inner stack.
  void enter_protected() {
    state.cr0 |= Cr0::kPe;
    fill_gdt(kBigFlag | kPages, descriptor(kTss, 0x67, access_byte(11, 0, true), 0), 0);
    memory.put<u32>(kTss + 4, kStack0);
    memory.put<u16>(kTss + 8, kData0);
    memory.put<u16>(kTss + 0x66, 0x68);  // the I/O map lies beyond the limit
    run_at(0);
  }
  /// 64-bit mode at CPL 0, a 64-bit TSS with RSP0 and IST1.
  void enter_long() {
    state.cr0 |= Cr0::kPe | Cr0::kPg;
    state.cr4 |= Cr4::kPae;
    state.efer = Efer::kLme | Efer::kLma | Efer::kSce | Efer::kNxe;
    fill_gdt(kLongFlag | kPages, descriptor(kTss, 0x67, access_byte(11, 0, true), 0), 1);
    memory.put<u64>(kTss + 4, kStack0);
    memory.put<u64>(kTss + 0x24, kIst1);
    run_at(0);
  }
  /// CS, SS and CPL of `cpl` 0 or 3; the data segments are that level's.
  void run_at(u8 cpl) {
    u16 code = cpl == 0 ? kCode0 : kCode3, data = cpl == 0 ? kData0 : kData3;
    hide(Segment::Cs, code);
    for (Segment s : {Segment::Ss, Segment::Ds, Segment::Es, Segment::Fs, Segment::Gs})
      hide(s, data);
    state.cpl = cpl;
    state.rip = 0x5000;
    state.reg(Reg::Rsp) = cpl == 0 ? kStack0 - 0x100 : kStack3;
  }
  /// Loads the hidden part of a segment register without any check.
  void hide(Segment which, u16 selector) {
    u64 raw = descriptor_at(selector);
    u32 attributes = static_cast<u32>(raw >> 40) & 0xf0ff;
    u32 limit = static_cast<u32>(Bits<15, 0>::get(raw) | Bits<51, 48>::get(raw) << 16);
    if (attributes & SegmentRegister::kGranular) limit = limit << 12 | 0xfff;
    u64 base = Bits<39, 16>::get(raw) | Bits<63, 56>::get(raw) << 24;
    state.seg(which) = {base, limit, attributes, selector};
  }
  void enter_v86() {
    enter_protected();
    state.set_flags(state.flags() | Flag::kVm | Flag::kIopl);
    for (auto& segment : state.segment) segment = {0x500 << 4, 0xffff, 0xf3, 0x500};
    state.cpl = 3;
    state.rip = 0x100;
    state.reg(Reg::Rsp) = 0x800;
  }

 private:
  void fill_gdt(u8 code_flags, u64 tss, u64 wide) {
    constexpr u8 data_flags = kBigFlag | kPages;
    set_descriptor(kCode0, descriptor(0, 0xfffff, access_byte(kCodeRead, 0), code_flags));
    set_descriptor(kData0, descriptor(0, 0xfffff, access_byte(kReadWrite, 0), data_flags));
    set_descriptor(kCode3, descriptor(0, 0xfffff, access_byte(kCodeRead, 3), code_flags));
    set_descriptor(kData3, descriptor(0, 0xfffff, access_byte(kReadWrite, 3), data_flags));
    set_descriptor(kTssSelector, tss);
    if (wide) memory.put<u64>(kGdt + kTssSelector + 8, 0);
    state.gdtr = {kGdt, 0xfff};
    state.idtr = {kIdt, 0xfff};
    state.tr = {kTss, 0x67, 0x8b, kTssSelector};
    state.ldtr = {0, 0, SegmentRegister::kUnusable, 0};
  }
};

inline Operand gpr_operand(u8 number, u16 size) { return {OperandKind::Gpr, number, size, false}; }
inline Operand segment_operand(Segment s) {
  return {OperandKind::Segment, static_cast<u8>(s), 2, false};
}
/// Operands with a 32 or 64-bit address of just a displacement.
inline Operands memory_operands(u64 address, u16 size, Width width) {
  Operands ops;
  ops.at[0] = {OperandKind::Memory, 0, size, false};
  ops.count = 1;
  ops.length = 3;
  ops.width = width;
  ops.memory.displacement = static_cast<i64>(address);
  return ops;
}
inline Operands far_pointer(u16 selector, u64 offset, Width width = Width::W32) {
  Operands ops;
  ops.at[0] = {OperandKind::FarPointer, 0, 0, false};
  ops.count = 1;
  ops.length = 7;
  ops.width = width;
  ops.selector = selector;
  ops.immediate = offset;
  return ops;
}

/// "ok" or the fault as "#GP(18)"; what the tables of expected answers hold.
template <class T>
std::string outcome_text(const Expected<T>& outcome) {
  if (outcome) return "ok";
  static const std::map<Vector, std::string> kNames = {
      {Vector::Ud, "#UD"}, {Vector::Gp, "#GP"}, {Vector::Ss, "#SS"}, {Vector::Np, "#NP"},
      {Vector::Ts, "#TS"}, {Vector::Pf, "#PF"}, {Vector::Db, "#DB"}, {Vector::Nm, "#NM"}};
  const Fault& fault = outcome.error();
  auto name = kNames.find(fault.vector);
  std::string text = name == kNames.end() ? "?" : name->second;
  if (!has_error_code(fault.vector)) return text;
  char code[16];
  std::snprintf(code, sizeof code, "(%x)", fault.error_code);
  return text + code;
}

}  // namespace penumbra::cpu::test
