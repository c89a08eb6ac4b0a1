// Every x87 encoding as the opcode maps of the manual list them (SDM 2D, tables ).
#pragma once

#include <vector>

#include "cpu/context.h"

namespace penumbra::cpu::test {

struct X87Encoding {
  u8 opcode = 0, modrm = 0;
  const char* name = "";
  NamedOperation operation = nullptr;
  Operands operands;  ///< a memory form addresses [rsi]
};

/// Memory forms use modrm 00 reg 110; undefined encodings and FISTTP are left out.
std::vector<X87Encoding> x87_encodings();

}  // namespace penumbra::cpu::test
