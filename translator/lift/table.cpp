#include "translator/lift/table.h"

#include <array>

#include "cpu/ops.h"
#include "translator/lift/avx.h"
#include "translator/lift/integer.h"
#include "translator/lift/vector.h"

namespace penumbra::translator {
namespace {

struct NumberedRow {
  frontend::Mnemonic mnemonic;
  Row row;
};

const NumberedRow kRows[] = {
#define PENUMBRA_LIFT(mnemonic, feature, function, argument) \
  {ZYDIS_MNEMONIC_##mnemonic, {cpu::Feature::feature, function, static_cast<u32>(argument), {}}},
#define PENUMBRA_NAMED(mnemonic, feature, function, effects) \
  {ZYDIS_MNEMONIC_##mnemonic,                                \
   {cpu::Feature::feature, nullptr, 0, {#function, cpu::ops::function, (effects)}}},
#include "cpu/instructions.def"
#undef PENUMBRA_LIFT
#undef PENUMBRA_NAMED
};

using Index = std::array<const Row*, ZYDIS_MNEMONIC_MAX_VALUE + 1>;

Index make_index() {
  Index index{};
  for (const NumberedRow& numbered : kRows) index[numbered.mnemonic] = &numbered.row;
  return index;
}

}  // namespace

const Row* find_row(frontend::Mnemonic mnemonic) {
  static const Index index = make_index();
  return mnemonic < index.size() ? index[mnemonic] : nullptr;
}

}  // namespace penumbra::translator
