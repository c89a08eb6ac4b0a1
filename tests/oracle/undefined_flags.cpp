#include "tests/oracle/undefined_flags.h"

#include "cpu/flags.h"

namespace penumbra::oracle {
namespace {

using cpu::Flag;

enum class When : u8 { Always, ManyBits };

struct Row {
  frontend::Mnemonic mnemonic;
  u32 flags;
  When when;
};

constexpr u32 CF = Flag::kCf, PF = Flag::kPf, AF = Flag::kAf, ZF = Flag::kZf, SF = Flag::kSf,
              OF = Flag::kOf;

constexpr Row kRows[] = {
#define UNDEFINED(mnemonic, flags, when) {ZYDIS_MNEMONIC_##mnemonic, flags, When::when},
#include "tests/oracle/undefined_flags.def"
#undef UNDEFINED
    {ZYDIS_MNEMONIC_INVALID, CF | PF | AF | ZF | SF | OF, When::Always},
};

bool many_bits(const frontend::Instruction& in) {
  const auto& operands = in.operands;
  const Operand& last = operands.at[operands.count > 0 ? operands.count - 1 : 0];
  return last.kind != OperandKind::Immediate || (operands.immediate & 0x3f) > 1;
}

}  // namespace

u32 undefined_flags(const frontend::Instruction& in) {
  u32 flags = 0;
  for (const Row& row : kRows)
    if (row.mnemonic == in.mnemonic && (row.when == When::Always || many_bits(in)))
      flags |= row.flags;
  return flags;
}

}  // namespace penumbra::oracle
