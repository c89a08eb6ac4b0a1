// The CPU model: which features the guest sees, and the CPUID leaves that tell of them.
//
// An instruction row names the Feature it needs; without it the instruction is #UD. CPUID tells
// only what works. Models are parsed from "--cpu NAME[,+feature][,-feature]".
#pragma once

#include <bitset>
#include <expected>
#include <string>
#include <string_view>

#include "common/types.h"

namespace penumbra::cpu {

enum class Feature : u8 {
#define PENUMBRA_FEATURE(name, ...) name,
#include "cpu/features.def"
#undef PENUMBRA_FEATURE
};

constexpr size_t kFeatureCount = 0
#define PENUMBRA_FEATURE(name, ...) +1
#include "cpu/features.def"
#undef PENUMBRA_FEATURE
    ;

enum class Vendor : u8 { Amd, Intel };

struct CpuidResult {
  u32 eax = 0, ebx = 0, ecx = 0, edx = 0;
};

class CpuModel {
 public:
  /// The default model: vendor AuthenticAMD with everything that works.
  CpuModel();
  /// "default", "default,-sse2", ...; the error is one line for the user.
  static std::expected<CpuModel, std::string> parse(std::string_view text);

  bool has(Feature feature) const { return features_[static_cast<u8>(feature)]; }
  void set(Feature feature, bool present);
  Vendor vendor() const { return vendor_; }
  u8 physical_address_bits() const { return 40; }
  u8 linear_address_bits() const { return 48; }

  /// CPUID without the bits that depend on state (OSXSAVE, APIC id, APIC enable): see cpuid.cpp.
  CpuidResult cpuid(u32 leaf, u32 subleaf) const;
  /// The feature bits alone of a leaf.
  CpuidResult features(u32 leaf, u32 subleaf) const;
  /// One line naming the model and its masked features, stored in snapshots.
  std::string description() const;

 private:
  std::bitset<kFeatureCount> features_;
  Vendor vendor_ = Vendor::Amd;
};

}  // namespace penumbra::cpu
