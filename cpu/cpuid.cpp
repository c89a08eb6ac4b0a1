#include "cpu/cpuid.h"

#include <string_view>

#include "cpu/ops.h"

namespace penumbra::cpu {
namespace {

constexpr std::string_view kVendor = "AuthenticAMD";
constexpr std::string_view kHypervisor = "PenumbraVirt";
constexpr std::string_view kBrand = "Penumbra virtual CPU";
constexpr u32 kLargestStandard = 0xd, kLargestExtended = 0x80000021, kHypervisorLeaf = 0x40000000;
constexpr u32 kTscInvariant = 1u << 8;
/// Extended family 0Ah + 0Fh = 19h, model 11h, stepping 1.
constexpr u32 kSignature = 0x00a10f11;

/// Text as three or four registers, four characters each, zero-padded.
u32 letters(std::string_view text, size_t word) {
  u32 value = 0;
  for (size_t i = 0; i < 4; ++i)
    if (word * 4 + i < text.size()) value |= u32{static_cast<u8>(text[word * 4 + i])} << (8 * i);
  return value;
}

/// Leaf 0 and 8000_0000h: the vendor stands in EBX, EDX, ECX.
CpuidResult named(u32 largest, std::string_view vendor) {
  return {largest, letters(vendor, 0), letters(vendor, 2), letters(vendor, 1)};
}

/// The signature stands in EBX, ECX, EDX.
CpuidResult hypervisor() {
  return {kHypervisorLeaf, letters(kHypervisor, 0), letters(kHypervisor, 1),
          letters(kHypervisor, 2)};
}

/// CLFLUSH lines of 64 bytes, one logical processor.
CpuidResult standard_features(const CpuModel& model) {
  CpuidResult result = model.features(1, 0);
  result.eax = kSignature;
  result.ebx = 8 << 8 | 1 << 16;
  return result;
}

constexpr u32 kXcr0Avx = 4, kLegacyAndHeader = 512 + 64, kAvxOffset = 576, kAvxSize = 256;

/// Bytes of an XSAVE area; both formats have the same.
u32 xsave_size(u64 xcr0) { return xcr0 & kXcr0Avx ? kAvxOffset + kAvxSize : kLegacyAndHeader; }

/// XSAVE (SDM 1, 13.2), but for the sizes of what XCR0 enables.
CpuidResult extended_state(const CpuModel& model, u32 subleaf) {
  if (!model.has(Feature::Xsave)) return {};
  u32 components = 3 | (model.has(Feature::Avx) ? kXcr0Avx : 0);
  if (subleaf == 0) return {components, 0, xsave_size(components), 0};
  if (subleaf == 2 && model.has(Feature::Avx)) return {kAvxSize, kAvxOffset, 0, 0};
  return model.features(0xd, subleaf);
}

CpuidResult extended_features(const CpuModel& model) {
  constexpr u32 kRepeatedInEdx = 0x0183f3ff;  // APM 3 E.4.2: the same bits as leaf 1 EDX
  CpuidResult result = model.features(0x80000001, 0);
  result.edx |= model.features(1, 0).edx & kRepeatedInEdx;
  result.eax = kSignature;
  return result;
}

CpuidResult address_sizes(const CpuModel& model) {
  // FXSAVE always writes the error pointers (zeros while none is pending). Nothing speculates:
  // neither store bypass nor branch type confusion exists here.
  constexpr u32 kXsaveErrorPointers = 1u << 2, kSsbNo = 1u << 26, kBtcNo = 1u << 29;
  u32 eax = model.physical_address_bits() | u32{model.linear_address_bits()} << 8;
  return {eax, kXsaveErrorPointers | kSsbNo | kBtcNo, 0, 0};
}

/// What keeps Linux from working around bugs that do not exist here.
CpuidResult extended_features_2() {
  constexpr u32 kNoNestedDataBreakpoint = 1u << 0, kLfenceSerializes = 1u << 2,
                kNullSelectorClearsBase = 1u << 6, kAutomaticIbrs = 1u << 8, kSrsoNo = 1u << 29;
  constexpr u32 kTsaStoreQueueNo = 1u << 1, kTsaL1No = 1u << 2;
  u32 eax = kNoNestedDataBreakpoint | kLfenceSerializes | kNullSelectorClearsBase | kAutomaticIbrs |
            kSrsoNo;
  return {eax, 0, kTsaStoreQueueNo | kTsaL1No, 0};
}

CpuidResult standard_leaf(const CpuModel& model, u32 leaf, u32 subleaf) {
  switch (leaf) {
    case 0:
      return named(kLargestStandard, kVendor);
    case 1:
      return standard_features(model);
    case 7:
      return subleaf == 0 ? model.features(7, 0) : CpuidResult{};
    case 0xb:
      return {0, subleaf < 2 ? 1u : 0u, subleaf | (subleaf < 2 ? subleaf + 1 : 0) << 8, 0};
    case 0xd:
      return extended_state(model, subleaf);
    default:
      return {};
  }
}

CpuidResult extended_leaf(const CpuModel& model, u32 leaf) {
  switch (leaf) {
    case 0x80000000:
      return named(kLargestExtended, kVendor);
    case 0x80000001:
      return extended_features(model);
    case 0x80000002:
    case 0x80000003:
    case 0x80000004: {
      u32 word = (leaf - 0x80000002) * 4;
      return {letters(kBrand, word), letters(kBrand, word + 1), letters(kBrand, word + 2),
              letters(kBrand, word + 3)};
    }
    case 0x80000005:
      return {0xff40ff40, 0xff40ff40, 0x20080140, 0x20080140};
    case 0x80000006:
      return {0, 0x42004200, 0x02006140, 0};
    case 0x80000007:
      return {0, 0, 0, model.has(Feature::Tsc) ? kTscInvariant : 0};
    case 0x80000008:
      return address_sizes(model);
    case 0x80000021:
      return extended_features_2();
    default:
      return {};
  }
}

}  // namespace

CpuidResult CpuModel::cpuid(u32 leaf, u32 subleaf) const {
  if (leaf <= kLargestStandard) return standard_leaf(*this, leaf, subleaf);
  if (leaf >= 0x80000000 && leaf <= kLargestExtended) return extended_leaf(*this, leaf);
  if (leaf == kHypervisorLeaf && has(Feature::Hypervisor)) return hypervisor();
  return {};
}

CpuidResult cpuid(CpuContext& ctx, u32 leaf, u32 subleaf) {
  constexpr u32 kOsxsave = 1u << 27, kApic = 1u << 9;
  constexpr u32 kApicBaseMsr = 0x1b, kApicEnable = 1u << 11;
  CpuidResult result = ctx.model.cpuid(leaf, subleaf);
  bool enabled_size =
      leaf == 0xd && (subleaf == 0 || (subleaf == 1 && ctx.model.has(Feature::Xsavec)));
  if (enabled_size && ctx.model.has(Feature::Xsave)) result.ebx = xsave_size(ctx.state.xcr0);
  if (leaf == 1 && (ctx.state.cr4 & Cr4::kOsxsave)) result.ecx |= kOsxsave;
  if ((leaf == 1 || leaf == 0x80000001) && (result.edx & kApic)) {
    auto base = ctx.environment.apic_read_msr(kApicBaseMsr);
    if (!base || !(*base & kApicEnable)) result.edx &= ~kApic;
  }
  return result;
}

namespace ops {

Outcome cpuid(CpuContext& ctx, const Operands&) {
  CpuState& state = ctx.state;
  CpuidResult result = penumbra::cpu::cpuid(ctx, static_cast<u32>(state.reg(Reg::Rax)),
                                            static_cast<u32>(state.reg(Reg::Rcx)));
  state.reg(Reg::Rax) = result.eax;
  state.reg(Reg::Rbx) = result.ebx;
  state.reg(Reg::Rcx) = result.ecx;
  state.reg(Reg::Rdx) = result.edx;
  return Next::Continue;
}

}  // namespace ops
}  // namespace penumbra::cpu
