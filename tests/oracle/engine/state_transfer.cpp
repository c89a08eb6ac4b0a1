#include "tests/oracle/engine/state_transfer.h"

namespace penumbra::oracle {
namespace {

using cpu::CpuState;
using cpu::SegmentRegister;

constexpr u32 kUserCode = 0xfb, kUserData = 0xf3;  // present, DPL 3, accessed, readable / writable
constexpr u32 kFlat = 0xffffffff;

SegmentRegister flat_code64() {
  return {0, kFlat, kUserCode | SegmentRegister::kLong | SegmentRegister::kGranular,
          kCode64Selector};
}
SegmentRegister flat_code32() {
  return {0, kFlat, kUserCode | SegmentRegister::kBig | SegmentRegister::kGranular,
          kCode32Selector};
}
SegmentRegister flat_data() {
  return {0, kFlat, kUserData | SegmentRegister::kBig | SegmentRegister::kGranular, kDataSelector};
}
SegmentRegister small_code() { return {kCodePage, 0xffff, kUserCode, kCode16Selector}; }
SegmentRegister small_data() { return {kData16, 0xffff, kUserData, kData16Selector}; }
SegmentRegister null_segment() { return {0, 0, SegmentRegister::kUnusable, 0}; }

u64 descriptor(const SegmentRegister& segment) {
  u64 limit = segment.has(SegmentRegister::kGranular) ? segment.limit >> 12 : segment.limit;
  u64 attributes = segment.attributes & 0xf0ff;
  return (limit & 0xffff) | (segment.base & 0xffffff) << 16 | attributes << 40 |
         (limit >> 16) << 48 | (segment.base >> 24) << 56;
}

/// 64-bit interrupt gate; INT3 and INTO are open to users.
void store_gate(u8* gate, u64 handler, u8 dpl) {
  u64 low = (handler & 0xffff) | 0x10ull << 16 | (0x8eull | u64{dpl} << 5) << 40 |
            ((handler >> 16) & 0xffff) << 48;
  store_to<u64>(gate, low);
  store_to<u64>(gate + 8, handler >> 32);
}

void set_segments(CpuState& state, CodeSize size) {
  bool small = size == CodeSize::Bits16;
  state.seg(Segment::Cs) = size == CodeSize::Long     ? flat_code64()
                           : size == CodeSize::Bits32 ? flat_code32()
                                                      : small_code();
  state.seg(Segment::Ss) = small ? small_data() : flat_data();
  auto data = size == CodeSize::Long ? null_segment() : state.seg(Segment::Ss);
  state.seg(Segment::Ds) = state.seg(Segment::Es) = data;
  state.seg(Segment::Fs) = state.seg(Segment::Gs) = null_segment();
}

void load_x87(cpu::X87State& x87, const FxImage& fx) {
  x87.control = fx.get<u16>(FxImage::kControl);
  x87.status = fx.get<u16>(FxImage::kStatus);
  x87.tags = fx.get<u8>(FxImage::kTags);
  x87.opcode = fx.get<u16>(FxImage::kOpcode) & 0x7ff;
  x87.ip = fx.get<u64>(FxImage::kIp);
  x87.dp = fx.get<u64>(FxImage::kDp);
  x87.cs = x87.ds = 0;
  for (unsigned i = 0; i < 8; ++i) {
    auto& reg = x87.registers[(x87.top() + i) & 7];
    reg.mantissa = fx.get<u64>(FxImage::st(i));
    reg.exponent = fx.get<u16>(FxImage::st(i) + 8);
  }
}

void store_x87(FxImage& fx, const cpu::X87State& x87) {
  fx.set(FxImage::kControl, x87.control);
  fx.set(FxImage::kStatus, x87.status);
  fx.set(FxImage::kTags, u16{x87.tags});
  fx.set(FxImage::kOpcode, x87.opcode);
  fx.set(FxImage::kIp, x87.ip);
  fx.set(FxImage::kDp, x87.dp);
  for (unsigned i = 0; i < 8; ++i) {
    const auto& reg = x87.registers[(x87.top() + i) & 7];
    fx.set(FxImage::st(i), reg.mantissa);
    fx.set(FxImage::st(i) + 8, u64{reg.exponent});
  }
}

}  // namespace

std::vector<u8> SystemTables::image() {
  std::vector<u8> bytes(kPages * kPageSize, 0);
  auto gdt = [&](u16 selector, u64 value) { store_to(&bytes[selector & ~7], value); };
  gdt(0x10, 0x00af9b000000ffff);  // 64-bit code and data of the kernel
  gdt(0x18, 0x00cf93000000ffff);
  gdt(kCode32Selector, descriptor(flat_code32()));
  gdt(kDataSelector, descriptor(flat_data()));
  gdt(kCode64Selector, descriptor(flat_code64()));
  store_to(&bytes[kLdt - kBase + (kCode16Selector & ~7)], descriptor(small_code()));
  store_to(&bytes[kLdt - kBase + (kData16Selector & ~7)], descriptor(small_data()));
  store_to<u16>(&bytes[kTss - kBase + 0x66], 0x68);  // I/O map beyond the limit: no port is open
  store_to<u64>(&bytes[kTss - kBase + 4], kStack);
  for (unsigned vector = 0; vector < 256; ++vector)
    store_gate(&bytes[kIdt - kBase + vector * 16], kHandlers + vector * 16,
               vector == 3 || vector == 4 ? 3 : 0);
  return bytes;
}

void set_user_mode(CpuState& state, CodeSize size, u64 page_table) {
  using cpu::Cr0, cpu::Cr4, cpu::Efer;
  state.cr0 = Cr0::kPe | Cr0::kMp | Cr0::kEt | Cr0::kNe | Cr0::kWp | Cr0::kAm | Cr0::kPg;
  state.cr3 = page_table;
  state.cr4 = Cr4::kDe | Cr4::kPse | Cr4::kPae | Cr4::kMce | Cr4::kPge | Cr4::kOsfxsr |
              Cr4::kOsxmmexcpt | Cr4::kFsgsbase | Cr4::kOsxsave;
  state.efer = Efer::kSce | Efer::kLme | Efer::kLma | Efer::kNxe;
  state.xcr0 = 7;
  state.cpl = 3;
  state.activity = cpu::Activity::Running;
  state.interrupt_shadow = 0;
  state.pending_debug = 0;
  state.gdtr = {SystemTables::kGdt, 0x7f};
  state.idtr = {SystemTables::kIdt, 0xfff};
  state.ldtr = {SystemTables::kLdt, 0xf, 0x82, SystemTables::kLdtSelector};
  state.tr = {SystemTables::kTss, 0x67, 0x8b, SystemTables::kTssSelector};
  set_segments(state, size);
}

void load_state(CpuState& state, const MachineState& from) {
  for (unsigned i = 0; i < 16; ++i) state.gpr[i] = from.gpr[i];
  state.set_flags((from.rflags & 0x40dd5) | cpu::Flag::kIf);
  state.seg(Segment::Fs).base = from.fs_base;
  state.seg(Segment::Gs).base = from.gs_base;
  state.mxcsr = from.fx.get<u32>(FxImage::kMxcsr);
  for (unsigned i = 0; i < 16; ++i) {
    auto& lanes = state.vector[i].lanes;
    lanes[0] = from.fx.get<u64>(FxImage::xmm(i));
    lanes[1] = from.fx.get<u64>(FxImage::xmm(i) + 8);
    lanes[2] = from.ymm_high[i][0];
    lanes[3] = from.ymm_high[i][1];
  }
  load_x87(state.x87, from.fx);
}

MachineState store_state(const CpuState& state) {
  MachineState to;
  for (unsigned i = 0; i < 16; ++i) to.gpr[i] = state.gpr[i];
  to.rip = state.rip;
  to.rflags = state.flags();
  to.fs_base = state.seg(Segment::Fs).base;
  to.gs_base = state.seg(Segment::Gs).base;
  to.fx.set(FxImage::kMxcsr, state.mxcsr);
  for (unsigned i = 0; i < 16; ++i) {
    to.fx.set(FxImage::xmm(i), state.vector[i].lanes[0]);
    to.fx.set(FxImage::xmm(i) + 8, state.vector[i].lanes[1]);
    to.ymm_high[i] = {state.vector[i].lanes[2], state.vector[i].lanes[3]};
  }
  store_x87(to.fx, state.x87);
  return to;
}

}  // namespace penumbra::oracle
