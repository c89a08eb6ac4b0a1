// The architectural state of a CPU field by field, with names: for reports of what differs.
//
// Covers all of CpuState's serialize list. The arithmetic flags are one value here: how they came
// about (the lazy triple) may differ between engines that agree on what the guest sees.
#pragma once

#include <string>
#include <vector>

#include "cpu/state.h"

namespace penumbra::machine {

struct CpuField {
  std::string name;
  u64 value;
};

std::vector<CpuField> cpu_fields(const cpu::CpuState& state);

/// The same state with the arithmetic flags as values: equal bytes mean equal guests.
cpu::CpuState with_explicit_flags(const cpu::CpuState& state);

}  // namespace penumbra::machine
