// The rows of cpu/instructions.def as data, and which of them the host CPU can judge.
#pragma once

#include <span>
#include <string_view>

#include "cpu/model.h"
#include "frontend/instruction.h"

namespace penumbra::oracle {

struct Row {
  frontend::Mnemonic mnemonic;
  cpu::Feature feature;
  std::string_view name;
};

std::span<const Row> rows();
/// The row of a mnemonic, nullptr where the project does not know it.
const Row* row_of(frontend::Mnemonic mnemonic);

/// Why user-mode code on the host cannot judge a row; empty where it can.
std::string_view exclusion(frontend::Mnemonic mnemonic);

}  // namespace penumbra::oracle
