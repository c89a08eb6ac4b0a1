#include "tests/oracle/rows.h"

#include <array>

namespace penumbra::oracle {
namespace {

using cpu::Feature;

constexpr Row kRows[] = {
#define PENUMBRA_LIFT(mnemonic, feature, function, argument) \
  {ZYDIS_MNEMONIC_##mnemonic, Feature::feature, #mnemonic},
#define PENUMBRA_NAMED(mnemonic, feature, function, effects) \
  {ZYDIS_MNEMONIC_##mnemonic, Feature::feature, #mnemonic},
#include "cpu/instructions.def"
#undef PENUMBRA_LIFT
#undef PENUMBRA_NAMED
};

struct Exclusion {
  frontend::Mnemonic mnemonic;
  std::string_view reason;
};

constexpr Exclusion kExclusions[] = {
#define EXCLUDE(mnemonic, reason) {ZYDIS_MNEMONIC_##mnemonic, reason},
#include "tests/oracle/exclusions.def"
#undef EXCLUDE
};

auto row_index() {
  std::array<const Row*, ZYDIS_MNEMONIC_MAX_VALUE + 1> index{};
  for (const Row& row : kRows) index[row.mnemonic] = &row;
  return index;
}

}  // namespace

std::span<const Row> rows() { return kRows; }

const Row* row_of(frontend::Mnemonic mnemonic) {
  static const auto index = row_index();
  return mnemonic <= ZYDIS_MNEMONIC_MAX_VALUE ? index[mnemonic] : nullptr;
}

std::string_view exclusion(frontend::Mnemonic mnemonic) {
  for (const Exclusion& entry : kExclusions)
    if (entry.mnemonic == mnemonic) return entry.reason;
  return {};
}

}  // namespace penumbra::oracle
