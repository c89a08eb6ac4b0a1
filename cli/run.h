// `penumbra run`: builds a machine from the options, runs it, and says how it ended.
#pragma once

#include "cli/option_table.h"

namespace penumbra::cli {

/// Exit statuses of the program; a guest's debug exit and signals have their own (see --help).
struct Status {
  static constexpr int kSuccess = 0, kDifference = 1, kBadInput = 2, kTripleFault = 3, kLimit = 4,
                       kHalted = 5, kSignal = 128;
};

/// The exit status.
int run_machine(const Arguments& arguments);

}  // namespace penumbra::cli
