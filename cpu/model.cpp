#include "cpu/model.h"

#include <fmt/format.h>

namespace penumbra::cpu {
namespace {

enum class Register : u8 { EAX, EBX, ECX, EDX };
constexpr Register EAX = Register::EAX, EBX = Register::EBX, ECX = Register::ECX,
                   EDX = Register::EDX;

struct FeatureRow {
  Feature feature;
  std::string_view option;
  u32 leaf;
  u32 subleaf;
  Register reg;
  u8 position;
};

constexpr FeatureRow kFeatures[] = {
#define PENUMBRA_FEATURE(name, option, leaf, subleaf, reg, bit) \
  {Feature::name, option, leaf, subleaf, static_cast<Register>(reg), bit},
#include "cpu/features.def"
#undef PENUMBRA_FEATURE
};

/// What a feature cannot work without; taking the one away takes the other too.
struct Dependency {
  Feature feature, needs;
};
constexpr Dependency kDependencies[] = {
    {Feature::Sse, Feature::Fxsr},         {Feature::Sse2, Feature::Sse},
    {Feature::LongMode, Feature::Pae},     {Feature::LongMode, Feature::Msr},
    {Feature::LongMode, Feature::Sse2},    {Feature::LongMode, Feature::Syscall},
    {Feature::Nx, Feature::Pae},           {Feature::Pcid, Feature::LongMode},
    {Feature::Mmx, Feature::Fpu},          {Feature::Fxsr, Feature::Fpu},
    {Feature::MmxExt, Feature::Mmx},       {Feature::Xsaveopt, Feature::Xsave},
    {Feature::Xsave, Feature::Fxsr},       {Feature::TscDeadline, Feature::Apic},
    {Feature::Rdtscp, Feature::Tsc},       {Feature::TscAdjust, Feature::Tsc},
    {Feature::Pdpe1gb, Feature::LongMode}, {Feature::Cx16, Feature::LongMode},
    {Feature::Lahf, Feature::LongMode},    {Feature::Fsgsbase, Feature::LongMode},
    {Feature::FxsrOpt, Feature::Fxsr},     {Feature::Pse36, Feature::Pse},
    {Feature::Sse3, Feature::Sse2},        {Feature::Ssse3, Feature::Sse3},
    {Feature::Sse41, Feature::Ssse3},      {Feature::Sse42, Feature::Sse41},
    {Feature::Aes, Feature::Sse2},         {Feature::Pclmulqdq, Feature::Sse2},
    {Feature::Sha, Feature::Sse2},         {Feature::Avx, Feature::Xsave},
    {Feature::Avx, Feature::Sse2},         {Feature::Avx2, Feature::Avx},
    {Feature::Fma, Feature::Avx},          {Feature::F16c, Feature::Avx},
    {Feature::Xsavec, Feature::Xsave},     {Feature::Xgetbv1, Feature::Xsave},
    {Feature::Xsaves, Feature::Xsavec},
};

void apply(CpuidResult& result, const FeatureRow& row) {
  u32* registers[] = {&result.eax, &result.ebx, &result.ecx, &result.edx};
  *registers[static_cast<u8>(row.reg)] |= 1u << row.position;
}

std::string known_features() {
  std::string text;
  for (const FeatureRow& row : kFeatures)
    if (!row.option.empty()) text += fmt::format("{}{}", text.empty() ? "" : " ", row.option);
  return text;
}

const FeatureRow* find_feature(std::string_view option) {
  for (const FeatureRow& row : kFeatures)
    if (!row.option.empty() && row.option == option) return &row;
  return nullptr;
}

}  // namespace

CpuModel::CpuModel() {
  for (const FeatureRow& row : kFeatures) set(row.feature, true);
}

void CpuModel::set(Feature feature, bool present) {
  features_[static_cast<u8>(feature)] = present;
  if (present) {
    for (const Dependency& rule : kDependencies)
      if (rule.feature == feature && !has(rule.needs)) set(rule.needs, true);
  } else {
    for (const Dependency& rule : kDependencies)
      if (rule.needs == feature && has(rule.feature)) set(rule.feature, false);
  }
}

std::expected<CpuModel, std::string> CpuModel::parse(std::string_view text) {
  CpuModel model;
  std::string_view name = text.substr(0, text.find(','));
  if (name != "default")
    return std::unexpected(fmt::format(
        "unknown CPU model '{}'; known: default, then ,+FEATURE or ,-FEATURE as often as you like",
        name));
  while ((text = text.substr(std::min(text.size(), text.find(',')))).size() > 1) {
    text.remove_prefix(1);
    std::string_view item = text.substr(0, text.find(','));
    bool signed_item = item.starts_with('+') || item.starts_with('-');
    const FeatureRow* row = signed_item ? find_feature(item.substr(1)) : nullptr;
    if (!row)
      return std::unexpected(
          fmt::format("'{}' is not +FEATURE or -FEATURE with one of: {}", item, known_features()));
    model.set(row->feature, item[0] == '+');
  }
  return model;
}

std::string CpuModel::description() const {
  std::string text = "default";
  for (const FeatureRow& row : kFeatures)
    if (!row.option.empty() && !has(row.feature)) text += fmt::format(",-{}", row.option);
  return text;
}

CpuidResult CpuModel::features(u32 leaf, u32 subleaf) const {
  CpuidResult result;
  for (const FeatureRow& row : kFeatures)
    if (row.feature != Feature::Base && has(row.feature) && row.leaf == leaf &&
        row.subleaf == subleaf)
      apply(result, row);
  return result;
}

}  // namespace penumbra::cpu
